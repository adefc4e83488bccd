"""Masked words: rows with some tokens hidden, and what they were as labels (Devlin et al., 2019, section 3.1).

Of each row's tokens 15 % are chosen, at least one and never a special one; of these 80 % become [MASK], 10 % another
token and 10 % stay. Masks are dynamic: other ones in every epoch (Liu et al., 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.order import Size
from edgedistill.data.ragged import Indices
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import CheckpointError, ConfigError

_BATCH = 256
_FIXED = 0x3A5


class Unmasked(Protocol):
    """Rows whose words can be hidden (`data.rows.Rows`)."""

    def __len__(self) -> int: ...

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in random order."""
        ...

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once."""
        ...

    def batch(self, rows: Indices) -> Batch:
        """The batch of those rows."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """What masking must know of a vocabulary.

    Attributes:
        mask: id of [MASK].
        words: ids that may stand where a token was: all but the special ones.
        weights: (V,) float32, how likely a token is chosen beside the others of its row; 0 for special tokens.
    """

    mask: int
    words: Tensor
    weights: Tensor


def vocabulary_of(tokenizer: Any, rows: Unmasked | None = None, smoothing: float = 0.0) -> Vocabulary:
    """The vocabulary of a tokenizer, all words as likely to be chosen, or rare ones more.

    Args:
        tokenizer: a fast tokenizer.
        rows: whose tokens are counted, where `smoothing` is not 0.
        smoothing: a token is chosen in proportion to count ** -smoothing (0.7 in DistilBERT's code, 0 in BERT).

    Raises:
        CheckpointError: the tokenizer has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise CheckpointError(
            f"the tokenizer of '{tokenizer.name_or_path}' has no mask token, so that no word can be hidden. "
            "Use a checkpoint whose tokenizer has one ([MASK] in BERT's)."
        )
    counts = torch.zeros(len(tokenizer), dtype=torch.float64)
    if smoothing and rows is not None:
        for batch in rows.all(_BATCH):
            real = batch.student.input_ids[batch.student.attention_mask.bool()]
            counts += torch.bincount(real, minlength=len(counts))
    weights = counts.clamp(min=1).pow(-smoothing).float()
    is_special = torch.zeros(len(tokenizer), dtype=torch.bool)
    is_special[sorted(set(tokenizer.all_special_ids))] = True
    weights[is_special] = 0.0
    return Vocabulary(int(tokenizer.mask_token_id), (~is_special).nonzero().squeeze(1), weights)


class Masked:
    """Rows with hidden words; labels are (B, S) int64, the hidden tokens' ids and -100 elsewhere."""

    def __init__(self, rows: Unmasked, vocabulary: Vocabulary, rate: float = 0.15) -> None:
        """Wrap rows.

        Args:
            rows: teacher and student read the same tokens.
            vocabulary: of those tokens.
            rate: share of a row's tokens that are chosen.
        """
        self._rows, self._vocabulary, self._rate = rows, vocabulary, rate

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """The rows' own order, other masks; a function of seed and epoch."""
        random = np.random.default_rng([seed, epoch, 0x3A5C])
        for batch in self._rows.epoch(seed, epoch, batch_size):
            ids = tuple(f"{row}~{epoch}" for row in batch.row_ids)  # other tokens: no stored answer is about them
            yield replace(self._hidden(batch, random), row_ids=ids)

    def batch(self, rows: Indices) -> Batch:
        """Those rows with their fixed masks: always the same, whatever shares the batch. For judging."""
        each = [self._hidden(self._rows.batch(rows[n : n + 1]), np.random.default_rng([int(row), _FIXED]))
                for n, row in enumerate(rows)]  # fmt: skip
        whole = self._rows.batch(rows)
        ids, labels = whole.student.input_ids.clone(), torch.full_like(whole.student.input_ids, IGNORED)
        for place, one in enumerate(each):
            assert one.labels is not None
            ids[place, : one.labels.shape[1]] = one.student.input_ids[0]
            labels[place, : one.labels.shape[1]] = one.labels[0]
        tokens = replace(whole.student, input_ids=ids)
        return replace(whole, student=tokens, teacher=tokens, labels=labels)

    def _hidden(self, batch: Batch, random: np.random.Generator) -> Batch:
        if not batch.shares_tokens:
            raise ConfigError("masked words can be compared only where teacher and student share a tokenizer.")
        tokens, labels = hide(batch.student, self._vocabulary, self._rate, random)
        return replace(batch, student=tokens, teacher=tokens, labels=labels)


def hide(tokens: Encoded, vocabulary: Vocabulary, rate: float, random: np.random.Generator) -> tuple[Encoded, Tensor]:
    """Hide words of a batch.

    Args:
        tokens: (B, S).
        vocabulary: theirs.
        rate: share of a row's ordinary tokens that are chosen, at least one where there is any.
        random: what decides.

    Returns:
        The tokens with 80 % of the chosen ones masked and 10 % replaced, and (B, S) int64 labels.
    """
    ids = tokens.input_ids
    weights = vocabulary.weights[ids] * tokens.attention_mask
    wanted = (rate * weights.gt(0).sum(dim=1)).round().clamp(min=1)
    # Drawing without replacement in proportion to weights: the largest of log-weight + Gumbel noise.
    noise = -torch.from_numpy(-np.log(random.random(ids.shape))).log()
    order = (weights.double().log() + noise).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(ids.shape[1]).expand_as(order))
    is_chosen = (rank < wanted[:, None]) & weights.gt(0)
    fate = torch.from_numpy(random.random(ids.shape))
    others = vocabulary.words[torch.from_numpy(random.integers(len(vocabulary.words), size=ids.shape))]
    shown = torch.where(fate < 0.8, torch.tensor(vocabulary.mask), torch.where(fate < 0.9, others, ids))
    hidden = replace(tokens, input_ids=torch.where(is_chosen, shown, ids))
    return hidden, torch.where(is_chosen, ids, torch.tensor(IGNORED))
