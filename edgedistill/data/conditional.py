"""Source and target read as one text, with words of the target hidden (Chen et al., 2020, section 3.1).

[CLS] source [SEP] target [SEP]: only tokens of the target and its closing one are ever hidden, always behind [MASK].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.masking import Unmasked
from edgedistill.data.order import Size
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import ConfigError, DataError

STRIDE = 7
"""Every seventh token hidden is 14.3 %, close to the 15 % of training (section 3.2)."""


@dataclass(frozen=True)
class Blanks:
    """The two tokens that are written over a text: [MASK] where a word is hidden, padding behind its end."""

    mask: int
    pad: int

    @classmethod
    def of(cls, tokenizer: Any) -> Blanks:
        """Those of a fast tokenizer with a mask token."""
        return cls(int(tokenizer.mask_token_id), int(tokenizer.pad_token_id or 0))


def target_of(batch: Batch) -> Tensor:
    """(B, T) tokens to be written.

    Raises:
        DataError: the rows have none.
        ConfigError: teacher and student number words otherwise.
    """
    if batch.labels is None:
        raise DataError("the training rows have no texts to learn to write.")
    if not batch.shares_tokens:
        raise ConfigError("words can be compared only where teacher and student share a tokenizer.")
    return batch.labels


def joined(source: Encoded, target: Tensor, pad_id: int) -> tuple[Encoded, Tensor]:
    """Put every row's target behind its source, as the second text of a pair.

    Args:
        source: (B, S) tokens, special ones included.
        target: (B, T) int64 tokens, the end included; -100 behind it.
        pad_id: what fills a row up.

    Returns:
        (B, W) tokens, and (B, W) bool, which of them are the target's.
    """
    is_written = target.ne(IGNORED)
    starts = source.attention_mask.sum(dim=1, keepdim=True)
    ends = starts + is_written.sum(dim=1, keepdim=True)
    places = torch.arange(int(ends.max()), device=target.device)
    is_source, is_real = places < starts, places < ends
    is_target = is_real & ~is_source
    ids = torch.full_like(is_real, pad_id, dtype=torch.int64)
    ids[is_source] = source.input_ids[source.attention_mask.bool()]
    ids[is_target] = target[is_written]
    return Encoded(ids, is_real.long(), is_target.long()), is_target


def random_words(is_target: Tensor, rate: float, random: np.random.Generator) -> Tensor:
    """Choose each token with the same chance, again and again until a row has one.

    Args:
        is_target: (B, W) bool, what may be chosen.
        rate: chance of each.
        random: decides.

    Returns:
        (B, W) bool.
    """
    chosen = torch.zeros_like(is_target)
    open_rows = is_target.any(dim=1)
    while bool(open_rows.any()):
        again = torch.from_numpy(random.random((int(open_rows.sum()), is_target.shape[1])) < rate)
        chosen[open_rows] = again & is_target[open_rows]
        open_rows = is_target.any(dim=1) & ~chosen.any(dim=1)
    return chosen


def strided_words(is_target: Tensor, stride: int = STRIDE) -> Iterator[Tensor]:
    """Masks that together hide every target token exactly once, each the i-th, (i + stride)-th, ... of every row.

    Args:
        is_target: (B, W) bool.
        stride: how many masks; a target of fewer tokens is hidden token by token.

    Yields:
        (B, W) bool.
    """
    number = is_target.long().cumsum(dim=1) - 1
    for first in range(min(stride, int(is_target.sum(dim=1).max()))):
        yield is_target & number.remainder(stride).eq(first)


def covered(batch: Batch, blanks: Blanks, stride: int = STRIDE) -> Iterator[tuple[Encoded, Tensor, Tensor]]:
    """Hide every target token of a batch exactly once.

    Args:
        batch: of pairs.
        blanks: of its tokenizer.
        stride: between tokens hidden together.

    Yields:
        (b, W) tokens of the rows with a hidden one; (b, W) bool, which are hidden; and (n,) int64, the numbers of these
        among all target tokens, counted row by row.
    """
    whole, is_target = joined(batch.student, target_of(batch), blanks.pad)
    number = (is_target.flatten().long().cumsum(dim=0) - 1).view_as(is_target)
    for is_hidden in strided_words(is_target, stride):
        rows = is_hidden.any(dim=1)
        ids = whole.input_ids.masked_fill(is_hidden, blanks.mask)
        shown = Encoded(ids[rows], whole.attention_mask[rows], whole.token_type_ids[rows])
        yield shown, is_hidden[rows], number[is_hidden]


class Conditional:
    """Pairs as one text each, other words of the target hidden in every epoch; labels are as those of `Masked`."""

    def __init__(self, rows: Unmasked, blanks: Blanks, rate: float = 0.15) -> None:
        """Wrap rows.

        Args:
            rows: of a task of kind generation; teacher and student read the same tokens.
            blanks: of those tokens.
            rate: chance of each target token to be hidden.
        """
        self._rows, self._blanks, self._rate = rows, blanks, rate

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """The rows' own order, other masks; a function of seed and epoch."""
        random = np.random.default_rng([seed, epoch, 0xC313])
        for batch in self._rows.epoch(seed, epoch, batch_size):
            whole, is_target = joined(batch.student, target_of(batch), self._blanks.pad)
            is_hidden = random_words(is_target, self._rate, random)
            shown = replace(whole, input_ids=whole.input_ids.masked_fill(is_hidden, self._blanks.mask))
            labels = torch.where(is_hidden, whole.input_ids, torch.tensor(IGNORED))
            ids = tuple(f"{row}~{epoch}" for row in batch.row_ids)  # other tokens: no stored answer is about them
            yield replace(batch, row_ids=ids, student=shown, teacher=shown, labels=labels)
