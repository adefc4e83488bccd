"""Checkpoints: Hugging Face folders (or Hub ids) read without trusting them.

Only safetensors are read: a pickled checkpoint can run code when it is opened, so it is refused, and so is
code that a repository brings along. Whatever is wrong with a folder is said before anything is computed with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from edgedistill import files
from edgedistill.artifacts import Source
from edgedistill.errors import CheckpointError, StorageError
from edgedistill.models.folder import (
    CheckpointKind,
    HeadKind,
    card_of,
    config_of,
    first_line,
    folder_of,
    kind_of,
    labels_of,
    licence_of,
    sha256_of_weights,
    weight_files,
)
from edgedistill.models.heads import AUTO_CLASSES, head_width, refuse_family, set_labels
from edgedistill.reports import StudentCard

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


def load(
    path: str | Path, kind: HeadKind | None = None, labels: Sequence[str] | None = None, task: str | None = None
) -> Checkpoint:
    """Load a model and its tokenizer.

    Args:
        path: a folder, or a Hub id.
        kind: what it shall answer. None: what its architecture says. Where the checkpoint has no head of that
            kind, or one with another number of labels, a new head with random weights is put on it.
        labels: class names for the head.
        task: whose head to take of a checkpoint that has several; none: the main one's.

    Raises:
        CheckpointError: missing, pickled, corrupt, with weights that are not finite, without a tokenizer, with
            another model's tokenizer, or of an architecture that cannot be read.
    """
    folder = folder_of(str(path))
    config = config_of(folder)
    weight_files(folder)
    card = card_of(folder)
    own_kind = kind_of(folder, config, card)
    if hasattr(config, "tasks"):
        whole = _model(folder, config, "single", "single", None)[0]
        own_kind = whole.head(task).kind
        model, is_head_new = whole.opened(task, kind, labels, AUTO_CLASSES[kind or own_kind])
    else:
        model, is_head_new = _model(folder, config, own_kind, kind or own_kind, labels)
    _refuse_not_finite(folder, model)
    tokenizer = _tokenizer(folder)
    _refuse_other_vocabulary(folder, model, tokenizer)
    found_kind: CheckpointKind = "mlm" if kind == "pretraining" else kind or own_kind
    return Checkpoint(
        path=str(path),
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        source=Source(
            path=str(path),
            sha256=sha256_of_weights(folder),
            family=model.config.model_type,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        ),
        kind=found_kind,
        labels=labels_of(folder, model.config, found_kind, labels),
        licence=card.licence if card else licence_of(folder),
        parents=tuple(source for source in (card.teacher, *card.parents) if source) if card else (),
        card=card,
        is_head_new=is_head_new,
    )


def builder(path: str | Path) -> Callable[[], PreTrainedModel]:
    """A function that builds the checkpoint's own model from its weights and does nothing else, to be timed.

    Raises:
        CheckpointError: as `load`; what is wrong with the weights themselves is raised by the function.
    """
    folder = folder_of(str(path))
    config = config_of(folder)
    weight_files(folder)
    kind = kind_of(folder, config, card_of(folder))
    AUTO_CLASSES[kind]._model_mapping.get(type(config), None)  # imports the family's module
    return lambda: _model(folder, config, kind, kind, None)[0]


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


def _model(
    folder: Path, config: Any, own_kind: CheckpointKind, kind: HeadKind, labels: Sequence[str] | None
) -> tuple[PreTrainedModel, bool]:
    """The model, and whether its head is new. Its head is kept where it is of the wanted class and width."""
    width = head_width(kind, labels)
    is_same_head = AUTO_CLASSES[own_kind] is AUTO_CLASSES[kind]
    keeps_head = kind == "embedding" or (is_same_head and width in (None, config.num_labels))
    if width is not None and not keeps_head:
        set_labels(config, kind, labels)
    if kind == "span" and not is_same_head:
        config.num_labels = 2  # a new head, for the start and the end of an answer
    refuse_family(folder, config, kind)
    try:
        with quiet():
            model, info = AUTO_CLASSES[kind].from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except Exception as error:  # whatever a value of config.json that makes no sense sets off inside transformers
        raise CheckpointError(
            f"cannot build the model that '{folder / 'config.json'}' describes: {first_line(error)} "
            "Save the checkpoint again with transformers."
        ) from error
    _refuse_incomplete(folder, model, info, keeps_head)
    return model.eval(), not keeps_head


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
        raise CheckpointError(f"cannot read the tokenizer in '{folder}': {first_line(error)} {advice}") from error
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
