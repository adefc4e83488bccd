"""Scheme auto: the fewest weights in float that keep the metric within a budget.

Each weight is quantized alone and the error of the outputs measured on calibration text: that is the order. A prefix of
it is kept in float, the shortest that keeps the metric (doubled, then halved), and given back weight by weight where
the metric holds without. Errors of weights add up, so the order is a guide and every step is judged by the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgedistill.errors import BudgetError
from edgedistill.reports import Measure, Rung
from edgedistill.runner import Runner
from edgedistill.searches import SearchTrial

Kept = frozenset[str]
Try = Callable[[Kept], SearchTrial]
_MOST_GIVEN_BACK = 8
"""Kept weights that are tried as integers again, the least sensitive first."""


@dataclass(frozen=True)
class Judge:
    """What a search is judged by: rows set apart from those of the gate, and a budget.

    Attributes:
        accuracy: the gate's own step from the student to a model, on the search's rows.
        p90_ms: times a model at its longest input.
        metric: of the task.
        source: where the rows come from.
        max_drop: most points of the metric that may be lost.
        max_bytes: most bytes of the model file; None for any.
        max_p90_ms: longest p90 latency; None for any.
    """

    accuracy: Callable[[Runner], Rung]
    p90_ms: Callable[[Runner], float]
    metric: str
    source: str
    max_drop: float
    max_bytes: int | None = None
    max_p90_ms: float | None = None

    def trial(self, kept: int, size_bytes: int, runner: Runner) -> tuple[SearchTrial, Rung]:
        """Judge one model."""
        rung = self.accuracy(runner)
        drop = measured(rung, "drop_points")
        assert rung.status != "not_run", rung.reason
        trial = SearchTrial(
            kept=kept,
            size_bytes=size_bytes,
            status=rung.status,
            score=measured(rung, f"artifact_{self.metric}").value or 0.0,
            drop_points=drop.value or 0.0,
            low=drop.low or 0.0,
            high=drop.high or 0.0,
            p90_ms=self.p90_ms(runner) if self.max_p90_ms is not None else None,
        )
        return trial, rung


def measured(rung: Rung, name: str) -> Measure:
    """A number of a rung."""
    return next(one for one in rung.measures if one.name == name)


def fewest_in_float(ordered: Sequence[str], try_with: Try) -> Kept:
    """The weights to keep.

    Args:
        ordered: every weight, the most sensitive first.
        try_with: judges a model with some of them in float.

    Raises:
        BudgetError: not even the float model keeps the metric for certain: too few rows.
    """
    if _holds(try_with(Kept())):
        return Kept()
    shortest = _shortest_prefix(ordered, try_with)
    kept = set(ordered[:shortest])
    for name in list(reversed(ordered[: shortest - 1]))[:_MOST_GIVEN_BACK]:
        if _holds(try_with(Kept(kept - {name}))):
            kept.remove(name)
    return Kept(kept)


def refuse_over_budget(trial: SearchTrial, judge: Judge) -> None:
    """Make sure that what keeps the metric is as small and as fast as asked.

    Raises:
        BudgetError: it is not.
    """
    need = f"{judge.max_drop:g} points of {judge.metric} need {trial.kept} weights in float"
    if judge.max_bytes is not None and trial.size_bytes > judge.max_bytes:
        raise BudgetError(
            f"the budget cannot be met: {need}, which makes {trial.size_bytes:,} bytes; max_bytes is "
            f"{judge.max_bytes:,}. Allow a larger max_drop or max_bytes, try base=int4_weight, or train a smaller "
            "student."
        )
    if judge.max_p90_ms is not None and trial.p90_ms is not None and trial.p90_ms > judge.max_p90_ms:
        raise BudgetError(
            f"the budget cannot be met: {need}, which takes {trial.p90_ms:.2f} ms (p90); max_p90_ms is "
            f"{judge.max_p90_ms:g}. Allow a larger max_drop or max_p90_ms, or train a smaller student."
        )


def _shortest_prefix(ordered: Sequence[str], try_with: Try) -> int:
    """Fewest of the most sensitive weights that do, taking it that more in float never loses more."""
    too_few, enough = 0, 1
    while not _holds(trial := try_with(Kept(ordered[:enough]))):
        if enough == len(ordered):
            raise BudgetError(
                f"with every weight in float the drop is {trial.drop_points:.2f} points (95 % interval {trial.low:.2f} "
                f"to {trial.high:.2f}): {trial.status}. Give more rows: --set search_rows=4000, or a larger max_drop."
            )
        too_few, enough = enough, min(2 * enough, len(ordered))
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if _holds(try_with(Kept(ordered[:middle]))) else (middle, enough)
    return enough


def _holds(trial: SearchTrial) -> bool:
    return trial.status == "passed"
