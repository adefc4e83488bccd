"""Cutting a step's batch into parts, for accumulation and for several processes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from edgedistill.data.batches import Batch, Encoded


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into at most `parts` batches of nearly equal size, in order; none is empty."""
    count = min(parts, len(batch))
    if count == 1:
        return [batch]
    edges = [round(number * len(batch) / count) for number in range(count + 1)]
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
    )


def _cut(encoded: Encoded, rows: slice) -> Encoded:
    return Encoded(encoded.input_ids[rows], encoded.attention_mask[rows], encoded.token_type_ids[rows])
