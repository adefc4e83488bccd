"""Choosing calibration text for an export, and keeping it with the artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill import files
from edgedistill.artifacts import CALIBRATION, Quantization
from edgedistill.data.encoding import clean, encode
from edgedistill.data.tasks import Task
from edgedistill.quant.calibration import Calibration, Text, built_in, stratified

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

_SEED = 0
_PAIRED = frozenset({"pair", "ranking", "span"})


def chosen(
    checkpoint: Checkpoint, task: Task | None, kind: str, data: Path | None, rows: int, max_length: int
) -> Calibration:
    """Rows of the task's train split, every class alike; without a task, built-in text.

    Args:
        checkpoint: whose tokenizer reads them.
        task: the task that was named at export; none: its data may not be here.
        kind: what the model answers, which says whether it reads pairs.
        data: folder of the task's files.
        rows: how many.
        max_length: longest input in tokens.

    Raises:
        DataError: the task's files cannot be used.
    """
    if task is None:
        texts, source = built_in(rows, _SEED, kind in _PAIRED), "built-in requests to an assistant"
    else:
        texts, source = _of_task(task, data, rows), f"train split of task '{task.name}'"
    firsts, seconds = [clean(text) for text, _ in texts], [pair and clean(pair) for _, pair in texts]
    encodings = encode(checkpoint.tokenizer.backend_tokenizer, firsts, seconds, max_length)
    return Calibration(tuple(zip(firsts, seconds, strict=True)), tuple(encodings), source)


def kept(folder: Path, calibration: Calibration, quantization: Quantization) -> Quantization:
    """Put the texts beside the model, and their source and hash into what the manifest says of the scheme."""
    lines = (json.dumps({"text": text, "text_pair": pair}) + "\n" for text, pair in calibration.texts)
    path = folder / CALIBRATION
    path.write_text("".join(lines), encoding="utf-8")
    told = f"{len(calibration.texts)} texts: {calibration.source}, seed {_SEED}"
    return quantization.model_copy(update={"calibration": told, "calibration_sha256": files.sha256_of(path)})


def train_rows(task: Task, data: Path | None, rows: int, but_first: int = 0) -> Sequence[Mapping[str, Any]]:
    """Rows of a task's train split, every class alike; none whose text is in the judged split too.

    Args:
        task: the task.
        data: folder of its files.
        rows: how many at most.
        but_first: leave out the rows that a choice of so many would hold: those that calibrate.

    Raises:
        DataError: the task's files cannot be used.
    """
    from edgedistill.data.labels import label_names
    from edgedistill.data.sources import dataset_of, open_source
    from edgedistill.data.splits import judged_split_of

    source = open_source(task, data)
    names, judged = label_names(task, source), judged_split_of(task, source)
    train = dataset_of(task, source, "train", names, needs_labels=False)
    judges = set(_texts(dataset_of(task, source, judged, names, needs_labels=False)) if judged != "train" else ())
    labels = list(train["label"]) if task.kind in {"single", "pair"} else [None] * len(train)
    allowed = [row for row, text in enumerate(_texts(train)) if text not in judges]
    first = stratified([labels[row] for row in allowed], but_first, _SEED) if but_first else ()
    taken = {allowed[place] for place in first}
    free = [row for row in allowed if row not in taken]
    return list(train.select([free[row] for row in stratified([labels[row] for row in free], rows, _SEED)]))


def _texts(rows: Any) -> list[Text]:
    """As the files of an artifact hold them."""
    pairs = zip(rows["text"], rows["text_pair"], strict=True)
    return [(clean(text), pair and clean(pair)) for text, pair in pairs]


def _of_task(task: Task, data: Path | None, rows: int) -> list[Text]:
    return [(row["text"], row["text_pair"]) for row in train_rows(task, data, rows)]
