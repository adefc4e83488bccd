"""Parts of speech from a CoNLL-U file: a treebank to learn words from, or the very texts as any tagger has tagged them.

Reference of the format: https://universaldependencies.org/format.html.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgedistill.data.readers import text_lines
from edgedistill.errors import DataError

_FIELDS = 10


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
        words = _words(sentence)
        by_text[" ".join(word for word, _ in words)] = tuple(tag for _, tag in words)
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


def _words(sentence: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The words between blanks and their tags: tokens that no blank parts are one word."""
    words: list[tuple[str, str]] = []
    written, tag, within, waits = "", "", 0, True
    for fields in sentence:
        number, form, upos, has_blank = fields[0], fields[1], fields[3], "SpaceAfter=No" not in fields[9].split("|")
        first, _, last = number.partition("-")
        if last:  # of a token of several words the first one's tag counts, which comes next
            written, within, waits = written + form, int(last), has_blank
            continue
        if not number.isdecimal():
            continue
        if not tag and any(letter.isalnum() for letter in form):
            tag = upos
        if int(first) < within:
            continue
        if within:
            has_blank, within = waits, 0
        else:
            written += form
        if has_blank:
            words.append((" ".join(written.split()) or written, tag or upos))
            written, tag = "", ""
    return [*words, *([(written, tag)] if written else [])]
