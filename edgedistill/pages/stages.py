"""What a page says about the phases of training: their losses, and what they took."""

from __future__ import annotations

from edgedistill.config import Settings


class Trace(Settings):
    """One loss term of one stage."""

    term: str
    """Name; `loss` is the sum."""
    steps: tuple[int, ...]
    """Optimiser steps, rising."""
    values: tuple[float | None, ...]
    """Means over the lines of the log between one shown step and the next; none where none was finite."""


class Cost(Settings):
    """What a stage took, by its log."""

    rows_per_s: float
    """Rows of every second that was spent in steps, waiting for data included."""
    tokens_per_s: float
    """Real tokens of every second, the student's."""
    padding: float
    """Share of the batches' places that was padding, which is computed for nothing."""
    memory_bytes: int | None
    """Most memory: on the GPU where there was one, else of the process; none where nobody said."""
    phases: dict[str, float]
    """Seconds by what they went into."""


class StageContent(Settings):
    """One phase of training."""

    name: str
    """Folder name, such as 01-transfer."""
    steps: int
    """Optimiser steps."""
    seconds: float | None
    """Time it took."""
    rows: int | None
    """Rows it read."""
    traces: tuple[Trace, ...]
    """Its losses."""
    cost: Cost | None = None
    """What it took; none where an older version wrote the log."""
