"""Tables on stdout, and the words and colours in them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os.path import commonprefix

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "passed": "bold green", "failed": "bold red", "inconclusive": "bold yellow", "not_run": "dim",
    "fits": "bold green", "too_slow": "red", "too_large": "red", "not_timed": "dim",
    "ok": "green", "missing": "dim", "note": "cyan", "warning": "bold yellow", "broken": "bold red",
    "complete": "green", "partial": "bold yellow", "damaged": "bold red", "unreadable": "bold red",
    "done": "green", "skipped": "dim", "stopped": "bold red", "planned": "dim",
}  # fmt: skip
_PLAIN_WIDTH = 120  # of tables that go to a file or a pipe, where nothing in them needs more
_SENTENCE = 24  # least width of a column of sentences there


def table(*columns: str, title: str | None = None, numeric: tuple[str, ...] = ()) -> Table:
    """An empty table; the numeric columns are set right."""
    title = f"\n{title}" if title else None
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    return table


def print_table(what: Table | Text) -> None:
    """Print a table or a line: as wide as the terminal, or as a page where nobody is watching."""
    if sys.stdout.isatty():
        return Console(markup=False, highlight=False).print(what)
    console = Console(markup=False, highlight=False, width=_PLAIN_WIDTH)
    if isinstance(what, Table):
        _keep_whole(what, console)
        endless = console.options.update(width=sys.maxsize)
        console.width = max(_PLAIN_WIDTH, console.measure(what, options=endless).minimum)
    with console.capture() as captured:
        console.print(what)
    return click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _keep_whole(what: Table, console: Console) -> None:
    """Break no name, number or word over lines: whoever reads a pipe looks for them. Sentences may be broken."""
    for column in what.columns:
        column.no_wrap = column is what.columns[0] or column.justify == "right"
        cells = [console.measure(cell) for cell in column.cells]
        narrow = [max(cell.minimum, min(cell.maximum, _SENTENCE)) for cell in cells]
        column.min_width = max((cell.maximum for cell in cells) if column.no_wrap else narrow, default=None)


def status(word: str) -> Text:
    """A status in its colour."""
    return Text(word, _STYLES.get(word, ""))


def size(size_bytes: int) -> str:
    """Bytes as people read them."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"


def shared_start(names: Sequence[str]) -> str:
    """What all names begin with, up to a hyphen; nothing for a single name."""
    common = commonprefix([f"{name}-" for name in names]) if len(set(names)) > 1 else ""  # noqa: RUF071 (not paths)
    return common[: common.rfind("-") + 1]
