"""Data files to rows: .jsonl, .csv, .tsv (each also gzipped) and .parquet, with errors that name the line."""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from edgedistill.data.streams import Place, opened
from edgedistill.data.table import Row, Table
from edgedistill.errors import DataError

_NO_TEXT = "It holds zero bytes and is no text. Give a text file."

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
"""What a data file's name may end with, in the order they are looked for."""


def read_table(path: Path, keep: Collection[str]) -> Table:
    """Read a data file.

    Args:
        path: a file with one of `SUFFIXES`.
        keep: columns whose values are wanted; the others are only named.

    Raises:
        DataError: it cannot be opened or read; the message names the file and the line.
    """
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        return _parquet(path, keep)
    numbered = _json_rows(path) if kind == "jsonl" else _delimited_rows(path, "," if kind == "csv" else "\t")
    first = next(numbered, None)
    if first is None:
        raise DataError(f"'{path}' has no rows. Write at least one, or remove the file.")
    columns = tuple(str(column) for column in first[1])
    rows: list[tuple[int, Row]] = [
        (number, {c: row[c] for c in keep if c in row}) for number, row in chain([first], numbered)
    ]
    return Table(str(path), "line", columns, rows)


def text_lines(path: Place) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line of a UTF-8 file, gzipped or not, without its line end.

    Args:
        path: on this machine, or a URL that fsspec reads (`data.streams`).

    Raises:
        DataError: the file cannot be opened, is no gzip file although it ends in .gz, is not UTF-8, or has zero bytes.
    """
    number = 0
    try:
        with opened(path) as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if "\0" in text:
                    raise DataError(f"{path}, line {number}: {_NO_TEXT}")
                yield number, text.rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{path}, line {number}: not UTF-8 (byte 0x{byte:02x} at position {error.start + 1}). "
            f"{_advice(error.object)}"
        ) from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}, after line {number}: not a whole gzip file ({error}). Copy or pack it again."
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}'. Check the path.") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}.") from error


def _advice(line: bytes) -> str:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "It begins as UTF-16 does. Convert it: iconv -f UTF-16 -t UTF-8 FILE"
    if b"\0" in line:
        return _NO_TEXT
    return "Convert it: iconv -f LATIN1 -t UTF-8 FILE"


def _json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not JSON ({error.msg}, character {error.colno}): {_shown(line)}. "
                "Each line must be one JSON object."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: not a JSON object with column names: {_shown(line)}.")
        yield number, row


def _delimited_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    """Rows of a file with a header line. CSV fields may be quoted; TSV fields never are (text/tab-separated-values)."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = (line + "\n" for _, line in text_lines(path))
    reader = (
        csv.reader(lines, delimiter=delimiter, strict=True)
        if delimiter == ","
        else csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    header: list[str] | None = None
    try:
        for values in reader:
            if not values:
                continue
            if header is None:
                header = values
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: has {len(values)} fields, the header has {len(header)} "
                    f"({', '.join(header)}). Quote fields that contain the delimiter, or use .jsonl."
                )
            yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}. Check the quotes, or use .jsonl.") from error


def _parquet(path: Path, keep: Collection[str]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    try:
        file = pq.ParquetFile(path)
        columns = tuple(file.schema_arrow.names)
        table = file.read(columns=[column for column in columns if column in keep])
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}'. Check the path.") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot read '{path}' as Parquet: {error}. Write or copy it again.") from error
    if not table.num_rows:
        raise DataError(f"'{path}' has no rows. Write at least one, or remove the file.")
    features = Features.from_arrow_schema(file.schema_arrow)
    return Table(str(path), "row", columns, list(enumerate(table.to_pylist(), start=1)), class_names(features))


def class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the classes of each `ClassLabel` column, or column of lists of them, of a `datasets.Features`."""
    inner = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    return {column: tuple(feature.names) for column, feature in inner.items() if getattr(feature, "names", None)}


def _shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else text[: most - 3] + "...")
