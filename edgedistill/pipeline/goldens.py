"""Goldens: texts with every answer to them, for the gate and for a device's self-test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.artifacts import GOLDENS, Golden, Manifest, ReferenceRow
from edgedistill.data.encoding import Encoding, clean, encode, load_tokenizer
from edgedistill.data.probes import ADVERSARIAL, PAIRS, PLAIN
from edgedistill.errors import CheckpointError, ExportError
from edgedistill.evaluate import predict
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.runner import GREEDY, TOKENS, Runner, is_answer

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

Outputs = dict[str, list[list[float]]]

_REFERENCE_ROWS = 32
_WIDE_TOKENS = 64
"""Outputs with many numbers a token (hidden states): only texts up to this length are kept, or the file explodes."""
_WIDE_TEXTS = 24
_WIDE = 64


@dataclass(frozen=True)
class _Text:
    """One text of the goldens, and the teacher's answer where the reference has it."""

    text: str
    text_pair: str | None = None
    teacher: list[float] | None = None


def write(
    folder: Path,
    manifest: Manifest,
    checkpoint: Checkpoint,
    asked: Runner,
    runner: Runner | None,
    reference: Sequence[ReferenceRow],
    name: str = GOLDENS,
) -> None:
    """Answer the goldens one by one with PyTorch and with the artifact, and write them.

    Args:
        folder: the artifact being made; its tokenizer is there already.
        manifest: what is known of it so far.
        checkpoint: the student.
        asked: the student in PyTorch.
        runner: the artifact, with the same outputs; further ones are left out. None where its runtime does not exist
            here: a device then compares with the student.
        reference: rows of the judged split; the first ones become goldens too.
        name: of the file.

    Raises:
        CheckpointError, ExportError: the model, or only the artifact, answers something that is no number.
    """
    is_paired = manifest.task.kind in {"pair", "ranking", "span"}
    texts = _texts(is_paired, reference)
    encodings = _encoded(folder, manifest, texts)
    if _is_wide(manifest):
        short = [n for n, encoding in enumerate(encodings) if len(encoding) <= _WIDE_TOKENS][
            :: max(1, len(texts) // 48)
        ]
        texts, encodings = [texts[n] for n in short[:_WIDE_TEXTS]], [encodings[n] for n in short[:_WIDE_TEXTS]]
    else:
        more = _texts_that_fill(folder, manifest, is_paired, encodings)
        texts, encodings = [*texts, *more], [*encodings, *_encoded(folder, manifest, more)]
    student = _answers(asked, encodings)
    if (text := _not_finite(student, texts)) is not None:
        raise CheckpointError(
            f"'{checkpoint.path}' answers NaN or infinity to {text!r}: a weight was damaged or grew without bound. "
            "Use an earlier checkpoint."
        )
    artifact = None if runner is None else _artifact_answers(manifest, runner, encodings, texts, student)
    tolerances = _tolerances(manifest.scheme, student, artifact)
    lines = [
        Golden(
            text=text.text,
            text_pair=text.text_pair,
            input_ids=encoding.input_ids,
            token_type_ids=encoding.token_type_ids,
            teacher=_split(text.teacher, [name for name in student if is_answer(name)]),
            student={name: rows[number] for name, rows in student.items()},
            artifact=None if artifact is None else {name: rows[number] for name, rows in artifact.items()},
            tolerance=tolerances,
        )
        for number, (text, encoding) in enumerate(zip(texts, encodings, strict=True))
    ]
    with (folder / name).open("w", encoding="utf-8") as file:
        for golden in lines:  # ASCII only: some line readers also break at U+0085 and U+2028
            file.write(json.dumps(golden.model_dump(mode="json")) + "\n")


def _artifact_answers(
    manifest: Manifest, runner: Runner, encodings: Sequence[Encoding], texts: Sequence[_Text], student: Outputs
) -> Outputs:
    """What the artifact says of the texts, under the student's names.

    Raises:
        ExportError: something that is no number.
    """
    found = {output: rows for output, rows in _answers(runner, encodings).items() if output in student}
    if (text := _not_finite(found, texts)) is not None:
        raise ExportError(
            f"{manifest.target} {manifest.scheme} answers NaN or infinity to {text!r}, and PyTorch does not: "
            "numbers of this model are too large for the scheme. Choose another --scheme."
        )
    return found


def _tolerances(scheme: str, student: Outputs, artifact: Outputs | None) -> dict[str, float]:
    """How far a device may be from what it compares with, per output."""
    limits, _ = read_tolerances()
    compared, is_own = (student, False) if artifact is None else (artifact, True)
    return {
        name: 0.0 if name in (TOKENS, GREEDY) else limits.device(scheme, rows, is_own)
        for name, rows in compared.items()
    }


def _texts(is_paired: bool, reference: Sequence[ReferenceRow]) -> list[_Text]:
    """Ordinary and adversarial probes, then rows of the judged split."""
    beside = PLAIN[0] if is_paired else None
    plain = [_Text(a, b) for a, b in PAIRS] if is_paired else [_Text(text) for text in PLAIN]
    adversarial = [_Text(clean(text), beside) for text in ADVERSARIAL.values()]
    rows = [_Text(row.text, row.text_pair, row.teacher) for row in reference[:_REFERENCE_ROWS]]
    return [*plain, *adversarial, *rows]


def _encoded(folder: Path, manifest: Manifest, texts: Sequence[_Text]) -> list[Encoding]:
    pairs = [text.text_pair for text in texts]
    return encode(load_tokenizer(folder), [text.text for text in texts], pairs, manifest.tokenizer.max_length)


def _texts_that_fill(folder: Path, manifest: Manifest, is_paired: bool, encodings: Sequence[Encoding]) -> list[_Text]:
    """A text for every fixed length whose graph no other text would be answered by: a device asks all of them."""
    lengths = sorted({graph.length for graph in manifest.graphs if graph.length})
    bounds = [
        (below, length)
        for below, length in zip([0, *lengths], lengths, strict=False)
        if not any(below < len(encoding) <= length for encoding in encodings)
    ]
    if not bounds:
        return []
    words = " ".join(PLAIN).split()
    grown = [_Text(" ".join(words[:count]), PLAIN[0] if is_paired else None) for count in range(1, len(words) + 1)]
    sizes = [len(encoding) for encoding in _encoded(folder, manifest, grown)]
    fitting = [[text for text, size in zip(grown, sizes, strict=True) if low < size <= high] for low, high in bounds]
    return [texts[0] for texts in fitting if texts]


def _is_wide(manifest: Manifest) -> bool:
    shapes = [output.shape for output in manifest.graphs[-1].outputs]
    return any(len(shape) == 3 and isinstance(shape[-1], int) and shape[-1] > _WIDE for shape in shapes)


def _answers(runner: Runner, encodings: Sequence[Encoding]) -> Outputs:
    """Flattened outputs, one text at a time as in an app, to the digits a float32 has."""
    found = predict(runner, encodings, batch_size=1)
    return {name: [[float(f"{value:.8g}") for value in np.ravel(row)] for row in rows] for name, rows in found.items()}


def _not_finite(outputs: Outputs, texts: Sequence[_Text]) -> str | None:
    """The first text that is answered by something that is no number; none where all are."""
    bad = (
        text for rows in outputs.values() for text, row in zip(texts, rows, strict=True) if not np.isfinite(row).all()
    )
    return next((text.text[:60] for text in bad), None)


def _split(teacher: list[float] | None, names: list[str]) -> dict[str, list[float]] | None:
    """A reference row's flat answer by output name: start then end scores for a span."""
    if teacher is None:
        return None
    size = len(teacher) // len(names)
    return {name: teacher[number * size : (number + 1) * size] for number, name in enumerate(names)}
