"""Logits of the judged split as answers that a metric can score, resampled by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.entities import entities_of
from edgedistill.data.tasks import IGNORED, Metric
from edgedistill.evaluate import (
    Floats,
    Labels,
    Predictions,
    answer_texts,
    decide,
    headline,
    rankings,
    score,
)
from edgedistill.gate.case import Case
from edgedistill.gate.resampled import WeightedScore, weighted_score


@dataclass(frozen=True)
class Answers:
    """One model's answers to the labelled rows.

    Attributes:
        metric: of the task.
        given: its answers: classes, scores, texts, the tags of all rows in one list, each sentence's entities, or each
            question's ranking.
        right: the labels, likewise.
        row_of: the row each answer belongs to, where a row has several: a sentence's tags are resampled together.
        rows: how many rows; of a ranking how many questions, whose candidates are resampled together.
    """

    metric: Metric
    given: Predictions
    right: Labels
    row_of: NDArray[np.int64] | None
    rows: int

    @property
    def score(self) -> float:
        """The headline, in 0..1."""
        return headline(self.metric, score(self.metric, self.given, self.right))

    def weighted(self, weights: Floats) -> Floats:
        """(R, N) weights of rows to (R,) headlines."""
        answered = weights if self.row_of is None else weights[:, : int(self.row_of.max(initial=-1)) + 1]
        return self._weighted(answered)

    @cached_property
    def _weighted(self) -> WeightedScore:
        return weighted_score(self.metric, self.given, self.right, self.row_of)


def labelled(case: Case) -> list[int]:
    """Positions of the stored rows that have a label."""
    return [place for place, row in enumerate(case.reference) if row.label is not None]


def answers(case: Case, logits: Sequence[Floats]) -> Answers:
    """What logits for the whole stored split answer on its labelled rows.

    Args:
        case: with a task and a metric.
        logits: one flat array for every row of `case.reference`.
    """
    assert case.kind is not None
    metric = case.manifest.task.metric or "accuracy"
    places = labelled(case)
    rows = [case.reference[place] for place in places]
    chosen = [logits[place] for place in places]
    right: list[Any] = [row.label for row in rows]
    if case.kind == "span":
        contexts = [row.text_pair or "" for row in rows]
        length = case.manifest.tokenizer.max_length
        given: list[Any] = answer_texts(case.tokenizer, [row.text for row in rows], contexts, chosen, length)
    elif case.kind == "tokens":
        return _tags(case, metric, chosen, right)
    elif case.kind == "ranking":
        orders, places_right = rankings(decide(case.kind, chosen), right)
        return Answers(metric, orders, places_right, None, len(orders))
    else:
        given = decide(case.kind, chosen)
    return Answers(metric, given, right, None, len(rows))


def _tags(case: Case, metric: Metric, logits: Sequence[Floats], labels: Sequence[Sequence[int]]) -> Answers:
    rows = [
        decide("tokens", [case.shaped(flat, len(tags))])[0] if len(tags) else ()
        for flat, tags in zip(logits, labels, strict=True)
    ]
    if metric == "entity_f1":
        names = case.manifest.labels
        found = [entities_of(answered, tags, names) for answered, tags in zip(rows, labels, strict=True)]
        return Answers(metric, [one for one, _ in found], [two for _, two in found], None, len(labels))
    given: list[int] = []
    right: list[int] = []
    row_of: list[int] = []
    for row, (answered, tags) in enumerate(zip(rows, labels, strict=True)):
        for one, two in zip(answered, tags, strict=False):
            if two != IGNORED:
                given.append(one)
                right.append(two)
                row_of.append(row)
    return Answers(metric, given, right, np.array(row_of, dtype=np.int64), len(labels))
