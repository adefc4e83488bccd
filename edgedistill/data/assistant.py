"""The embedded task `assistant`: what people ask the assistant of a phone, as sentences of 30 intents.

Written for this project and generated, so it needs no download: templates and slot values lie in
assistant.yaml; polite and terse phrasings and typing errors are added here. The test split has templates,
slot values and phrasings of its own: a model cannot pass it by remembering train.
"""

from __future__ import annotations

import re
import string
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from edgedistill.config import read_yaml
from edgedistill.data.tasks import Split
from edgedistill.errors import DataError

ROWS: dict[Split, int] = {"train": 3000, "validation": 420, "test": 1020}
"""Rows of each split, a multiple of the number of intents: every intent is as frequent as any other."""

_TYPO_SHARE = 0.1
_SENTENCE_SHARE = 0.2
_SLOT = re.compile(r"\{(\w+)\}")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def intents() -> tuple[str, ...]:
    """Names of the intents in the order of their numbers."""
    return tuple(_words()["intents"])


def generate(split: Split, seed: int = 0) -> list[dict[str, str]]:
    """The rows of a split, shuffled; no text occurs twice within it, nor in another split of the same seed.

    Args:
        split: which; every one has templates of its own, and test slot values too.
        seed: other seeds give other sentences from the same templates.

    Returns:
        Rows with `text` and `intent`.
    """
    random = Random(f"assistant {seed} {split}")
    names = intents()
    seen: set[str] = set()
    for earlier in tuple(ROWS)[: tuple(ROWS).index(split)]:
        seen |= {row["text"] for row in generate(earlier, seed)}
    rows = []
    for number in range(ROWS[split]):
        intent = names[number % len(names)]
        text = _unseen(intent, split, random, seen)
        seen.add(text)
        rows.append({"text": text, "intent": intent})
    random.shuffle(rows)
    return rows


@cache
def _words() -> dict[str, Any]:
    return read_yaml(Path(__file__).with_name("assistant.yaml"))


def _unseen(intent: str, split: Split, random: Random, seen: set[str]) -> str:
    for _ in range(1000):
        text = _sentence(intent, split, random)
        if text not in seen:
            return text
    raise DataError(f"assistant.yaml has too few {split} templates for '{intent}'. Add some, or more slot values.")


def _sentence(intent: str, split: Split, random: Random) -> str:
    words = _words()
    vocabulary = "test" if split == "test" else "train"
    template = random.choice(words["intents"][intent][split])
    text = _SLOT.sub(lambda slot: random.choice(words["slots"][slot[1]][vocabulary]), template)
    opener, request, closer = (random.choice(words[part][vocabulary]) for part in ("openers", "requests", "closers"))
    request = request if template.split()[0] in words["verbs"] else ""
    text = " ".join(f"{opener} {request} {text} {closer}".split())
    if random.random() < _TYPO_SHARE:
        text = _mistyped(text, random)
    if random.random() < _SENTENCE_SHARE:
        text = text[0].upper() + text[1:] + random.choice(".?!")
    return text


def _mistyped(text: str, random: Random) -> str:
    """The text with one typing error in one of its longer words: letters swapped, left out, doubled or missed."""
    words = text.split()
    longer = [number for number, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not longer:
        return text
    number = random.choice(longer)
    word, place = words[number], random.randrange(1, len(words[number]) - 1)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    words[number] = random.choice(
        (
            before + after[0] + letter + after[1:],
            before + after,
            before + letter + letter + after,
            before + random.choice(_neighbours(letter)) + after,
        )
    )
    return " ".join(words)


def _neighbours(letter: str) -> str:
    """The keys left and right of a letter's."""
    row = next((row for row in _KEYBOARD if letter in row), string.ascii_lowercase)
    place = row.index(letter)
    return row[max(0, place - 1) : place] + row[place + 1 : place + 2]
