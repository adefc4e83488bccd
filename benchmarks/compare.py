"""Shared by the benchmarks that compare students: training what is not there yet, paired differences, commands."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgedistill
from edgedistill import files, parity
from edgedistill.artifacts import MANIFEST, REFERENCE
from edgedistill.reports import STUDENT_CARD

RESULTS = Path(__file__).parent.parent / "docs" / "results"
Floats = NDArray[np.float64]


def trained(recipe: str, out: Path, settings: dict[str, Any], **given: Any) -> Path:
    """The student's folder; trained with `edgedistill.distill` where it is not there, gone on with where it stopped."""
    student = out / "student"
    if not (student / STUDENT_CARD).is_file():
        edgedistill.distill(recipe, out=out, resume=out.is_dir(), config=settings, **given)
    return student


def exported(source: str | Path, out: Path, target: str, scheme: str, length: int, **given: Any) -> Path:
    """The artifact's folder; exported where it is not there."""
    if not (out / MANIFEST).is_file():
        lengths = [f"max_length={length}"]
        edgedistill.export(source, target=target, scheme=scheme, out=out, settings=lengths, **given)
    return out


def right(students: Sequence[Path]) -> Floats:
    """(rows,): share of the students that answer each judged row as labelled, from their saved answers."""
    return np.mean([_right(student) for student in students], axis=0, dtype=np.float64)


def _right(student: Path) -> list[bool]:
    rows = [json.loads(line) for line in (student / REFERENCE).read_text(encoding="utf-8").splitlines()]
    return [int(np.argmax(row["student"])) == row["label"] for row in rows]


def interval(answers: Floats) -> tuple[float, float]:
    """95 % over resampled rows of the share of right answers."""
    found = parity.paired_bootstrap(lambda w: w @ answers / w.sum(1), lambda w: 0 * w.sum(1), len(answers))
    return found.low, found.high


def gain(first: Floats, second: Floats) -> dict[str, float]:
    """Points that the second gains, with the 95 % interval over rows, both scored on the same ones."""
    found = parity.paired_bootstrap(lambda w: w @ second / w.sum(1), lambda w: w @ first / w.sum(1), len(first))
    return {"points": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}


def told(points: dict[str, float] | None) -> str:
    """`gain` as a table's cell."""
    return "" if points is None else f"{points['points']:+.2f} [{points['low']:+.2f}, {points['high']:+.2f}]"


def kept(name: str, task: str, found: dict[str, Any]) -> dict[str, Any]:
    """Put a task's results beside those of the others in docs/results/NAME.json, and give all of them."""
    path = RESULTS / f"{name}.json"
    tasks: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    tasks[task] = found
    files.write_json(path, tasks)
    return tasks


def command() -> str:
    """How this script was called; where data and weights lie on this machine says nothing to others."""
    return "python " + shlex.join(Path(word).name if word.startswith(("/", "..")) else word for word in sys.argv)
