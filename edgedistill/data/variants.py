"""Rows and a fixed number of variants of each, in which words are replaced by candidates; labels come from the teacher.

A variant is a function of the seed, its row's id and its number: the same in every stage, every epoch and every
resumed run. In the two texts of a pair only one is changed, beside the other as it was.

Reference: Jiao et al., 2020 (TinyBERT), section 3.2 and algorithm 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.candidates import Candidates
from edgedistill.data.order import Size


class Originals(Protocol):
    """Rows in batches (`data.rows.Rows`)."""

    def __len__(self) -> int: ...

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in random order."""
        ...


@dataclass(frozen=True)
class How:
    """How rows are varied.

    Attributes:
        copies: N, variants of each row.
        share: p, how likely each replaceable word is replaced.
        seed: of the variants.
        keeps_labels: whether a variant keeps its row's label; else no batch has any.
    """

    copies: int
    share: float
    seed: int
    keeps_labels: bool = False


class Variants:
    """N + 1 times as many rows: each one as it is, and N variants of it."""

    def __init__(self, rows: Originals, find: Callable[[], Candidates], how: How, pad_id: int = 0) -> None:
        """Wrap rows.

        Args:
            rows: teacher and student read the same tokens.
            find: looks for candidates; called once, by `prepare` or when the first batch is wanted.
            how: they are varied.
            pad_id: the tokenizer's.
        """
        self._rows, self._find, self._how, self._pad_id = rows, find, how, pad_id

    def __len__(self) -> int:
        """How many rows, variants counted."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each pass, variants counted: no batch is of two."""
        return (len(self._rows),) * (self._how.copies + 1)

    def prepare(self) -> None:
        """Look for candidates now, if they were not yet."""
        _ = self._candidates

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """Every row and every variant once: N + 1 passes over the rows, which mix originals and variants."""
        passes = self._how.copies + 1
        for number in range(passes):
            for batch in self._rows.epoch(seed, epoch * passes + number, batch_size):
                yield self._varied(batch, [(_hash(row) + number) % passes for row in batch.row_ids])

    def _varied(self, batch: Batch, variants: list[int]) -> Batch:
        lengths = batch.student.attention_mask.sum(dim=1).tolist()
        rows = zip(batch.row_ids, variants, lengths, batch.student.input_ids, batch.student.token_type_ids, strict=True)
        texts = [self._text(row, variant, ids[:length], types[:length]) for row, variant, length, ids, types in rows]
        tokens = _padded(texts, self._pad_id)
        names = (f"{row}~{variant}" if variant else row for row, variant in zip(batch.row_ids, variants, strict=True))
        labels = batch.labels if self._how.keeps_labels else None
        return replace(batch, row_ids=tuple(names), student=tokens, teacher=tokens, labels=labels)

    def _text(self, row: str, variant: int, ids: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        if not variant:
            return ids, types
        candidates, place = self._candidates, self._place[row]
        words = slice(int(candidates.offsets[place]), int(candidates.offsets[place + 1]))
        random = np.random.default_rng([self._how.seed, _hash(row), variant])
        return vary(ids, types, candidates.places[words], candidates.table[words], self._how.share, random)

    @cached_property
    def _candidates(self) -> Candidates:
        return self._find()

    @cached_property
    def _place(self) -> dict[str, int]:
        return {row: number for number, row in enumerate(self._candidates.row_ids)}


def vary(
    ids: Tensor, types: Tensor, places: Tensor, table: Tensor, share: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Replace words of one text, or of one of the two texts of a pair.

    Args:
        ids: (S,) int64 tokens, no padding.
        types: (S,) int64 token types.
        places: (W, 3), as `Candidates` has them.
        table: (W, K) candidates.
        share: how likely each word is replaced.
        random: decides.

    Returns:
        Tokens and types; as many words, and fewer tokens where a word of several pieces was replaced.
    """
    if not len(places):
        return ids, types
    sides = sorted(set(places[:, 2].tolist()))
    side = sides[random.integers(len(sides))]
    chosen = (random.random(len(places)) < share) & (places[:, 2].numpy() == side)
    picks = random.integers(table.shape[1], size=len(places))
    new_ids, new_types, done = [], [], 0
    for word in np.flatnonzero(chosen):
        first, end = int(places[word, 0]), int(places[word, 1])
        new_ids += [ids[done:first], table[word, picks[word]].long()[None]]
        new_types += [types[done : first + 1]]
        done = end
    return torch.cat([*new_ids, ids[done:]]), torch.cat([*new_types, types[done:]])


def _padded(texts: list[tuple[Tensor, Tensor]], pad_id: int) -> Encoded:
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad([ids for ids, _ in texts], batch_first=True, padding_value=pad_id)
    types = pad([types for _, types in texts], batch_first=True)
    lengths = torch.tensor([len(ids) for ids, _ in texts])
    return Encoded(ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long(), types)


def _hash(row: str) -> int:
    return zlib.crc32(row.encode())
