"""New texts out of a task's own, word by word, for a teacher to answer: masked, replaced by part of speech, cut short.

A function of the seed, the row and the epoch: every epoch brings other texts, every run the same ones. The words are
those between blanks; the marks around a word stay where they are.

Reference: Tang et al., 2019 (arXiv:1903.12136), section 4.4.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.order import Size
from edgedistill.data.treebank import Tags

if TYPE_CHECKING:
    from edgedistill.data.rows import Rows

MASK = "\u0000"
"""Stands for a masked word until a tokenizer puts its own mask there; no text of a task has it."""
_LONGEST_NGRAM = 5
_DRAWS = 8


@dataclass(frozen=True)
class Rates:
    """How often what is done.

    Attributes:
        mask: share of words that are masked.
        pos: share of words replaced by another of the same part of speech, where it is known.
        ngram: share of texts of which only 1 to 5 words in a row are kept.
    """

    mask: float = 0.1
    pos: float = 0.1
    ngram: float = 0.25


class Replacements:
    """Words by part of speech, each as likely as it is frequent in the task's own texts."""

    def __init__(self, tags: Tags, texts: Sequence[str]) -> None:
        """Count the words of `texts` whose tag is known."""
        self._tags = tags
        counts = Counter(
            (tag, _bare(word).lower())
            for text in texts
            for word, tag in zip(text.split(), self.tags_of(text), strict=True)
            if tag is not None
        )
        self._words: dict[str, list[str]] = {}
        self._shares: dict[str, np.ndarray[Any, Any]] = {}
        for tag, word in sorted(counts):
            self._words.setdefault(tag, []).append(word)
        for tag, words in self._words.items():
            self._shares[tag] = np.cumsum([counts[tag, word] for word in words], dtype=np.float64)

    def tags_of(self, text: str) -> list[str | None]:
        """The tag of each word: the tagger's where it has read this text, else the word's most frequent one."""
        words = text.split()
        said = self._tags.of(text)
        if said is not None and len(said) == len(words):
            return list(said)
        return [self._tags.by_word.get(_bare(word).lower()) for word in words]

    def draw(self, word: str, tag: str | None, random: np.random.Generator) -> str:
        """A word of that tag, the marks around it kept; itself where there is no tag."""
        if tag is None or tag not in self._words:
            return word
        shares = self._shares[tag]
        place = int(np.searchsorted(shares, random.random() * shares[-1], side="right"))
        return word.replace(_bare(word), self._words[tag][place], 1)


def rewritten(text: str, rates: Rates, replacements: Replacements | None, random: np.random.Generator) -> str:
    """A new text: words masked and replaced, perhaps only some in a row kept, at least one as it was.

    Args:
        text: of one or more words; one of none comes back as it is.
        rates: how often what is done.
        replacements: without them nothing is replaced.
        random: where chance comes from; how much is drawn depends on the text.
    """
    words = text.split()
    if not words:
        return text
    chance = random.random(len(words))
    is_masked = chance < rates.mask
    is_replaced = ~is_masked & (chance < rates.mask + rates.pos) & (replacements is not None)
    first, last = 0, len(words)
    if random.random() < rates.ngram:
        size = min(int(random.integers(1, _LONGEST_NGRAM + 1)), len(words))
        first = int(random.integers(len(words) - size + 1))
        last = first + size
    kept = slice(first, last)
    if (is_masked | is_replaced)[kept].all():
        spared = int(random.integers(first, last))
        is_masked[spared] = is_replaced[spared] = False
    new = [
        word.replace(_bare(word), MASK, 1) if masked else word
        for word, masked in zip(words[kept], is_masked[kept], strict=True)
    ]
    if replacements is not None:
        each = zip(new, replacements.tags_of(text)[kept], is_replaced[kept], strict=True)
        new = [replacements.draw(word, tag, random) if replaced else word for word, tag, replaced in each]
    return " ".join(new)


def _bare(word: str) -> str:
    """The word without the marks around it; itself where it is nothing but marks."""
    inside = [place for place, letter in enumerate(word) if letter.isalnum()]
    return word[inside[0] : inside[-1] + 1] if inside else word


