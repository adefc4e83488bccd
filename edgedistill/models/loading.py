"""Checkpoints: Hugging Face folders (or Hub ids) read without trusting them.

Only safetensors are read: a pickled checkpoint can run code when it is opened, so it is refused, and so is
code that a repository brings along. Whatever is wrong with a folder is said before anything is computed with it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgedistill import files, reports
from edgedistill.artifacts import Source
from edgedistill.config import parse_yaml
from edgedistill.data.tasks import Kind
from edgedistill.errors import CheckpointError, ConfigError, StorageError
from edgedistill.reports import STUDENT_CARD, StudentCard

CheckpointKind = Kind | Literal["embedding", "mlm"]

_AUTO_CLASSES: dict[str, Any] = {
    "single": transformers.AutoModelForSequenceClassification,
    "pair": transformers.AutoModelForSequenceClassification,
    "regression": transformers.AutoModelForSequenceClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "tokens": transformers.AutoModelForTokenClassification,
    "embedding": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
}
_HEADS: dict[str, CheckpointKind] = {
    "ForSequenceClassification": "single",
    "ForQuestionAnswering": "span",
    "ForTokenClassification": "tokens",
    "ForMaskedLM": "mlm",
    "ForPreTraining": "mlm",
    "Model": "embedding",
}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_WANTED_FROM_HUB = ["*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model", "README.md"]
_UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, StrictDataclassError)
"""What transformers raises of a configuration or weights that make no sense."""
_FEWER_TOKENS_ALLOWED = 1000
"""Embedding tables are often padded to a round number; a larger gap means another model's tokenizer."""


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to be used, with where it came from.

    Attributes:
        path: Hub id or folder, as given.
        folder: where its files are.
        model: in evaluation mode, fp32, eager attention (so that attentions can be asked for).
        tokenizer: the fast tokenizer.
        source: its identity: path, hash of the weights, family, parameters.
        kind: what the outputs mean; "embedding" for a bare encoder, "mlm" for a masked-word head.
        labels: class names in logit order; empty where there are none.
        licence: as its card states it, or "unknown".
        parents: what it was made from, where its card says so.
        card: what training left beside it; none for a checkpoint from elsewhere.
        is_head_new: whether the head was just made, with random weights.
    """

    path: str
    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    source: Source
    kind: CheckpointKind
    labels: tuple[str, ...]
    licence: str = "unknown"
    parents: tuple[Source, ...] = ()
    card: StudentCard | None = None
    is_head_new: bool = False


def load(path: str | Path, kind: CheckpointKind | None = None, labels: Sequence[str] | None = None) -> Checkpoint:
    """Load a model and its tokenizer.

    Args:
        path: a folder, or a Hub id.
        kind: what it shall answer. None: what its architecture says. Where the checkpoint has no head of that
            kind, or one with another number of labels, a new head with random weights is put on it.
        labels: class names for the head.

    Raises:
        CheckpointError: missing, pickled, corrupt, with weights that are not finite, without a tokenizer, with
            another model's tokenizer, or of an architecture that cannot be read.
    """
    folder = _folder_of(str(path))
    config = _config(folder)
    weights = _weight_files(folder)
    card = _card(folder)
    own_kind = _own_kind(folder, config, card)
    model, is_head_new = _model(folder, config, own_kind, kind or own_kind, labels)
    _refuse_not_finite(folder, model)
    tokenizer = _tokenizer(folder)
    _refuse_other_vocabulary(folder, model, tokenizer)
    found_kind = kind or own_kind
    return Checkpoint(
        path=str(path),
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        source=Source(
            path=str(path),
            sha256=files.sha256_of(weights[0])
            if len(weights) == 1
            else files.sha256_of_folder(folder, "*.safetensors"),
            family=model.config.model_type,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        ),
        kind=found_kind,
        labels=_labels(model, found_kind, labels),
        licence=card.licence if card else _card_licence(folder),
        parents=tuple(source for source in (card.teacher, *card.parents) if source) if card else (),
        card=card,
        is_head_new=is_head_new,
    )


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a checkpoint that `AutoModel` and `AutoTokenizer` read back: safetensors, config, tokenizer files.

    The tokenizer is stored without truncation or padding: how long an input may be is the reader's business.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with quiet():
                model.save_pretrained(folder)
        except SafetensorError as error:  # its I/O errors are no OSError
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise StorageError(f"cannot write '{folder}': {error}.") from error
            raise OSError(int(code[1]), str(error)) from error
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and notes off the screen; what matters is checked and raised here."""
    log = transformers.utils.logging
    level, has_bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(logging.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if has_bar:
            log.enable_progress_bar()


def _folder_of(path: str) -> Path:
    folder = Path(path)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise CheckpointError(f"'{path}' is a file. Give the folder that holds config.json and model.safetensors.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?", path):
        raise CheckpointError(
            f"no folder '{path}'. Give a checkpoint's folder or a Hub id such as 'bert-base-uncased'."
        )
    return _downloaded(path)


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_WANTED_FROM_HUB))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"there is no folder '{hub_id}', and it could not be fetched from the Hugging Face Hub: {reason} "
            "Check the spelling; without a network, give a folder that holds config.json and model.safetensors."
        ) from error


def _config(folder: Path) -> Any:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"'{folder}' is no checkpoint: it has no config.json.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it does not hold keys and values")
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot read '{path}': {reason} Save the checkpoint again with transformers.") from error


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder, each one complete by its own header."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickled:
            raise CheckpointError(
                f"'{folder}' has only pickled weights ({', '.join(pickled[:3])}), which can run code when opened and "
                "are not read. Where you trust them, save them again as safetensors: "
                "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)."
            )
        raise CheckpointError(f"'{folder}' has no weights: there is no model.safetensors in it.")
    for path in found:
        try:
            with safe_open(path, framework="pt") as file:
                list(file.keys())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"'{path}' is corrupt or cut short ({error}). Copy or download it again and compare its size."
            ) from error
    return found


