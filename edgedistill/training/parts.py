"""Cutting a step's batch into parts, for accumulation and for several processes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into at most `parts` batches of nearly equal size, in order; none is empty.

    The candidates of a question stay in one part.
    """
    places = range(len(batch) + 1) if batch.questions is None else _bounds(batch.questions)
    count = min(parts, len(places) - 1)
    if count == 1:
        return [batch]
    edges = [places[round(number * (len(places) - 1) / count)] for number in range(count + 1)]
    return [_rows(batch, slice(start, end)) for start, end in pairwise(edges)]


def _rows(batch: Batch, rows: slice) -> Batch:
    student = _cut(batch.student, rows)
    return replace(
        batch,
        row_ids=batch.row_ids[rows],
        student=student,
        teacher=student if batch.shares_tokens else _cut(batch.teacher, rows),
        labels=None if batch.labels is None else batch.labels[rows],
        next_sentence=None if batch.next_sentence is None else batch.next_sentence[rows],
        questions=None if batch.questions is None else batch.questions[rows],
    )


def _bounds(questions: Tensor) -> list[int]:
    """Where the rows of each question start, and where the last one's end."""
    counts = torch.unique_consecutive(questions, return_counts=True)[1]
    return [0, *counts.cumsum(dim=0).tolist()]


def _cut(encoded: Encoded, rows: slice) -> Encoded:
    return Encoded(encoded.input_ids[rows], encoded.attention_mask[rows], encoded.token_type_ids[rows])