class Transfer:
    """A task's rows and, between them, new texts made of them: `training.stage.Batches`.

    A batch is of rows, with their labels, or of new texts, without. Row ids of new texts are `<row>~<epoch>.<copy>`: no
    stored answer is about them.
    """

    def __init__(
        self,
        rows: Rows,
        copies: int,
        rates: Rates,
        tags: Tags | None,
        tokenizers: tuple[Any, Any],
        max_length: int,
        seed: int,
    ) -> None:
        """Wrap rows.

        Args:
            rows: of texts or pairs.
            copies: new texts of each row in each epoch.
            rates: how they are made.
            tags: the parts of speech; none: no word is replaced.
            tokenizers: the student's and the teacher's; the same object where they read the same tokens.
            max_length: longest text in tokens.
            seed: of the new texts.
        """
        self._rows, self._copies, self._rates, self._seed = rows, copies, rates, seed
        self._tokenizers, self._max_length = tokenizers, max_length
        if not copies:
            return
        texts, pairs = rows.texts, rows.pairs
        self._texts = dict(zip(rows.row_ids, zip(texts, pairs, strict=True), strict=True))
        self._known = frozenset(self._texts.values())
        every = [*texts, *(pair for pair in pairs if pair is not None)]
        self._replacements = None if tags is None else Replacements(tags, every)

    def __len__(self) -> int:
        """Texts in one epoch, rows and copies."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Texts of each pass through the rows: no batch is of two."""
        return (len(self._rows),) * (1 + self._copies)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """A batch of rows, one of each copy, and so on, each through all rows in an order of its own."""
        each = 1 + self._copies
        orders = [self._rows.epoch(seed, epoch * each + number, batch_size) for number in range(each)]
        for batches in zip_longest(*orders):  # of batches by tokens one order may have more than another
            for number, batch in enumerate(batches):
                if batch is not None:
                    yield self._new(batch, epoch, number - 1) if number else batch

    def _new(self, batch: Batch, epoch: int, copy: int) -> Batch:
        texts = [self.text(row, epoch, copy) for row in batch.row_ids]
        student, teacher = self._tokenizers
        read = encoded(student, texts, self._max_length)
        return Batch(
            row_ids=tuple(f"{row}~{epoch}.{copy}" for row in batch.row_ids),
            student=read,
            teacher=read if teacher is student else encoded(teacher, texts, self._max_length),
        )

    def text(self, row_id: str, epoch: int, copy: int) -> tuple[str, str | None]:
        """The new text, or pair of texts, of a row.

        One that is a training text already is drawn again, up to eight times: of a single word there is no other.
        """
        random = np.random.default_rng([self._seed, zlib.crc32(row_id.encode()), epoch, copy])
        new = self._texts[row_id]
        for _ in range(_DRAWS):
            new = self._draw(*self._texts[row_id], epoch * self._copies + copy, random)
            if new not in self._known:
                break
        return new

    def _draw(self, text: str, pair: str | None, turn: int, random: np.random.Generator) -> tuple[str, str | None]:
        """Of a pair the first text changes, then the second, then both, in turn (section 4.4)."""
        first = text if pair is not None and turn % 3 == 1 else self._rewritten(text, random)
        second = pair if pair is None or turn % 3 == 0 else self._rewritten(pair, random)
        return first, second

    def _rewritten(self, text: str, random: np.random.Generator) -> str:
        return rewritten(text, self._rates, self._replacements, random)


def encoded(tokenizer: Any, texts: Sequence[tuple[str, str | None]], max_length: int) -> Encoded:
    """Tokenise new texts as rows are, each tokenizer with its own mask."""
    mask = tokenizer.mask_token or tokenizer.unk_token or ""
    firsts = [text.replace(MASK, mask) for text, _ in texts]
    seconds = [pair.replace(MASK, mask) for _, pair in texts if pair is not None]
    found = tokenizer(
        firsts,
        seconds or None,
        truncation="longest_first",
        max_length=max_length,
        return_token_type_ids=True,
        return_attention_mask=False,
    )
    width = max(map(len, found["input_ids"]))
    ids = torch.full((len(firsts), width), tokenizer.pad_token_id or 0)
    mask_rows, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (own, kinds) in enumerate(zip(found["input_ids"], found["token_type_ids"], strict=True)):
        size = len(own)
        ids[row, :size], types[row, :size] = torch.tensor(own), torch.tensor(kinds)
        mask_rows[row, :size] = 1
    return Encoded(ids, mask_rows, types)
