"""What a student costs to run: multiply-accumulates (MACs), and the time of its export beside the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import Answers, answers_to, exported
from torch.utils.flop_counter import FlopCounterMode

import edgedistill
from edgedistill.data.batches import Encoded
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.models.answers import answer
from edgedistill.models.fastbert import FastBertForSequenceClassification
from edgedistill.models.loading import load
from edgedistill.reports import STUDENT_CARD
from edgedistill.training.exits import ExitAnswers, ask_exits, leave_at, point


def macs(folder: str | Path, length: int) -> int:
    """Multiply-accumulates of one text of so many tokens: every product of matrices, attention's and LSTMs' too."""
    model = load(folder).model.eval()
    ids = torch.full((1, length), 5)
    # Without inference mode an LSTM may be a single operation, which the counter passes over.
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        answer(model, Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids)))
    return counter.get_total_flops() // 2


@dataclass(frozen=True)
class Leaving:
    """A FastBERT's texts, leaving at its own speed.

    Attributes:
        answers: to the judged rows.
        score: the task's metric.
        macs: mean multiply-accumulates of a text of the longest length, with the classifiers it passes.
    """

    answers: Answers
    score: float
    macs: float


def leaving(student: Path, data: Path, limit: int | None) -> Leaving:
    """Ask a FastBERT the judged rows at its own speed.

    Args:
        student: folder that the recipe made.
        data: of its task.
        limit: of the training run: the same judged rows.
    """
    found = load(student)
    assert found.card is not None
    assert isinstance(found.model, FastBertForSequenceClassification)
    task, seed = found.card.task, found.card.seed
    whole = load_task_data(
        find_task(str(task.name)), data, found.tokenizer, max_length=task.max_length, seed=seed, limit=limit
    )
    asked, speed = ask_exits(found.model, whole.judged, whole), float(found.model.config.speed)
    cost = point(asked, speed)
    return Leaving(answers_at(student, asked, speed), cost.score, cost.macs["padded_all"])


def answers_at(student: Path, asked: ExitAnswers, speed: float) -> Answers:
    """What a FastBERT answers to its judged rows where texts leave at a speed."""
    layers = leave_at(asked.uncertainties, speed)
    return answers_to(student, list(asked.logits[np.arange(len(layers)), layers - 1]))


def latencies(
    teacher: str, students: Sequence[Path], task: str, data: Path, length: int, out: Path
) -> dict[str, dict[str, Any]]:
    """90th percentile of the teacher (named "teacher") and the students, exported to onnx fp32, in turns, one thread.

    Returns:
        By the folder above each student: p90_ms, milliseconds a text, and is_throttled, whether the processor became
        slower meanwhile.
    """
    is_ours = Path(teacher, STUDENT_CARD).is_file()  # and says itself what it was judged on
    judged: dict[str, Any] = {} if is_ours else {"task": task, "data": data}
    folders = {"teacher": exported(teacher, out / "teacher", "onnx", "fp32", length, **judged)}
    for student in students:
        folders[student.parent.name] = exported(student, out / student.parent.name, "onnx", "fp32", length)
    bench = edgedistill.bench(
        list(folders.values()), mode="rapid", threads=(1,), lengths=(length,), reference=False, out=out / "bench.json"
    )
    found = {row.artifact: {"p90_ms": row.latency.p90_ms, "is_throttled": row.is_throttled} for row in bench.rows}
    return {name: found[folder.name] for name, folder in folders.items()}
