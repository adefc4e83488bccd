"""What lies in a checkpoint's folder, read and refused file by file; no model is built here."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import transformers
from safetensors import SafetensorError, safe_open

from edgedistill import files, reports
from edgedistill.config import parse_yaml
from edgedistill.data.tasks import Kind
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.reports import STUDENT_CARD, StudentCard

CheckpointKind = Kind | Literal["embedding"]
HeadKind = CheckpointKind | Literal["pretraining"]
"""pretraining is mlm with a second head, for the next sentence."""

_HEADS: dict[str, CheckpointKind] = {
    "ForSequenceClassification": "single",
    "ForQuestionAnswering": "span",
    "ForTokenClassification": "tokens",
    "ForMaskedLM": "mlm",
    "ForPreTraining": "mlm",
    "ForConditionalGeneration": "generation",
    "MTModel": "generation",
    "Model": "embedding",
}
_OWN_FAMILIES = {
    "bilstm": "edgedistill.models.bilstm",
    "fastbert": "edgedistill.models.fastbert",
    "ib_bert": "edgedistill.models.ib_bert",
    "multitask_bert": "edgedistill.models.multitask",
}
"""Families that transformers does not know, and the module that makes them known to it."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_WANTED_FROM_HUB = ["*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model", "README.md"]


def folder_of(path: str) -> Path:
    """The folder that a path or a Hub id stands for, fetched where it is not here yet.

    Raises:
        CheckpointError: there is none, or it could not be fetched.
    """
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
        reason = first_line(error)
        raise CheckpointError(
            f"there is no folder '{hub_id}', and it could not be fetched from the Hugging Face Hub: {reason} "
            "Check the spelling; without a network, give a folder that holds config.json and model.safetensors."
        ) from error


def _saved_again(folder: Path) -> str:
    """How weights become safetensors with their heads, which AutoModel would leave out."""
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    except (OSError, ValueError, LookupError, TypeError):
        named = None
    is_known = isinstance(named, str) and isinstance(getattr(transformers, named, None), type)
    return (
        f"save them again as safetensors: transformers.{named if is_known else 'AutoModel'}.from_pretrained(ID)"
        ".save_pretrained(FOLDER), and transformers.AutoTokenizer likewise; then give FOLDER."
    )


def config_of(folder: Path) -> Any:
    """The model's configuration as transformers reads it.

    Raises:
        CheckpointError: it is missing, or makes no sense to transformers.
    """
    path = folder / "config.json"
    if not path.is_file():
        inside = folder / "student"
        hint = f" Its student is '{inside}'." if (inside / "config.json").is_file() else ""
        raise CheckpointError(f"'{folder}' is no checkpoint: it has no config.json.{hint}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it does not hold keys and values")
        if (module := _OWN_FAMILIES.get(str(values.get("model_type")))) is not None:
            importlib.import_module(module)
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a value that makes no sense sets off inside transformers
        reason = first_line(error)
        raise CheckpointError(f"cannot read '{path}': {reason} Save the checkpoint again with transformers.") from error


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder, each one complete by its own header.

    Raises:
        CheckpointError: there are none, or one is cut short.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickled:
            raise CheckpointError(
                f"'{folder}' has only pickled weights ({', '.join(pickled[:3])}), which can run code when opened and "
                f"are not read. Where you trust them, {_saved_again(folder)}"
            )
        raise CheckpointError(
            f"'{folder}' has no weights: there is no model.safetensors in it. A Hub id may have pickled ones only, "
            f"which are not fetched; where you trust them, {_saved_again(folder)}"
        )
    for path in found:
        try:
            with safe_open(path, framework="pt") as file:
                list(file.keys())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"'{path}' is corrupt or cut short ({error}). Copy or download it again and compare its size."
            ) from error
    return found


def sha256_of_weights(folder: Path) -> str:
    """Hex SHA-256 of the weight file; over names and bytes where there are several."""
    weights = weight_files(folder)
    return files.sha256_of(weights[0]) if len(weights) == 1 else files.sha256_of_folder(folder, "*.safetensors")


def card_of(folder: Path) -> StudentCard | None:
    """What training left beside the checkpoint, where it was trained here."""
    path = folder / STUDENT_CARD
    return reports.read(StudentCard, path) if path.is_file() else None


def kind_of(folder: Path, config: Any, card: StudentCard | None) -> CheckpointKind:
    """What the checkpoint's own head answers.

    Raises:
        CheckpointError: its architecture is not read here.
    """
    if card is not None:
        return card.task.kind
    named = getattr(config, "architectures", None) or ["Model"]
    architecture = str(named[0]) if isinstance(named, list) else str(named)
    for ending, kind in _HEADS.items():
        if architecture.endswith(ending):
            is_number = kind == "single" and (config.problem_type == "regression" or config.num_labels == 1)
            return "regression" if is_number else kind
    raise CheckpointError(
        f"'{folder}' is a {architecture}, which is not read here. There are: bare encoders and "
        f"{', '.join(ending for ending in _HEADS if ending != 'Model')}."
    )


def licence_of(folder: Path) -> str:
    """`license` of the model card's front matter, or "unknown"."""
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


def first_line(error: Exception) -> str:
    """The first line of what an error says; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def labels_of(folder: Path, config: Any, kind: CheckpointKind, given: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes in the order of their numbers; none for a kind without classes.

    Args:
        folder: the checkpoint.
        config: its configuration.
        kind: what it answers.
        given: names to use where the configuration has none of its own.

    Raises:
        CheckpointError: a class without a name, or an answer in a text that is not its start and its end.
    """
    count = config.num_labels
    if kind == "span" and count != 2:
        raise CheckpointError(
            f"'{folder / 'config.json'}': num_labels is {count}; an answer in a text has two, its start and its end. "
            "Train a head for questions: edgedistill distill finetune."
        )
    if kind not in {"single", "pair", "tokens"}:
        return ()
    names = config.id2label
    if set(names) != set(range(count)):
        raise CheckpointError(
            f"'{folder / 'config.json'}': id2label names the classes {sorted(names)}, not 0 to {count - 1}. "
            "Give every class its name there."
        )
    own = tuple(str(names[number]) for number in range(count))
    return tuple(given) if given and is_unnamed(own) and len(given) == len(own) else own


def is_unnamed(labels: Iterable[str]) -> bool:
    """Whether classes are called as transformers calls those that nobody named: LABEL_0, LABEL_1."""
    return all(re.fullmatch(r"LABEL_\d+", str(name)) for name in labels)
