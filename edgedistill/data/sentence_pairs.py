"""Pairs of texts for next-sentence prediction (Devlin et al., 2019, section 3.1): does the second follow the first?

Half of the first texts come with what follows them in their document, half with a text of another document, drawn anew
in every epoch. Text is cut so that both fit into `max_length`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.corpus import in_pieces
from edgedistill.data.encoding import Encoding, pad
from edgedistill.data.order import Size, in_random_order
from edgedistill.data.ragged import Indices
from edgedistill.data.rows import Rows
from edgedistill.data.table import values
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset

_FIXED = 0x9A12
_EPOCH = 0x9A15


class SentencePairs(Rows):
    """A row for every text that another one of its document follows; `Batch.next_sentence` says what it came with."""

    def __init__(self, dataset: Dataset, tokenizer: Any, teacher_tokenizer: Any = None, *, max_length: int) -> None:
        """Tokenise texts.

        Args:
            dataset: what `held_out_sections` gave.
            tokenizer: the student's; it joins two texts as BERT's does.
            teacher_tokenizer: only where it differs, which is refused.
            max_length: longest pair in tokens.

        Raises:
            ConfigError: texts that cannot be paired.
        """
        if teacher_tokenizer is not None or not _joins_as_bert(tokenizer):
            raise ConfigError(
                "next_sentence: texts are paired as [CLS] one [SEP] other [SEP], in tokens that teacher and student "
                "share. Use checkpoints with BERT's kind of tokenizer, or set the weight to 0."
            )
        half = (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2
        single = half + tokenizer.num_special_tokens_to_add()
        texts = in_pieces(dataset, tokenizer, single)
        super().__init__(texts, None, tokenizer, max_length=single)
        documents, paragraphs = (np.asarray(values(texts, name)) for name in ("document", "paragraph"))
        self._followed: Indices = np.flatnonzero(np.diff(paragraphs) <= 1)
        own = documents[self._followed]
        self._begins, self._ends = (np.searchsorted(documents, own, side) for side in ("left", "right"))
        if not len(self._followed):
            raise ConfigError(
                f"next_sentence: none of {len(texts)} texts is followed by another one of its document. Put a "
                "paragraph on every line and blank lines only between documents, or set the weight to 0."
            )

    def __len__(self) -> int:
        """How many pairs."""
        return len(self._followed)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in random order, each pair a function of its row, the seed and the epoch."""
        seconds = self._seconds(np.random.default_rng([seed, epoch, _EPOCH]))
        for rows in in_random_order(self._sizes(seconds), seed, epoch, batch_size):
            yield self._pairs(rows, seconds)

    def batch(self, rows: Indices) -> Batch:
        """Those rows with what they always come with when judged."""
        return self._pairs(np.asarray(rows), self._fixed)

    @cached_property
    def row_ids(self) -> Sequence[str]:
        """Stable id of each pair as it is judged: those of its texts."""
        return [self._pair_id(first, second) for first, second in zip(self._followed, self._fixed, strict=True)]

    @property
    def texts(self) -> list[str]:
        """First text of each pair."""
        every = super().texts
        return [every[row] for row in self._followed]

    @property
    def pairs(self) -> list[str | None]:
        """Second text of each pair as it is judged."""
        every = super().texts
        return [every[row] for row in self._fixed]

    @property
    def lengths(self) -> Indices:
        """(N,) tokens of each pair as it is judged, special ones included."""
        return self._sizes(self._fixed)

    @cached_property
    def _fixed(self) -> Indices:
        return self._seconds(np.random.default_rng(_FIXED))

    def _seconds(self, random: np.random.Generator) -> Indices:
        """(N,) which text each first one comes with: the next one, or any of another document."""
        own = self._ends - self._begins
        others = len(self._student.ids) - own
        place = (random.random(len(self)) * others).astype(np.int64)
        elsewhere = place + np.where(place >= self._begins, own, 0)
        return np.where(random.random(len(self)) < 0.5, self._followed + 1, elsewhere)

    def _sizes(self, seconds: Indices) -> Indices:
        lengths = self._student.ids.lengths
        sizes: Indices = lengths[self._followed] + lengths[seconds] - 1
        return sizes

    def _pairs(self, rows: Indices, seconds: Indices) -> Batch:
        first, second = self._followed[rows], seconds[rows]
        ids = self._student.ids
        each = zip(ids.take(first).lists(), ids.take(second).lists(), strict=True)
        joined = [Encoding((*one, *two[1:]), (0,) * len(one) + (1,) * (len(two) - 1)) for one, two in each]
        arrays = pad(joined, pad_id=self._student.pad_id)
        names = ("input_ids", "attention_mask", "token_type_ids")
        tokens = Encoded(*(torch.from_numpy(arrays[name]) for name in names))
        return Batch(
            row_ids=tuple(self._pair_id(*pair) for pair in zip(first, second, strict=True)),
            student=tokens,
            teacher=tokens,
            next_sentence=torch.from_numpy((second != first + 1).astype(np.int64)),
        )

    def _pair_id(self, first: int, second: int) -> str:
        return f"{self._text_ids[first]}+{self._text_ids[second]}"

    @cached_property
    def _text_ids(self) -> list[str]:
        return values(self._dataset, "row_id")


def _joins_as_bert(tokenizer: Any) -> bool:
    one, two = "a b", "c"
    joined, first, second = tokenizer(one, two), tokenizer(one)["input_ids"], tokenizer(two)["input_ids"]
    types = [0] * len(first) + [1] * (len(second) - 1)
    return bool(
        joined["input_ids"] == first + second[1:] and joined.get("token_type_ids", types) == types and len(first) > 2
    )
