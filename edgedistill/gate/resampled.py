"""Scores of many resamples at once, and how likely a score is by luck alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from edgedistill.data.entities import counts
from edgedistill.data.tasks import Metric
from edgedistill.evaluate import Floats, Labels, Predictions, correct, headline, score

WeightedScore = Callable[[Floats], Floats]
"""(R, N) weights of rows -> (R,) headline scores, one for every resample."""

_BY_ROW = frozenset({"squad_f1", "ranking", "entity_f1"})
"""Metrics whose answers are compared one by one."""


def weighted_score(
    metric: Metric, predictions: Predictions, labels: Labels, row_of: NDArray[np.int64] | None = None
) -> WeightedScore:
    """The headline as a function of row weights, for many resamples at once.

    Weights of one give exactly `headline(metric, score(...))`.

    Args:
        metric: of the task.
        predictions: classes, scores or answer texts.
        labels: right answers.
        row_of: the row each answer belongs to, where a row has several (the tags of a sentence); rising.
    """
    rows = correct(metric, predictions, labels)
    if rows is not None:
        hits, sizes = _by_row(rows[:, None], row_of), _by_row(np.ones((len(rows), 1)), row_of)
        return lambda weights: _ratio((weights @ hits)[:, 0], (weights @ sizes)[:, 0])
    if metric == "entity_f1":
        hits, answered, wanted = counts(predictions, labels).T
        return lambda weights: _ratio(2 * (weights @ hits), weights @ (answered + wanted))
    given, right = np.asarray(predictions), np.asarray(labels)
    if metric == "pearson_spearman":
        x, y = given.astype(np.float64), right.astype(np.float64)
        return lambda weights: (_weighted_pearson(weights, x, y) + _weighted_spearman(weights, x, y)) / 2
    return _weighted_classes(metric, given, right, row_of)


def chance(metric: Metric, labels: Labels) -> float:
    """The headline of the best answer that ignores the text; 0 for correlations, spans and entities.

    It is always the same class, of a ranking the candidate at the same place.
    """
    if metric in ("matthews", "pearson_spearman", "squad_f1", "entity_f1") or len(labels) == 0:
        return 0.0
    if metric == "ranking":
        return float(max(np.bincount([place for places in labels for place in places]))) / len(labels)
    right = np.asarray(labels)
    constants = [np.full(len(right), label) for label in np.unique(right)]
    return max(headline(metric, score(metric, constant, right)) for constant in constants)


def chance_p_value(metric: Metric, predictions: Predictions, labels: Labels, seed: int = 0) -> float:
    """How likely answers without any knowledge of the text would score as high as these.

    Exact binomial test against always giving the most frequent class for accuracy; a permutation test, in which
    the answers are dealt to the rows at random, for every other metric.

    Returns:
        The one-sided p-value.
    """
    if metric == "accuracy":
        rows = correct(metric, predictions, labels)
        assert rows is not None
        return float(stats.binom.sf(rows.sum() - 1, len(rows), chance(metric, labels)))
    # What is compared one by one is slow: some rows and few deals; 1 / 61 is still below 0.05.
    cap, deals = (300, 60) if metric in _BY_ROW else (len(labels), 1000)
    random = np.random.default_rng(seed)
    rows_used = random.permutation(len(labels))[:cap]
    right, given = [labels[row] for row in rows_used], [predictions[row] for row in rows_used]
    ones = np.ones((1, len(right)))
    observed = weighted_score(metric, given, right)(ones)[0]
    reached = 0
    for _ in range(deals):
        dealt = [given[row] for row in random.permutation(len(given))]
        reached += bool(weighted_score(metric, dealt, right)(ones)[0] >= observed)
    return (reached + 1) / (deals + 1)


def _by_row(values: Floats, row_of: NDArray[np.int64] | None) -> Floats:
    """(M, K) values of answers summed to (N, K) of the rows they belong to."""
    if row_of is None:
        return values
    table = np.zeros((int(row_of.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(table, row_of, values)
    return table


def _weighted_classes(
    metric: Metric, given: NDArray[Any], right: NDArray[Any], row_of: NDArray[np.int64] | None
) -> WeightedScore:
    classes = np.unique(np.concatenate([given, right]))
    is_given, is_right = given[:, None] == classes, right[:, None] == classes
    tables = [
        _by_row(t.astype(np.float32), row_of).astype(np.float32) for t in (is_given & is_right, is_given, is_right)
    ]

    def f1(hits: Floats, answered: Floats, wanted: Floats) -> Floats:
        return _ratio(2 * hits, answered + wanted)

    def weighted(weights: Floats) -> Floats:
        w = weights.astype(np.float32)
        hits, answered, wanted = (np.asarray(w @ table, dtype=np.float64) for table in tables)
        total = wanted.sum(axis=1)
        if metric == "macro_f1":
            has_rows = (answered + wanted) > 0
            return _ratio((f1(hits, answered, wanted) * has_rows).sum(axis=1), has_rows.sum(axis=1))
        if metric == "matthews":
            spread = (total**2 - (answered**2).sum(axis=1)) * (total**2 - (wanted**2).sum(axis=1))
            return _ratio(hits.sum(axis=1) * total - (answered * wanted).sum(axis=1), np.sqrt(np.maximum(spread, 0)))
        one = int(np.searchsorted(classes, 1))
        has_one = one < len(classes) and classes[one] == 1
        positive = f1(hits[:, one], answered[:, one], wanted[:, one]) if has_one else np.zeros(len(weights))
        return positive if metric == "f1" else (positive + _ratio(hits.sum(axis=1), total)) / 2

    return weighted


def _weighted_pearson(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Correlate x with y, each (N,), or (R, N) with a row of values for every resample."""
    total = weights.sum(axis=1, keepdims=True)
    dx = x - (weights * x).sum(axis=1, keepdims=True) / total
    dy = y - (weights * y).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * dx**2).sum(axis=1) * (weights * dy**2).sum(axis=1))
    return _ratio((weights * dx * dy).sum(axis=1), spread)


def _weighted_spearman(weights: Floats, x: Floats, y: Floats) -> Floats:
    return _weighted_pearson(weights, _weighted_ranks(weights, x), _weighted_ranks(weights, y))


def _weighted_ranks(weights: Floats, values: Floats) -> Floats:
    """(R, N) mid-ranks of `values` in every resample, in which row n occurs `weights[r, n]` times."""
    _, starts, group = np.unique(np.sort(values), return_index=True, return_inverse=True)
    order = np.argsort(values, kind="stable")
    group = group[np.argsort(order, kind="stable")]
    sizes = np.add.reduceat(weights[:, order].astype(np.float64), starts, axis=1)
    below = np.cumsum(sizes, axis=1) - sizes
    ranks: Floats = (below + (sizes + 1) / 2)[:, group]
    return ranks


def _ratio(above: Floats, below: Floats) -> Floats:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    result: Floats = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return result
