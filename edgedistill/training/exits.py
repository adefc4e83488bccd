"""What early exits cost and keep: the curve of score against speed, and the speed that meets a target.

Speeds are chosen on the development rows; the judged rows only say what the choice came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgedistill.data.batches import Batch
from edgedistill.errors import ConfigError
from edgedistill.models.early_exit import refuse_negative, uncertainty
from edgedistill.models.fastbert import FastBertForSequenceClassification
from edgedistill.models.macs import RULES, exit_macs, flops, full_macs
from edgedistill.models.outputs import Outputs, Want
from edgedistill.progress import say
from edgedistill.reports import ExitPoint, ExitReport, FlopsCount, MacsRule
from edgedistill.training.exit_clock import milliseconds
from edgedistill.training.judging import collect, scored

if TYPE_CHECKING:
    from edgedistill.data.rows import Rows
    from edgedistill.data.task_data import TaskData

SPEEDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Where every curve is read; the paper shows 0.1, 0.5 and 0.8."""
_CANDIDATES, _PUBLISHED = 64, 15
_LEAVES_AT_ONCE = 1.01
_TIE, _FEW = 1e-5, 1e-3
"""A speed this close to a text's uncertainty, as a share of it, lets the text leave elsewhere on another runtime, which
rounds otherwise; and for how many of the texts that may be so."""


@dataclass(frozen=True)
class ExitAnswers:
    """Every classifier's answer to some rows: all that any speed's score and cost follow from.

    Attributes:
        logits: (N, L, C) float32.
        lengths: (N,) tokens of each row.
        rows: what was asked.
        data: the task, for its metric and its padded length.
        config: of the FastBERT.
    """

    logits: NDArray[np.float32]
    lengths: NDArray[np.int64]
    rows: Rows
    data: TaskData
    config: Any

    @property
    def uncertainties(self) -> NDArray[np.float32]:
        """(N, L) in 0..1."""
        return uncertainty(torch.from_numpy(self.logits)).numpy()

    def score_at(self, layers: NDArray[np.int64]) -> float:
        """The task's metric where each row is answered by its own layer (from 1)."""
        chosen = self.logits[np.arange(len(layers)), layers - 1]
        return scored(list(chosen), self.rows, self.data)


def ask_exits(model: FastBertForSequenceClassification, rows: Rows, data: TaskData) -> ExitAnswers:
    """Every classifier's answer to all rows, in their order."""
    device, depth = next(model.parameters()).device, int(model.config.num_hidden_layers)
    model.eval()

    def ask(batch: Batch, want: Want) -> Outputs:
        return Outputs(logits=model.exit_logits(batch.to(device).student))

    flat = collect(ask, rows, data.task.kind)
    logits = np.stack(flat).reshape(len(rows), depth, -1)
    return ExitAnswers(logits, np.asarray(rows.lengths, dtype=np.int64), rows, data, model.config)


def leave_at(uncertainties: NDArray[np.float32], speed: float) -> NDArray[np.int64]:
    """Layer (from 1) at which each row leaves.

    Args:
        uncertainties: (N, L).
        speed: the first layer whose uncertainty is below it answers, the last layer in any case.
    """
    is_certain = uncertainties < refuse_negative(speed)
    is_certain[:, -1] = True
    layers: NDArray[np.int64] = is_certain.argmax(axis=1).astype(np.int64) + 1
    return layers


def point(answers: ExitAnswers, speed: float, count: FlopsCount = "paper") -> ExitPoint:
    """Score and cost of one speed."""
    layers, depth = leave_at(answers.uncertainties, speed), answers.logits.shape[1]
    padded, config = answers.data.max_length, answers.config
    per_rule: dict[MacsRule, float] = {}
    for rule in RULES:
        length = padded if rule.startswith("padded") else answers.lengths
        per_rule[rule] = float(_spent(config, length, layers, speed, rule.endswith("all")).mean())
    asked = layers.mean() if speed > 0 else 1.0
    spent = flops(config, per_rule["padded_linear"], asked, count)
    return ExitPoint(
        speed=speed,
        score=answers.score_at(layers),
        mean_layers=float(layers.mean()),
        left_at=tuple(float((layers == number).mean()) for number in range(1, depth + 1)),
        macs=per_rule,
        flops=float(spent),
        speedup=float(flops(config, full_macs(config, padded), 1, count) / spent),
    )


