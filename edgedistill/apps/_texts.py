"""Texts that tokenizers get wrong, written by a seeded script: for goldens, and without end for fuzzing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

BLOCKS: tuple[tuple[int, int], ...] = (
    (0x20, 0x7E), (0x80, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7FF), (0x800, 0x8FF), (0x900, 0x97F),
    (0x980, 0x9FF), (0xA00, 0xAFF), (0xB00, 0xBFF), (0xC00, 0xCFF), (0xD00, 0xDFF), (0xE00, 0xE7F), (0xE80, 0xEFF),
    (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x139F), (0x13A0, 0x13FF),
    (0x1400, 0x167F), (0x1680, 0x16FF), (0x1700, 0x17FF), (0x1800, 0x18AF), (0x1900, 0x19FF), (0x1A00, 0x1AFF),
    (0x1B00, 0x1BFF), (0x1C00, 0x1CFF), (0x1D00, 0x1DFF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F),
    (0x2070, 0x20CF), (0x20D0, 0x20FF), (0x2100, 0x218F), (0x2190, 0x23FF), (0x2400, 0x27BF), (0x27C0, 0x2BFF),
    (0x2C00, 0x2DFF), (0x2E00, 0x2E7F), (0x2E80, 0x2FFF), (0x3000, 0x303F), (0x3040, 0x30FF), (0x3100, 0x33FF),
    (0x3400, 0x4DBF), (0x4DC0, 0x4DFF), (0x4E00, 0x9FFF), (0xA000, 0xA4FF), (0xA500, 0xABFF), (0xAC00, 0xD7FF),
    (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFEFF), (0xFF00, 0xFFFF), (0x10000, 0x107FF),
    (0x10800, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x12FFF), (0x13000, 0x16FFF), (0x17000, 0x1AFFF),
    (0x1B000, 0x1BCFF), (0x1D000, 0x1D3FF), (0x1D400, 0x1D7FF), (0x1E000, 0x1EFFF), (0x1F000, 0x1FAFF),
    (0x20000, 0x2A6DF), (0x2A700, 0x2EBEF), (0x2F800, 0x2FA1F), (0x30000, 0x3134F), (0xE0000, 0xE01EF),
    (0xF0000, 0x10FFFF),
)  # fmt: skip
"""First and last code point of the stretches of Unicode that letters are drawn from, each as likely as any other."""
ODD: tuple[str, ...] = (
    "", " ", "\t\r\n", "\x00", "a\x00b", "\x7f", "\x85", "\xa0", "a\xa0b", "\u200b", "a\u200bb", "a\u200db", "\u2028",
    "a\u2029b", "\ufeffa", "\u3000", "a\u180eb", "\ufffd", "\U0010ffff", "\ud83d", "a\udc00b", "\ud83d\ud83d\ude00",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3",
    "\u2764\ufe0f", "e\u0301", "\u00e9", "e\u0301\u0323", "e\u0323\u0301", "a\u0300\u0334\u0345", "\u0344", "\u1e69",
    "s\u0307\u0323", "\u0130", "I\u0307", "\u0131", "\u03a3\u03a3", "stra\u00dfe", "STRA\u1e9eE", "\ufb01ne", "\u01c5",
    "\u212b", "\u2126", "\u1fb3", "\uac01", "\u1100\u1161\u11a8", "\u304c", "\u30d1\u30d1", "\u4f60\u597d",
    "a\u4e00b", "\uf900", "\U0002f800", "\u0e01\u0e33", "\u0915\u094d\u0937", "\u0628\u0650", "\u05e9\u05c1", "don't",
    "U.S.A.", "3.14%", "a_b-c", "$5", "\u20ac5", "\u00bfqu\u00e9?", "\u2026", "\u2018a\u2019", "[CLS]", "a[SEP]b",
    "[MASK].", "[mask]", "[UNK]", "[PAD][PAD]", "[CLS", "##a", "[unused1]", "x" * 99, "x" * 100, "x" * 101, "x" * 500,
    "\u00e9" * 100, "e\u0301" * 100, "\U0001d400" * 100, "\U0001d400" * 101, "a" * 60 + "\u200b" * 60, "\u0301" * 300,
    "\u037e", "\u1fef", "\u2260", "\u226e", "\u302e\u0323", "\U0001d15e", "\U0001d165\U0001d16d\U0001d165", "\u034f",
    "a\u034f\u0323\u0301", "\u0f71\u0f72\u0f74", "\u0f77", "\u09cb", "\u1b06",
)  # fmt: skip
"""What people, keyboards and clipboards really send, and what sits on the borders of the rules."""
_WORDS = (
    "the", "a", "of", "film", "good", "bad", "not", "was", "is", "actor", "Wonderful", "TERRIBLE", "plot", "it's",
    "don't", "na\u00efve", "caf\u00e9", "Z\u00fcrich", "\u00c5ngstr\u00f6m", "ni\u00f1o", "fa\u00e7ade", "2026",
    "10,000", "3.5", "#tag", "@you", "http://a.b/c?d=e&f", "email@example.com",
)  # fmt: skip
_MARKS = ("\u0300", "\u0301", "\u0308", "\u0323", "\u0327", "\u0334", "\u0345", "\u20e3", "\ufe0f", "\u200d", "\u302e")
_BLANKS = (" ", " ", " ", "\u00a0", "\t", "\n", "\u2009", "\u200b", "\u3000", "\u202f")
_LENGTHS = (8, 9, 10, 11, 12, 16, 24, 32, 128)

Case = tuple[str, str | None, int]
"""A text, the second one of a pair, and how many tokens there is room for."""


def golden_cases(count: int = 3000, longest: int = 128, seed: int = 0) -> list[Case]:
    """Every odd text, alone and in pairs at every length, every stretch of Unicode, then random ones up to `count`."""
    fixed: list[Case] = [(text, None, longest) for text in ODD]
    fixed += [(text, ODD[-1 - place], _LENGTHS[place % len(_LENGTHS)]) for place, text in enumerate(ODD)]
    fixed += [(text, None, longest) for first, last in BLOCKS for text in _spread(first, last)]
    fixed += [(" a" * one, " b" * two, room) for room in (8, 9, 10) for one in range(10) for two in range(10)]
    kept = [(text, pair, min(length, longest)) for text, pair, length in fixed]
    return [*kept, *islice(random_cases(longest, seed), max(0, count - len(kept)))]


def random_cases(longest: int = 128, seed: int = 0) -> Iterator[Case]:
    """Random texts and pairs without end; the same for the same seed."""
    draw = random.Random(seed)
    while True:
        pair = _text(draw) if draw.random() < 0.3 else None
        length = draw.choice(_LENGTHS) if draw.random() < 0.5 else longest
        yield _text(draw), pair, min(length, longest)


def _spread(first: int, last: int) -> Iterator[str]:
    """Every 8th (in large stretches: every n-th) character, a few to a text, alone and inside words."""
    step = max(1, (last - first) // 64)
    points = [chr(point) for point in range(first, last + 1, step) if not 0xD800 <= point < 0xE000]
    for place in range(0, len(points), 8):
        few = points[place : place + 8]
        yield "".join(few)
        yield "a".join(few)


def _text(draw: random.Random) -> str:
    parts = (draw.choices(_MAKERS, _WEIGHTS)[0](draw) for _ in range(draw.choice((1, 1, 2, 3, 5, 8, 20))))
    return "".join(part + (draw.choice(_BLANKS) if draw.random() < 0.6 else "") for part in parts)


def _word(draw: random.Random) -> str:
    word = draw.choice(_WORDS)
    return draw.choice((word, word.upper(), word.title(), word + draw.choice(_MARKS)))


def _of_one_block(draw: random.Random) -> str:
    first, last = draw.choice(BLOCKS)
    return _string(draw, [draw.randint(first, last) for _ in range(draw.randint(1, 12))])


def _of_all(draw: random.Random) -> str:
    return _string(draw, [draw.randint(*draw.choice(BLOCKS)) for _ in range(draw.randint(1, 12))])


def _marked(draw: random.Random) -> str:
    base = chr(draw.randint(*draw.choice(BLOCKS[:6])))
    return base + "".join(draw.choice((*_MARKS, chr(draw.randint(0x300, 0x36F)))) for _ in range(draw.randint(1, 6)))


def _odd(draw: random.Random) -> str:
    return draw.choice(ODD)


def _long(draw: random.Random) -> str:
    return draw.choice(("x", "\u00e9", "e\u0301", "\U0001f600", "ab", "\u4e00", "\uac01")) * draw.randint(90, 110)


def _half(draw: random.Random) -> str:
    return chr(draw.randint(0xD800, 0xDFFF)) + draw.choice(("", "a", "\U0001f600"))


def _string(draw: random.Random, points: Sequence[int]) -> str:
    between = draw.choice(("", "", " ", "a"))
    return between.join(map(chr, points))


_MAKERS: tuple[Callable[[random.Random], str], ...] = (_word, _of_one_block, _of_all, _marked, _odd, _long, _half)
_WEIGHTS = (30, 25, 15, 15, 12, 1, 2)
