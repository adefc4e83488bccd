"""Does a teacher's cache say what its teacher says? Some rows are asked about again and compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.cache_card import removal
from edgedistill.errors import TrainingError
from edgedistill.models.outputs import Want
from edgedistill.training.teachers import CachedTeacher

_ROUNDING = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_ALLOWED = 1e-3
"""Of another processor, library or batch; beside what rounding to the stored precision does."""


@dataclass(frozen=True)
class Compared:
    """How far stored and new answers are from each other.

    Attributes:
        rows: how many were compared.
        difference: the largest, as a share of the answer's largest number or of 1, whichever is more.
        allowed: how large it may be.
        worst: the row with the largest one.
        what: what differs most there: "logits" or "[CLS] states".
    """

    rows: int = 0
    difference: float = 0.0
    allowed: float = _ALLOWED
    worst: str = ""
    what: str = ""

    @property
    def is_same(self) -> bool:
        """Whether the stored answers are the teacher's; a NaN is not."""
        return self.difference <= self.allowed


def compare(cached: CachedTeacher, batches: Iterable[Batch]) -> Compared:
    """Ask the teacher about rows again.

    Args:
        cached: the cache and its teacher.
        batches: stored rows; none with padding, which some models' answers depend on.

    Raises:
        TrainingError: a row is not stored, or its shard is damaged.
    """
    kept, found, rows = cached.cache.kept, [Compared()], 0
    for batch in batches:
        asked, stored = cached.ask(batch), cached(batch, Want(cls=kept.cls))
        each = [("logits", kept.logits_dtype, asked.logits, stored.logits)]
        each += [("[CLS] states", kept.cls_dtype, asked.cls, stored.cls)] if kept.cls else []
        for what, precision, new, old in each:
            allowed = _ALLOWED + _ROUNDING[precision]
            found.append(Compared(0, _difference(old, new), allowed, batch.row_ids[0], what))
        rows += len(batch)
    worst = max(found, key=lambda one: (not one.is_same, one.difference / one.allowed))
    return Compared(rows, worst.difference, worst.allowed, worst.worst, worst.what)


def refuse_other_answers(found: Compared, folder: Path) -> None:
    """Make sure that a cache says what its teacher says.

    Raises:
        TrainingError: it does not.
    """
    if not found.is_same:
        raise TrainingError(
            f"the teacher's cache '{folder}' does not say what the teacher says: of {found.rows} random rows, the "
            f"{found.what} of '{found.worst}' differ by {found.difference:.3g} of their size, {found.allowed:.2g} is "
            f"allowed. Remove it to fill it again: {removal(folder)}"
        )


def _difference(stored: Tensor | None, new: Tensor | None) -> float:
    assert stored is not None
    assert new is not None
    new = new.float()
    return float((stored - new.to(stored.device)).abs().max() / new.abs().max().clamp(min=1.0))
