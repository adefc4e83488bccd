"""The written trace of a stage: one JSON line a step, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from edgedistill import files

LOG = "log.jsonl"
SCORES = "scores.jsonl"


@dataclass(frozen=True)
class Line:
    """One optimiser step.

    Attributes:
        stage: name of the stage.
        step: counted from 1.
        epoch: passes over the data so far, with the current part of one.
        seconds: since the stage began, interruptions left out.
        lr: learning rate of the step.
        loss: sum of the terms.
        terms: each weighted loss term, the mean over the step's rows.
        grad_norm: global gradient norm before clipping.
        rows: rows of the step.
        tokens: real tokens of the step, the student's.
        places: what they and their padding take up in the step's batch.
        phases: seconds by what they went into: waiting for `data`, computing `losses` and
            `gradients`, their `exchange` among several processes, the `update`.
        memory_bytes: most that was ever held: on the GPU where there is one, else by this process; none: nobody says.
    """

    stage: str
    step: int
    epoch: float
    seconds: float
    lr: float
    loss: float
    terms: dict[str, float]
    grad_norm: float
    rows: int
    tokens: int
    places: int
    phases: dict[str, float]
    memory_bytes: int | None

    @property
    def tokens_per_s(self) -> float:
        """Real tokens of a second of this step."""
        return self.tokens / max(sum(self.phases.values()), 1e-9)


class Journal:
    """Where a stage's lines go."""

    def __init__(self, log: TextIO, scores: TextIO, board: Any) -> None:
        self._log, self._scores, self._board = log, scores, board

    def step(self, line: Line) -> None:
        """Write one step."""
        self._log.write(json.dumps(asdict(line)) + "\n")
        if self._board is not None:
            numbers = {"loss": line.loss, "lr": line.lr, "grad_norm": line.grad_norm, **line.terms}
            for name, value in numbers.items():
                self._board.add_scalar(f"{line.stage}/{name}", value, line.step)

    def score(self, stage: str, step: int, epoch: float, score: float) -> None:
        """Write what the model scored after an epoch."""
        self._scores.write(json.dumps({"stage": stage, "step": step, "epoch": epoch, "score": score}) + "\n")
        if self._board is not None:
            self._board.add_scalar(f"{stage}/score", score, step)

    def flush(self) -> None:
        """Hand everything written so far to the system, before a checkpoint says it happened."""
        self._log.flush()
        self._scores.flush()


@contextmanager
def journal(slot: Path | None, board: Path | None, step: int) -> Iterator[Journal]:
    """Open the trace of a stage to write on after `step`; later lines, of work that was lost, are dropped.

    Args:
        slot: the stage's folder; none for a process that writes nothing.
        board: TensorBoard's folder; none to leave it out.
        step: the last step that counts.
    """
    if slot is None:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            yield Journal(nowhere, nowhere, None)
        return
    with files.storage_errors(slot):
        slot.mkdir(parents=True, exist_ok=True)
        for name in (LOG, SCORES):
            _cut(slot / name, step)
        writer = None if board is None else _board(board, step)
        try:
            with (slot / LOG).open("a", encoding="utf-8") as log, (slot / SCORES).open("a", encoding="utf-8") as scores:
                yield Journal(log, scores, writer)
        finally:
            if writer is not None:
                writer.close()


def _cut(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            is_kept = json.loads(text)["step"] <= step
        except (ValueError, KeyError):
            break  # the torn last line of a killed process
        if is_kept:
            kept.append(text)
    files.write_text(path, "".join(kept))


def _board(folder: Path, step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(log_dir=str(folder), purge_step=step + 1 if step else None)