def _card(folder: Path) -> StudentCard | None:
    path = folder / STUDENT_CARD
    return reports.read(StudentCard, path) if path.is_file() else None


def _own_kind(folder: Path, config: Any, card: StudentCard | None) -> CheckpointKind:
    if card is not None:
        return card.task.kind
    architecture = (getattr(config, "architectures", None) or ["Model"])[0]
    for ending, kind in _HEADS.items():
        if architecture.endswith(ending):
            is_number = kind == "single" and (config.problem_type == "regression" or config.num_labels == 1)
            return "regression" if is_number else kind
    raise CheckpointError(
        f"'{folder}' is a {architecture}, which is not read here. There are: bare encoders and "
        f"{', '.join(ending for ending in _HEADS if ending != 'Model')}."
    )


def _model(
    folder: Path, config: Any, own_kind: CheckpointKind, kind: CheckpointKind, labels: Sequence[str] | None
) -> tuple[PreTrainedModel, bool]:
    """The model, and whether its head is new. Its head is kept where it is of the wanted class and width."""
    width = _head_width(kind, labels)
    is_same_head = _AUTO_CLASSES[own_kind] is _AUTO_CLASSES[kind]
    keeps_head = kind == "embedding" or (is_same_head and width in (None, config.num_labels))
    if width is not None and not keeps_head:
        _set_labels(config, kind, labels)
    try:
        with quiet():
            model, info = _AUTO_CLASSES[kind].from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",
                ignore_mismatched_sizes=not keeps_head,
                output_loading_info=True,
            )
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot load '{folder}': {reason}") from error
    _refuse_incomplete(folder, model, info, keeps_head)
    return model.eval(), not keeps_head


def _head_width(kind: CheckpointKind, labels: Sequence[str] | None) -> int | None:
    if kind == "regression":
        return 1
    return len(labels) if labels and kind in {"single", "pair", "tokens"} else None


def _set_labels(config: Any, kind: CheckpointKind, labels: Sequence[str] | None) -> None:
    names = list(labels or ["score"]) if kind != "regression" else ["score"]
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "regression" if kind == "regression" else "single_label_classification"


def _refuse_incomplete(folder: Path, model: PreTrainedModel, info: Any, keeps_head: bool) -> None:
    """Missing weights of the encoder are an error; those of the head too, unless a new one was asked for.

    The pooler is no part of a bare encoder that was saved by a masked-word or token model: it may be missing
    wherever the head is new or there is none.
    """
    prefix = f"{model.base_model_prefix}."
    is_bare = not hasattr(model, model.base_model_prefix)
    is_encoder = [key for key in info["missing_keys"] if (is_bare or key.startswith(prefix)) and "pooler." not in key]
    missing = is_encoder if is_bare or not keeps_head else list(info["missing_keys"])
    wrong = [entry[0] for entry in info["mismatched_keys"] if keeps_head or entry[0].startswith(prefix)]
    if missing or wrong:
        named = ", ".join(sorted([*missing, *wrong])[:4])
        raise CheckpointError(
            f"'{folder}' does not hold the weights its config.json describes: {len(missing)} missing, "
            f"{len(wrong)} of another shape ({named}). Was the folder put together from two models?"
        )


def _refuse_not_finite(folder: Path, model: PreTrainedModel) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise CheckpointError(
                f"'{folder}': weight '{name}' holds NaN or infinity: training went wrong or the file was damaged. "
                "Use an earlier checkpoint."
            )


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    advice = "Copy the tokenizer files of the model it was trained from into the folder."
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        raise CheckpointError(f"'{folder}' has no tokenizer: no tokenizer.json, vocab.txt or vocab.json. {advice}")
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
    except Exception as error:  # tokenizers raises bare Exception for every malformed file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot read the tokenizer in '{folder}': {reason} {advice}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(
            f"the tokenizer in '{folder}' has no fast form (tokenizer.json); it is a {type(tokenizer)}."
        )
    return tokenizer


def _refuse_other_vocabulary(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    entries, rows = len(tokenizer), model.config.vocab_size
    spare = rows - entries
    if spare < 0 or spare > max(_FEWER_TOKENS_ALLOWED, rows // 10):
        raise CheckpointError(
            f"the tokenizer in '{folder}' has {entries} entries and the model's embedding table {rows} rows: "
            "they belong to different models. Copy the tokenizer the model was trained with into the folder."
        )


def _labels(model: PreTrainedModel, kind: CheckpointKind, given: Sequence[str] | None) -> tuple[str, ...]:
    if kind not in {"single", "pair", "tokens"}:
        return ()
    own = tuple(str(model.config.id2label[number]) for number in range(model.config.num_labels))
    is_unnamed = all(re.fullmatch(r"LABEL_\d+", name) for name in own)
    return tuple(given) if given and is_unnamed and len(given) == len(own) else own


def _card_licence(folder: Path) -> str:
    """`license` of the model card's front matter."""
    path = folder / "README.md"
    if not path.is_file():
        return "unknown"
    front = re.match(r"---\s*\n(.*?)\n---", path.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        values = parse_yaml(front[1], str(path)) if front else {}
    except ConfigError:
        return "unknown"
    licence = values.get("license") if isinstance(values, dict) else None
    return licence if isinstance(licence, str) else "unknown"
