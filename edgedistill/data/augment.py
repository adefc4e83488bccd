"""More text like a task's own, for learning from a teacher: words replaced by similar ones, token by token.

A small task shows a student few of the words its teacher knows. Replacing words by their neighbours in the
embeddings asks the teacher about many more of them; its answer to the new text is what is learnt, so the new text
need not mean the same and has no label.

Reference: Jiao et al., 2020 (TinyBERT), section 3.2 and algorithm 1, which takes neighbours from GloVe and BERT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.order import Size
from edgedistill.errors import ConfigError

_BATCH = 256
_MARKS = ("\u0120", "\u2581")
"""What begins a word in byte-level BPE and in SentencePiece; WordPiece marks what continues one (##) instead."""


class Epochs(Protocol):
    """Rows in batches (`training.stage.Batches`, with the pass over all rows that `Rows` has)."""

    def __len__(self) -> int: ...

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in random order."""
        ...

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once."""
        ...


@dataclass(frozen=True)
class Neighbours:
    """Which tokens may stand for which.

    Attributes:
        table: (V, K) int64, the nearest words of every token; rows of tokens that are no words hold zeros.
        is_word: (V,) bool, tokens that are a whole word unless the next one continues it.
        is_continuing: (V,) bool, tokens that go on with the word before.
    """

    table: Tensor
    is_word: Tensor
    is_continuing: Tensor


def neighbours(embeddings: Tensor, tokenizer: Any, rows: Epochs, count: int = 15) -> Neighbours:
    """Find the nearest words, by the cosine of their embeddings, of every word in `rows`.

    Args:
        embeddings: (V, E) float, of the words.
        tokenizer: the rows' fast tokenizer.
        rows: whose words are wanted; any word of the vocabulary can be a neighbour.
        count: neighbours of each; fewer where the vocabulary has fewer other words, and no word is replaced where it
            has none.
    """
    names = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), len(embeddings)))))
    names += [""] * (len(embeddings) - len(names))
    is_continuing = is_piece_of_word(names)
    bare = [name.lstrip("".join(_MARKS)) for name in names]
    is_candidate = torch.tensor([len(word) > 1 and word.isalpha() for word in bare]) & ~is_continuing

    used = torch.unique(torch.cat([batch.student.input_ids.flatten() for batch in rows.all(_BATCH)]))
    wanted = used[is_candidate[used]]
    candidates = is_candidate.nonzero().squeeze(1)
    directions = F.normalize(embeddings.detach().float().cpu(), dim=1)
    is_word = torch.zeros(len(names), dtype=torch.bool)
    count = min(count, len(candidates) - 1)
    if count < 1:
        return Neighbours(torch.zeros(len(names), 1, dtype=torch.int64), is_word, is_continuing)
    likeness = directions[wanted] @ directions[candidates].T
    likeness[wanted[:, None] == candidates] = -2.0  # a word is no neighbour of its own
    table = torch.zeros(len(names), count, dtype=torch.int64)
    table[wanted] = candidates[likeness.topk(count, dim=1).indices]
    is_word[wanted] = True
    return Neighbours(table, is_word, is_continuing)


def is_piece_of_word(names: list[str]) -> Tensor:
    """(V,) bool: which tokens go on with the word before, told by the marks that a vocabulary's names have."""
    if any(name[:1] in _MARKS for name in names if name):
        return torch.tensor([name[:1] not in _MARKS for name in names])
    return torch.tensor([name.startswith("##") for name in names])


class Replaced:
    """Rows in which words are replaced by neighbours, differently in every epoch; without labels."""

    def __init__(self, rows: Epochs, similar: Neighbours, share: float) -> None:
        """Wrap rows.

        Args:
            rows: teacher and student read the same tokens.
            similar: which words may stand for which.
            share: of the words that are replaced, on average; in each row between none and twice as many.
        """
        self._rows, self._similar, self._share = rows, similar, share

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """The rows' own order, other words; a function of seed and epoch.

        Raises:
            ConfigError: teacher and student read different tokens.
        """
        random = np.random.default_rng([seed, epoch, 0xA06])
        for batch in self._rows.epoch(seed, epoch, batch_size):
            if not batch.shares_tokens:
                raise ConfigError("augment: words can be replaced only where teacher and student share a tokenizer.")
            tokens = self._replaced(batch.student, random)
            ids = tuple(f"{row}~{epoch}" for row in batch.row_ids)  # another text: no stored answer is about it
            yield replace(batch, row_ids=ids, student=tokens, teacher=tokens, labels=None)

    def _replaced(self, tokens: Encoded, random: np.random.Generator) -> Encoded:
        ids, similar = tokens.input_ids, self._similar
        following = F.pad(ids[:, 1:], (0, 1))
        is_whole = similar.is_word[ids] & ~similar.is_continuing[following]
        share = torch.from_numpy(2 * self._share * random.random((len(ids), 1)))
        is_chosen = is_whole & (torch.from_numpy(random.random(ids.shape)) < share)
        which = torch.from_numpy(random.integers(similar.table.shape[1], size=ids.shape))
        return replace(tokens, input_ids=torch.where(is_chosen, similar.table[ids, which], ids))