def _spent(config: Any, length: Any, layers: NDArray[np.int64], speed: float, as_computed: bool) -> NDArray[np.float64]:
    """(N,) MACs of each row; speed 0 asks no classifier but the last."""
    if speed == 0.0:
        return np.broadcast_to(np.asarray(full_macs(config, length, as_computed=as_computed), float), layers.shape)
    each = np.stack(
        [np.broadcast_to(total, layers.shape) for total in exit_macs(config, length, as_computed=as_computed)]
    )
    return each[layers - 1, np.arange(len(layers))].astype(float)


def curve(answers: ExitAnswers, speeds: Sequence[float] = SPEEDS, count: FlopsCount = "paper") -> tuple[ExitPoint, ...]:
    """Score and cost of several speeds."""
    return tuple(point(answers, speed, count) for speed in speeds)


def candidates(answers: ExitAnswers) -> tuple[ExitPoint, ...]:
    """The curve, finely: what a speed is chosen on, every one of which means the same to all runtimes.

    Exits that have learnt little are unsure of everything to the last bits: then 1 is such a speed as is left out.
    """
    uncertain = answers.uncertainties[:, :-1]
    every = {*SPEEDS, *speeds_of(answers, _CANDIDATES), _LEAVES_AT_ONCE}
    return curve(answers, sorted(speed for speed in every if speed == 0.0 or not _is_torn(uncertain, speed)))


def _is_torn(uncertain: NDArray[np.float32], speed: float) -> bool:
    near = np.abs(uncertain.astype(np.float64) - speed) <= _TIE * speed
    return bool(near.any(axis=1).mean() > _FEW)


def speeds_of(answers: ExitAnswers, count: int) -> list[float]:
    """Speeds at which this model's texts leave here and there: even shares of the uncertainties that occur.

    A model may be unsure of everything or sure of everything, and then no speed in between does anything.
    """
    found = np.quantile(answers.uncertainties[:, :-1], np.linspace(0, 1, count))
    return [float(f"{value:.4g}") for value in found]


def calibrate(
    points: Sequence[ExitPoint],
    *,
    score: float | None = None,
    budget: float | None = None,
    costs: Sequence[float] | None = None,
) -> ExitPoint:
    """Choose a speed on the development rows: the cheapest that scores enough, or the best that costs little enough.

    Args:
        points: of the development rows, never of those that give the verdict.
        score: least score wanted; the cheapest such point is taken.
        budget: most mean cost wanted; the best-scoring such point is taken.
        costs: cost of leaving at each layer, in the budget's unit: milliseconds as measured, say. None: MACs as they
            are computed at each text's own length.

    Raises:
        ConfigError: not exactly one target, costs for another number of layers, or a target that no speed meets.
    """
    if (score is None) == (budget is None):
        raise ConfigError("give a score to keep or a budget to meet: one of them.")
    if costs is not None and len(costs) != len(points[0].left_at):
        raise ConfigError(f"costs: {len(costs)} numbers for {len(points[0].left_at)} layers. Give one a layer.")
    cost = {
        point.speed: point.macs["true_all"] if costs is None else float(np.dot(point.left_at, costs))
        for point in points
    }
    if score is not None:
        enough = [point for point in points if point.score >= score]
        if not enough:
            best = max(point.score for point in points)
            raise ConfigError(f"no speed scores {score:.4f} on the development rows; the best one has {best:.4f}.")
        return min(enough, key=lambda point: (cost[point.speed], -point.score))
    assert budget is not None
    cheap = [point for point in points if cost[point.speed] <= budget]
    if not cheap:
        raise ConfigError(f"no speed costs {budget:g} or less; leaving at the first exit costs {min(cost.values()):g}.")
    return max(cheap, key=lambda point: (point.score, -cost[point.speed]))


