"""The words of a text that others may stand for: whole words with a meaning of their own.

Reference: Jiao et al., 2020 (TinyBERT), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from edgedistill.data.augment import is_piece_of_word
from edgedistill.data.batches import Batch
from edgedistill.data.ragged import Indices

_BATCH = 128
_MARKS = "\u0120\u2581"

_FUNCTION_WORDS = """
a about above across after again against all almost along also although always am among an and another any anyone
anything are around as at away back be because been before behind being below beneath beside besides between beyond
both but by can cannot could despite did do does doing done down during each either else enough even ever every
everyone everything except few for from further had has have having he her here hers herself him himself his how
however i if in inside instead into is it its itself just least less like many may me might mine more most much
must my myself near neither never no nobody none nor not nothing now of off often on once one only onto or other
others otherwise our ours ourselves out outside over own per perhaps quite rather same several shall she should
since so some someone something still such than that the their theirs them themselves then there therefore these
they thing this those though through throughout thus to together too toward towards under unless until up upon us
very was we were what whatever when whenever where wherever whether which while who whoever whole whom whose why
will with within without would yes yet you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words without a meaning of their own, in English; they are never replaced."""


class Texts(Protocol):
    """Rows whose words are looked at (`data.rows.Rows`)."""

    def __len__(self) -> int: ...

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once."""
        ...

    def batch(self, rows: Indices) -> Batch:
        """The batch of those rows."""
        ...


@dataclass(frozen=True)
class Words:
    """What a vocabulary's tokens are.

    Attributes:
        surfaces: their text, lower case, without marks.
        is_continuing: V times whether a token goes on with the word before.
        is_special: V times.
        is_candidate: (V,) bool, whole words that may be put in.
        separator: id of the token between two texts.
    """

    surfaces: list[str]
    is_continuing: list[bool]
    is_special: list[bool]
    is_candidate: Tensor
    separator: int | None


@dataclass(frozen=True)
class Replaceable:
    """The W replaceable words of N rows.

    Attributes:
        row_ids: N ids.
        sizes: of each row, in tokens.
        counts: of each row's replaceable words.
        places: (W, 3) int32: the word's first token, the token after its last, and 0 or 1 for the first or second text.
        tokens: W words as their tokens.
    """

    row_ids: list[str]
    sizes: list[int]
    counts: list[int]
    places: Tensor
    tokens: list[tuple[int, ...]]

    @property
    def offsets(self) -> Tensor:
        """(N + 1,) int64, where each row's words start and the last one's end."""
        return torch.tensor([0, *np.cumsum(self.counts)], dtype=torch.int64)


def words_of(tokenizer: Any) -> Words:
    """What a fast tokenizer's tokens are."""
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    surfaces = [name.lstrip(_MARKS).removeprefix("##").lower() for name in names]
    is_special = torch.zeros(len(names), dtype=torch.bool)
    is_special[sorted(set(tokenizer.all_special_ids))] = True
    is_continuing = is_piece_of_word(names) & ~is_special
    is_word = torch.tensor([_is_replaceable(surface) for surface in surfaces])
    is_candidate = is_word & ~is_continuing & ~is_special
    return Words(surfaces, is_continuing.tolist(), is_special.tolist(), is_candidate, tokenizer.sep_token_id)


def _is_replaceable(word: str) -> bool:
    return len(word) > 1 and word.isalpha() and word not in STOP_WORDS


def replaceable_words(rows: Texts, words: Words) -> Replaceable:
    """Every word of the rows that may be replaced; none where the vocabulary has nothing to put in."""
    row_ids: list[str] = []
    sizes: list[int] = []
    each: list[list[tuple[int, int, int]]] = []
    tokens: list[tuple[int, ...]] = []
    has_candidates = bool(words.is_candidate.any())
    for batch in rows.all(_BATCH):
        row_ids += batch.row_ids
        sizes += batch.student.attention_mask.sum(dim=1).tolist()
        for ids, size in zip(batch.student.input_ids.tolist(), sizes[-len(batch) :], strict=True):
            each.append(list(_words_in(ids[:size], words)) if has_candidates else [])
            tokens += [tuple(ids[first:end]) for first, end, _ in each[-1]]
    places = torch.tensor([place for found in each for place in found], dtype=torch.int32).reshape(-1, 3)
    return Replaceable(row_ids, sizes, [len(found) for found in each], places, tokens)


def _words_in(ids: list[int], words: Words) -> Iterator[tuple[int, int, int]]:
    side, first = 0, 0
    while first < len(ids):
        end = first + 1
        if words.is_special[ids[first]]:
            side = 1 if ids[first] == words.separator else side
            first = end
            continue
        while end < len(ids) and words.is_continuing[ids[end]]:
            end += 1
        if _is_replaceable("".join(words.surfaces[token] for token in ids[first:end])):
            yield first, end, side
        first = end
