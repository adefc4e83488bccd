"""Numbers from the benchmark tools people already have, read out of what those tools print or write.

One file per tool. Each has `recognises(text)`, true only for what its tool writes, and `rows(text)`, which gives a
`StatedRow` for every measurement in it, or raises a `DataError` that says what is missing. Nothing is filled in: a
percentile that the tool does not print stays empty.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, cast

from pydantic import ValidationError

from edgedistill import plugins
from edgedistill.errors import DataError
from edgedistill.phones.printable import printable
from edgedistill.reports import StatedRow

LARGEST_BYTES = 32 * 2**20
"""More than any of these tools writes; a larger file is something else."""


class Importer(Protocol):
    """What a file in this folder has."""

    recognises: Callable[[str], bool]
    rows: Callable[[str], list[StatedRow]]


def read(
    path: Path, source: Literal["host", "phone"] | None = None, device: str | None = None
) -> tuple[StatedRow, ...]:
    """Every measurement in a file that one of the known tools wrote.

    Args:
        path: what the tool printed or wrote.
        source: where it ran, for tools that do not say.
        device: on what, likewise.

    Raises:
        DataError: the file cannot be read, no tool is recognised, or its numbers are incomplete.
    """
    text = _read_text(path)
    for name in plugins.names("importers"):
        importer = cast("Importer", plugins.load("importers", name))
        if importer.recognises(text):
            return tuple(_told(row, source, device) for row in _rows(importer, text, path, name))
    known = ", ".join(plugins.names("importers"))
    raise DataError(f"'{path}' is not the output of a known tool ({known}). Give what the tool printed, unedited.")


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise DataError(f"'{path}' has {size:,} bytes; the largest file a tool writes is {LARGEST_BYTES:,}.")
        text = _decoded(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}'. Give the file that the tool's output was saved to.") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}.") from error
    if not text.strip():
        raise DataError(f"'{path}' is empty. Save what the tool prints to it: TOOL ... > FILE 2>&1")
    return text


def _decoded(content: bytes) -> str:
    """As text: UTF-8, or the UTF-16 that a Windows shell's `>` writes."""
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, errors="replace")


def _rows(importer: Importer, text: str, path: Path, name: str) -> list[StatedRow]:
    again = "Run the tool again and keep all that it prints."
    try:
        return importer.rows(text)
    except DataError as error:
        raise DataError(f"'{path}' looks like {name}'s output, but {error} {again}") from error
    except RecursionError as error:
        raise DataError(f"'{path}' looks like {name}'s output, but it is nested too deeply. {again}") from error
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise DataError(
            f"'{path}' looks like {name}'s output, but its numbers make no sense: {reason}. {again}"
        ) from error


def _told(row: StatedRow, source: Literal["host", "phone"] | None, device: str | None) -> StatedRow:
    """The row with what its user knows and its tool did not say."""
    shown = {name: getattr(row, name) for name in ("model", "device", "backend")}
    more = {name: printable(value) for name, value in shown.items() if value is not None}
    if source and row.source == "unstated":
        more["source"] = source
    if device and row.device is None:
        more["device"] = device
    return row.model_copy(update=more)
