"""What the `tokenizers` library knows of every character, read off its behaviour: the one table of all languages.

Java, browsers, Swift and the C++ library each bring another version of Unicode, or none, and so would give other ids
for some texts. So none of their tables is used: the kit's tokenizers read this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgedistill import files

TABLE = Path(__file__).parent / "tokenizers" / "unicode.txt"
_SURROGATES = range(0xD800, 0xE000)
_HANGUL = range(0xAC00, 0xD7A4)
"""Syllables; every language composes their parts by arithmetic (Unicode standard, section 3.12)."""
_MARKS_BY_CLASS = 0x0345, 0x0334
"""Marks of the highest and of the lowest combining class: 240 and 1."""


def write_table(path: Path = TABLE) -> Path:
    """Ask the installed library about every character and write what it does.

    A line per property: its name, then ranges of code points in hexadecimal (`first-last`), after which `/n` takes
    every n-th one only; `:n` adds n to them, or says which class they are of; `>` says what they become.
    """
    return files.write_text(path, table())


def table() -> str:
    """The content of the file."""
    from tokenizers import __version__, normalizers, pre_tokenizers

    points = [point for point in range(0x110000) if point not in _SURROGATES]
    cleaned = _changed(points, _normalizer(clean_text=True))
    decomposed = _changed(points, normalizers.NFD())
    lowered = _changed(points, _normalizer(lowercase=True))
    ideographs = _changed(points, _normalizer(handle_chinese_chars=True))
    stripped = _changed((point for point in points if point not in decomposed), _normalizer(strip_accents=True))
    splitter = pre_tokenizers.BertPreTokenizer()
    punctuation = [point for point in points if len(splitter.pre_tokenize_str(f"a{chr(point)}a")) == 3]
    alone = {point: text for point, text in decomposed.items() if point not in _HANGUL}
    lines = [
        f"edgedistill-unicode 1 tokenizers-{__version__}",
        _line("removed", _ranges(point for point, text in cleaned.items() if text == "")),
        _line("space", _ranges(point for point, text in cleaned.items() if text == " ")),
        _line("ideograph", _ranges(ideographs)),
        _line("punctuation", _ranges(punctuation)),
        _line("mark", _ranges(point for point, text in stripped.items() if text == "")),
        _line("class", _classes(points, decomposed)),
        _line("lower", _shifts({point: ord(text) for point, text in lowered.items() if len(text) == 1})),
        _line("lower-long", _becomes({point: text for point, text in lowered.items() if len(text) > 1})),
        _line("decompose", _becomes(alone)),
    ]
    return "\n".join(lines) + "\n"


def _normalizer(**does: bool) -> Any:
    from tokenizers import normalizers

    nothing = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**nothing, **does})


def _changed(points: Iterable[int], normalizer: Any) -> dict[int, str]:
    answers = ((point, normalizer.normalize_str(chr(point))) for point in points)
    return {point: text for point, text in answers if text != chr(point)}


def _classes(points: Iterable[int], decomposed: Mapping[int, str]) -> list[str]:
    """Canonical combining classes, known by which marks change places with which when text is decomposed."""
    from tokenizers import normalizers

    nfd = normalizers.NFD()

    def moves(first: int, second: int) -> bool:
        return nfd.normalize_str(f"a{chr(first)}{chr(second)}") == f"a{chr(second)}{chr(first)}"

    highest, lowest = _MARKS_BY_CLASS
    rest = [point for point in points if point not in decomposed]
    marks = [point for point in rest if moves(highest, point) or moves(point, lowest)]
    marks += [point for point in (highest, lowest) if point not in marks]
    ordered: list[list[int]] = []  # from the lowest class to the highest
    for mark in marks:
        low, high = 0, len(ordered)
        while low < high:
            middle = (low + high) // 2
            if moves(mark, ordered[middle][0]):
                low = middle + 1
            elif moves(ordered[middle][0], mark):
                high = middle
            else:
                ordered[middle].append(mark)
                break
        else:
            ordered.insert(low, [mark])
    return [f"{span}:{number:x}" for number, same in enumerate(ordered, start=1) for span in _ranges(sorted(same))]


def _ranges(points: Iterable[int], step: int = 1) -> list[str]:
    found: list[list[int]] = []
    for point in points:
        if found and found[-1][1] == point - step:
            found[-1][1] = point
        else:
            found.append([point, point])
    return [f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in found]


def _shifts(lowered: Mapping[int, int]) -> list[str]:
    """Ranges whose characters move by the same distance: every one of them, or every second one."""
    runs: list[list[int]] = []  # first, last, step (0: not known yet), distance
    for point, text in lowered.items():
        distance = text - point
        if runs and runs[-1][3] == distance and point - runs[-1][1] in ({1, 2} if runs[-1][2] == 0 else {runs[-1][2]}):
            runs[-1][1:3] = [point, point - runs[-1][1]]
        else:
            runs.append([point, point, 0, distance])
    return [f"{first:x}-{last:x}/{max(step, 1)}:{distance:x}" for first, last, step, distance in runs]


def _becomes(texts: Mapping[int, str]) -> list[str]:
    return [f"{point:x}>{'.'.join(f'{ord(letter):x}' for letter in text)}" for point, text in texts.items()]


def _line(name: str, entries: Iterable[str]) -> str:
    return " ".join([name, *entries])
