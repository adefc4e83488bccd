"""Scheme auto: the fewest weights in float that keep the metric within a budget.

Where the metric is lost with every weight quantized, each is quantized alone and the error of the outputs measured on
calibration text: that is the order. A prefix of it is kept in float, the shortest that keeps the metric (doubled, then
halved), and given back weight by weight where the metric holds without. Errors of weights add up, so the order is a
guide and every step is judged by the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import BudgetError, ExportError
from edgedistill.progress import progress, say
from edgedistill.quant.calibration import Calibration
from edgedistill.reports import Measure, Rung
from edgedistill.runner import Arrays, Runner
from edgedistill.searches import SearchPart, SearchReport, SearchTrial

Kept = frozenset[str]
Try = Callable[[Kept], SearchTrial]
NEEDED = "the metric needs it: see the search's table"
"""Why a weight that the search chose is in float."""
_TEXTS = 32
"""Calibration texts that sensitivity is measured on."""
_RECALL = "recall_change_points/"
_TINY = 1e-12
_MOST_GIVEN_BACK = 8
"""Kept weights that are tried as integers again, the least sensitive first."""


class Mixed(Protocol):
    """A float model of some target, any of whose weights can be left in float while the others become integers."""

    @property
    def base(self) -> str:
        """Scheme of the weights that are not kept."""
        ...

    @property
    def numbers(self) -> Mapping[str, int]:
        """Its weights, with how many numbers each has."""
        ...

    def watched(self, kept: Kept) -> Runner:
        """The model with some weights in float, as quickly as it can be had."""
        ...

    def made(self, kept: Kept) -> tuple[int, Runner]:
        """The same as it would be written: bytes of its file, and the model."""
        ...


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


def search(model: Mixed, calibration: Calibration, judge: Judge) -> tuple[Kept, SearchReport]:
    """Find the fewest weights to keep in float.

    Args:
        model: the float model.
        calibration: text that sensitivity is measured on.
        judge: rows and budget.

    Raises:
        ExportError: there is nothing to quantize.
        BudgetError: nothing meets the budget.
    """
    if not model.numbers:
        raise ExportError(f"scheme '{model.base}' finds no weight to make integers of in this model.")
    trials: dict[Kept, tuple[SearchTrial, Rung]] = {}

    def try_with(kept: Kept) -> SearchTrial:
        if kept not in trials:
            trials[kept] = judge.trial(len(kept), *model.made(kept))
            trial = trials[kept][0]
            say(f"{len(kept)} weights in float: {trial.drop_points:.2f} points lost, {trial.status}")
        return trials[kept][0]

    needs_some = not _holds(try_with(Kept()))
    errors = _errors(model, calibration) if needs_some else {}
    ordered = sorted(model.numbers, key=lambda name: (-errors.get(name, 0.0), name))
    kept = fewest_in_float(ordered, try_with)
    chosen, rung = trials[kept]
    refuse_over_budget(chosen, judge)
    return kept, SearchReport(
        base=model.base, metric=judge.metric, rows=rung.rows, source=judge.source,
        student_score=measured(rung, f"student_{judge.metric}").value or 0.0,
        max_drop=judge.max_drop, max_bytes=judge.max_bytes, max_p90_ms=judge.max_p90_ms,
        parts=tuple(
            SearchPart(name=name, numbers=model.numbers[name], error=errors.get(name), is_kept=name in kept)
            for name in ordered
        ),
        trials=tuple(trial for trial, _ in trials.values()),
        chosen=chosen,
        recall_change_points={
            one.name.removeprefix(_RECALL): one.value or 0.0 for one in rung.measures if one.name.startswith(_RECALL)
        },
    )  # fmt: skip


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
            f"{judge.max_bytes:,}. Allow a larger max_drop or max_bytes, try another base (base=int4_weight, where the "
            "target has it), or train a smaller student."
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


def _errors(model: Mixed, calibration: Calibration) -> dict[str, float]:
    """Relative error of the outputs with one weight quantized, by its name."""
    names, texts = Kept(model.numbers), list(islice(calibration.inputs(), _TEXTS))
    right, errors = _outputs(model.watched(names), texts), {}
    with progress(f"sensitivity of {len(names)} weights", len(names)) as tracker:
        for name in model.numbers:
            found = _outputs(model.watched(names - {name}), texts)
            error = float(np.linalg.norm(found - right) / max(float(np.linalg.norm(right)), _TINY))
            errors[name] = float(f"{error:.3g}")
            tracker.advance()
    return errors


def _outputs(run: Runner, texts: list[Arrays]) -> NDArray[Any]:
    return np.concatenate([np.ravel(value) for text in texts for value in run(text).values()])
