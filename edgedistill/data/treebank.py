"""Parts of speech from a CoNLL-U file: a treebank to learn words from, or the very texts as any tagger has tagged them.

Reference of the format: https://universaldependencies.org/format.html.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgedistill.data.readers import text_lines
from edgedistill.errors import DataError

_FIELDS = 10
_SEVERAL_WORDS = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Tags:
    """Parts of speech (UPOS).

    Attributes:
        by_word: the most frequent one of every word, in small letters.
        by_text: those of the words between blanks of every text that was tagged, a word of several tokens having that
            of its first one with a letter or digit; the text's words are parted by one blank each.
    """

    by_word: Mapping[str, str]
    by_text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, text: str) -> tuple[str, ...] | None:
        """The tags of a text's words where a tagger has read it; none where it has not."""
        return self.by_text.get(" ".join(text.split()))


def read_tags(path: Path) -> Tags:
    """Read what words and whole sentences are tagged with.

    Raises:
        DataError: it cannot be read; the message names the line.
    """
    counts: dict[str, Counter[str]] = {}
    by_text: dict[str, tuple[str, ...]] = {}
    for sentence in _sentences(path):
        for fields in sentence:
            if fields[0].isdecimal():  # 1-2 is written as one word, 1.1 not at all
                counts.setdefault(fields[1].lower(), Counter())[fields[3]] += 1
        words = list(_words(sentence))
        text = " ".join(word for word, _ in words)
        by_text[" ".join(text.split())] = tuple(tag for _, tag in words)
    if not counts:
        raise DataError(f"'{path}' holds no words. Give a CoNLL-U file.")
    by_word = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    return Tags(by_word, by_text)


def _sentences(path: Path) -> Iterator[list[list[str]]]:
    """The fields of every line of each sentence; comments left out."""
    sentence: list[list[str]] = []
    for number, line in text_lines(path):
        if line.startswith("#"):
            continue
        if not line.strip():
            if sentence:
                yield sentence
            sentence = []
            continue
        fields = line.split("\t")
        if len(fields) != _FIELDS:
            raise DataError(
                f"{path}, line {number}: {len(fields)} fields between tabs, CoNLL-U has {_FIELDS}. "
                "Give a .conllu file, such as a treebank of universaldependencies.org."
            )
        sentence.append(fields)
    if sentence:
        yield sentence


def _words(sentence: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """The words between blanks and their tags: tokens that no blank parts are one word."""
    parts: list[tuple[str, str]] = []
    for form, tag, is_followed_by_blank in _written(sentence):
        parts.append((form, tag))
        if is_followed_by_blank:
            yield _joined(parts)
            parts = []
    if parts:
        yield _joined(parts)


def _written(sentence: Sequence[Sequence[str]]) -> Iterator[tuple[str, str, bool]]:
    """Form and tag of every token as it is written, and whether a blank follows: of 1-2 the tag is that of word 1."""
    tags, last = {fields[0]: fields[3] for fields in sentence}, 0
    for fields in sentence:
        number, form, tag, has_blank = fields[0], fields[1], fields[3], "SpaceAfter=No" not in fields[9].split("|")
        if span := _SEVERAL_WORDS.fullmatch(number):
            last = int(span[2])
            yield form, tags.get(span[1], tag), has_blank
        elif number.isdecimal() and int(number) > last:
            yield form, tag, has_blank


def _joined(parts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    tag = next((tag for form, tag in parts if any(letter.isalnum() for letter in form)), parts[0][1])
    return "".join(form for form, _ in parts), tag
