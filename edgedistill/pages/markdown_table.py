"""Words and tables as Markdown, whatever the words hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def safe(words: object) -> str:
    """Words from files: no markup, no link, no second line."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(str(words).split()))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], right: int) -> list[str]:
    """A table whose columns from `right` on hold numbers."""
    rules = ["---" if column < right else "---:" for column in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rules, *([safe(cell) for cell in row] for row in rows))]


def code(words: str) -> str:
    """Words as code, whatever backticks they hold."""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", words)), default=0))
    padding = " " if "`" in words else ""
    return f"{fence}{padding}{' '.join(words.split())}{padding}{fence}"