def area(points: Sequence[ExitPoint]) -> float:
    """Mean of the best score within a budget, over all budgets from the cheapest point's to the dearest's.

    One number for a whole curve, by which epochs are compared: higher is better. Costs are MACs as computed.
    """
    order = sorted(points, key=lambda point: point.macs["true_all"])
    costs = np.array([point.macs["true_all"] for point in order])
    best = np.maximum.accumulate([point.score for point in order])
    if costs[-1] == costs[0]:
        return float(best[-1])
    return float((best[:-1] * np.diff(costs)).sum() / (costs[-1] - costs[0]))


def dev_area(model: FastBertForSequenceClassification, data: TaskData) -> float:
    """`area` on the development rows: what chooses between epochs of self-distillation."""
    return area(candidates(ask_exits(model, data.dev, data)))


@dataclass(frozen=True)
class Target:
    """What the speed of a student is chosen by.

    Attributes:
        max_drop: points of the metric that leaving early may cost, against the last classifier; the cheapest is taken.
        max_cost: where given it decides instead, and the best score within it: most mean MACs, as a share of those
            without exits.
        max_ms: likewise, in milliseconds of a text asked alone.
        exit_ms: milliseconds until each exit has answered, for `max_ms`.
    """

    max_drop: float = 0.5
    max_cost: float | None = None
    max_ms: float | None = None
    exit_ms: tuple[float, ...] = ()


def choose(answers: ExitAnswers, target: Target) -> ExitPoint:
    """The speed a student is given, on the development rows.

    Where not even the cheapest speed meets a budget, that one is taken, and that is said.
    """
    points, full = candidates(answers), point(answers, 0.0)
    if target.max_ms is not None:
        costs, unit, most = target.exit_ms, "max_ms", target.max_ms
        least = min(float(np.dot(each.left_at, costs)) for each in points)
    elif target.max_cost is not None:
        costs, unit, most = (), "max_cost", target.max_cost
        whole = full.macs["true_all"]
        least = min(each.macs["true_all"] for each in points) / whole
    else:
        return calibrate(points, score=full.score - target.max_drop / 100)
    if least > most:
        say(f"{unit} is {most:g}, but leaving at the first exit costs {least:.3f} already: that is taken")
    budget = max(most, least) * (1 if costs else full.macs["true_all"])
    return calibrate(points, budget=budget, costs=costs or None)


def exit_report(
    model: FastBertForSequenceClassification, data: TaskData, target: Target, count: FlopsCount = "paper"
) -> ExitReport:
    """Choose a speed on the development rows, and say what every speed costs there and on the judged rows.

    Args:
        model: trained.
        data: the task's rows.
        target: what the speed is chosen by; milliseconds that it needs and lacks are measured here.
        count: how FLOPs are counted.
    """
    if target.max_ms is not None and not target.exit_ms:
        target = replace(target, exit_ms=milliseconds(model, data.dev))
    dev, judged = (ask_exits(model, rows, data) for rows in (data.dev, data.judged))
    depth = dev.logits.shape[1]
    chosen = choose(dev, target).speed
    speeds = sorted({*SPEEDS, *speeds_of(dev, _PUBLISHED), chosen})
    return ExitReport(
        metric=data.task.metric,
        speed=chosen,
        **asdict(target),
        flops_count=count,
        padded_length=data.max_length,
        dev_rows=len(data.dev),
        judged_rows=len(data.judged),
        each_exit=tuple(dev.score_at(np.full(len(data.dev), number)) for number in range(1, depth + 1)),
        dev=curve(dev, speeds, count),
        judged=curve(judged, speeds, count),
    )
