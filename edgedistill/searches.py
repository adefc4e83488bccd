"""How scheme auto was found: what was tried, and what each trial cost."""

from __future__ import annotations

from typing import Literal

from edgedistill.config import Settings


class SearchPart(Settings):
    """A weight that the search could leave in float."""

    name: str
    """In the graph."""
    numbers: int
    """In it."""
    error: float | None
    """Relative error of the outputs where it alone is quantized: what the search orders the weights by. Not measured
    where the metric is kept with none of them in float."""
    is_kept: bool
    """Whether it is left in float."""


class SearchTrial(Settings):
    """A model that was tried."""

    kept: int
    """Weights in float."""
    size_bytes: int
    """Of the model file."""
    status: Literal["passed", "failed", "inconclusive"]
    """Whether it keeps the metric, by the gate's own rule."""
    score: float
    """The metric on the search's rows."""
    drop_points: float
    """Points it loses against the student."""
    low: float
    """Lower end of the drop's 95 % interval."""
    high: float
    """Upper end."""
    p90_ms: float | None = None
    """Latency, where a budget asks for it."""


class SearchReport(Settings):
    """The search: its budget, every weight, every trial."""

    base: str
    """Scheme of the weights that are not kept."""
    metric: str
    """Of the task."""
    rows: int
    """Labelled rows it was judged on; none of them is among those the gate judges on."""
    source: str
    """Where they come from."""
    student_score: float
    """The student's own on them."""
    max_drop: float
    """Budget, in points of the metric."""
    max_bytes: int | None = None
    """Budget; none for any size."""
    max_p90_ms: float | None = None
    """Budget; none for any latency."""
    parts: tuple[SearchPart, ...]
    """Every weight, the most sensitive first."""
    trials: tuple[SearchTrial, ...]
    """In the order they were tried."""
    chosen: SearchTrial
    """What was written."""
    recall_change_points: dict[str, float] = {}
    """Points of recall each label gains or loses; the worst ones where there are many."""

    @property
    def sentence(self) -> str:
        """It in one line."""
        kept = [part.name for part in self.parts if part.is_kept]
        left = f"{len(kept)} of {len(self.parts)} weights in float" + (f" ({', '.join(kept[:4])})" if kept else "")
        chosen = self.chosen
        return (
            f"{self.base}, {left}: {chosen.drop_points:.2f} points lost (95 % interval {chosen.low:.2f} to "
            f"{chosen.high:.2f}) on {self.rows} rows, at most {self.max_drop:g} asked; {len(self.trials)} trials"
        )
