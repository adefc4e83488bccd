"""Which of a verdict's numbers is the artifact's task metric."""

from __future__ import annotations

from edgedistill.data.tasks import Metric
from edgedistill.pages.content import Score
from edgedistill.reports import Verdict

_METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "accuracy_f1": "mean of accuracy and F1",
    "matthews": "Matthews correlation",
    "pearson_spearman": "mean of Pearson and Spearman correlation",
    "squad_f1": "SQuAD F1",
    "macro_f1": "macro F1",
}


def artifact_score(verdict: Verdict, metric: Metric | None) -> Score | None:
    """The artifact's own score on the judged split, from the first rung that measured it."""
    if metric is None:
        return None
    for measure in (measure for rung in verdict.rungs for measure in rung.measures):
        if measure.name == f"artifact_{metric}" and measure.value is not None:
            return Score(name=_METRIC_NAMES[metric], value=measure.value, low=measure.low, high=measure.high)
    return None
