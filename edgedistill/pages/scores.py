"""Which of a verdict's numbers are the task metric of the artifact, its student and its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgedistill.data.tasks import Metric
from edgedistill.pages.content import Score
from edgedistill.reports import Rung

METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "accuracy_f1": "mean of accuracy and F1",
    "matthews": "Matthews correlation",
    "pearson_spearman": "mean of Pearson and Spearman correlation",
    "ranking": "questions whose best candidate is right",
    "squad_f1": "SQuAD F1",
    "macro_f1": "macro F1",
    "entity_f1": "entity F1",
    "bleu": "BLEU",
    "rouge_l": "ROUGE-L",
}
"""Every metric in words."""


def score_of(
    who: Literal["artifact", "student", "teacher"], rungs: Sequence[Rung], metric: Metric | None
) -> Score | None:
    """A model's own score on the judged split, from the first rung that measured it."""
    if metric is None:
        return None
    for measure in (measure for rung in rungs for measure in rung.measures):
        if measure.name == f"{who}_{metric}" and measure.value is not None:
            return Score(name=METRIC_NAMES[metric], value=measure.value, low=measure.low, high=measure.high)
    return None
