"""The files of a teacher's cache: shards of answers, and an index that finds a row's.

A shard is one safetensors file, written whole: `keys` and `checks`, (N,) int64 each, are two halves of a hash of each
row's id, rows rising by key; `logits` is (N, C), or (T, C) with `ends` (N,) where every token has an answer; `cls`,
where kept, is (N, M, H). Its name is a hash of its rows, so that whoever writes the shard of the same rows writes the
same file. The index holds all keys in order; it is made when the cache is complete, and knows every shard's size and
hash. Both are mapped into memory, never read as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edgedistill import files
from edgedistill.data.cache_card import INDEX, SHARDS
from edgedistill.errors import TrainingError

Integers = NDArray[np.int64]
_ABSENT = -1
_SHARD_BITS = 32
_COLUMNS = ("keys", "checks", "places")
_PART_ROWS, _MOST_PARTS = 65536, 64
"""Of an index, sorted at a time."""


def keys_of(row_ids: Sequence[str]) -> Integers:
    """(N, 2): what rows are found by, 128 bits of a hash of each id."""
    each = b"".join(hashlib.blake2b(row.encode(), digest_size=16).digest() for row in row_ids)
    return np.frombuffer(each, dtype="<i8").reshape(-1, 2).astype(np.int64)


def shard_name(row_ids: Sequence[str]) -> str:
    """Name of the shard of those rows in that order."""
    return SHARDS.replace("*", hashlib.blake2b(keys_of(row_ids).tobytes(), digest_size=8).hexdigest())


def write_shard(path: Path, row_ids: Sequence[str], table: Mapping[str, Tensor], lengths: Sequence[int] = ()) -> None:
    """Write the answers about some rows.

    Args:
        path: the file.
        row_ids: N rows.
        table: tensors of N rows each; `logits` of as many as the lengths' sum where there are lengths.
        lengths: how many answers each row has, where that is not one.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    keys = keys_of(row_ids)
    order = np.argsort(keys[:, 0], kind="stable")
    rows = torch.from_numpy(order)
    sorted_table = {name: values[rows] for name, values in table.items() if not (lengths and name == "logits")}
    if lengths:
        parts: tuple[Tensor, ...] = torch.split(table["logits"], list(lengths))
        sorted_table["logits"] = torch.cat([parts[row] for row in order.tolist()])
        sorted_table["ends"] = torch.tensor(lengths)[rows].cumsum(0)
    halves = {name: torch.from_numpy(keys[order, half].copy()) for half, name in enumerate(("keys", "checks"))}
    with files.atomic_file(path) as part:
        part.write_bytes(safetensors.torch.save({**halves, **sorted_table}))


def read_shard(path: Path) -> dict[str, Tensor]:
    """A shard's tensors, which stay in the file until they are looked at.

    Raises:
        TrainingError: it is damaged.
    """
    table = _read(path)[0]
    ends = table.get("ends")
    for name, values in table.items():
        wanted = len(table["keys"]) if ends is None or name != "logits" else int(ends[-1])
        if len(values) != wanted:
            raise _damaged(path, f"it has {len(table['keys'])} ids for {len(values)} rows of {name}")
    return table


@dataclass(frozen=True)
class Index:
    """Where rows are.

    Attributes:
        shards: the files' names.
        keys: (N,) first halves of all rows' keys, rising, each once.
        checks: (N,) their second halves.
        places: (N,) number of the shard times 2 ** 32, plus the row within it.
        seals: size and SHA-256 of each shard; empty where the cache is not complete.
    """

    shards: tuple[str, ...]
    keys: Integers
    checks: Integers
    places: Integers
    seals: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def find(self, row_ids: Sequence[str]) -> Integers:
        """(B,) place of each row, negative where it is not stored."""
        wanted = keys_of(row_ids)
        if not len(self.keys) or not len(wanted):
            return np.full(len(wanted), _ABSENT, dtype=np.int64)
        at = np.searchsorted(self.keys, wanted[:, 0]).clip(max=len(self.keys) - 1)
        is_there = (self.keys[at] == wanted[:, 0]) & (self.checks[at] == wanted[:, 1])
        return np.where(is_there, self.places[at], _ABSENT)


def place_of(place: int) -> tuple[int, int]:
    """Number of the shard and of the row in it."""
    return place >> _SHARD_BITS, place & ((1 << _SHARD_BITS) - 1)


def open_index(folder: Path) -> Index:
    """Find the rows of a cache: by its index where that is about the shards that are there, else by reading their keys.

    Raises:
        TrainingError: a shard is not the one that the index knows, or is damaged.
    """
    names = _shard_names(folder)
    if (folder / INDEX).is_file():
        table, about = _read(folder / INDEX)
        try:
            seals = {name: (int(size), str(sha256)) for name, (size, sha256) in json.loads(about["shards"]).items()}
            keys, checks, places = (table[name].numpy() for name in _COLUMNS)
            found = Index(names, keys, checks, places, seals)
        except (KeyError, ValueError, TypeError) as error:
            raise _damaged(folder / INDEX, error) from error
        for name in seals:
            if not (folder / name).is_file():
                raise _damaged(folder / name, "it is gone", INDEX)
        if tuple(seals) == names:
            _refuse_other_sizes(folder, found)
            return found
    return _built(folder, names)


def seal(folder: Path) -> None:
    """Write the index of a complete cache.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
        TrainingError: a shard is damaged.
    """
    names = _shard_names(folder)
    if not names or ((folder / INDEX).is_file() and open_index(folder).seals):
        return
    seals = {name: ((folder / name).stat().st_size, files.sha256_of(folder / name)) for name in names}
    tables = [read_shard(folder / name) for name in names]
    rows = sum(len(keys) for keys, _, _ in _sorted(tables))
    with files.atomic_file(folder / INDEX) as part, part.open("wb") as file:
        start = file.write(_header(rows, {"shards": json.dumps(seals)}))
        done = 0
        for columns in _sorted(tables):  # written some at a time: the whole of it is never held
            for number, column in enumerate(columns):
                file.seek(start + 8 * (number * rows + done))
                file.write(column.tobytes())
            done += len(columns[0])


def refuse_changed(folder: Path) -> None:
    """Read every shard and make sure that it has the bytes it was written with.

    Raises:
        TrainingError: one has not.
    """
    for name, (_, sha256) in open_index(folder).seals.items():
        if files.sha256_of(folder / name) != sha256:
            raise _damaged(folder / name, "its bytes are not those that were written", INDEX)


def _shard_names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.glob(SHARDS)))


def _refuse_other_sizes(folder: Path, index: Index) -> None:
    for name, (size, _) in index.seals.items():
        found = (folder / name).stat().st_size
        if found != size:
            raise _damaged(folder / name, f"it has {found} bytes of {size}", INDEX)


def _built(folder: Path, names: tuple[str, ...]) -> Index:
    parts = list(_sorted([read_shard(folder / name) for name in names]))
    keys, checks, places = (np.concatenate([np.empty(0, np.int64), *columns]) for columns in zip(*parts, strict=True))
    return Index(names, keys, checks, places)


def _sorted(tables: Sequence[Mapping[str, Tensor]]) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Keys, checks and places of all rows, each row once, rising by key; some of them at a time."""
    keys = [table["keys"].numpy() for table in tables]
    parts = min(_MOST_PARTS, 1 + sum(map(len, keys)) // _PART_ROWS)
    edges = np.array([2**64 * part // parts - 2**63 for part in range(1, parts)], dtype=np.int64)
    cuts = [[0, *np.searchsorted(some, edges).tolist(), len(some)] for some in keys]
    for part in range(parts):
        columns: tuple[list[Integers], ...] = [], [], []
        for number, (table, cut) in enumerate(zip(tables, cuts, strict=True)):
            rows = slice(cut[part], cut[part + 1])
            columns[0].append(keys[number][rows])
            columns[1].append(table["checks"][rows].numpy())
            columns[2].append((number << _SHARD_BITS) + np.arange(rows.start, rows.stop))
        whole, checks, places = (np.concatenate([np.empty(0, np.int64), *column]) for column in columns)
        risen, first = np.unique(whole, return_index=True)
        yield risen, checks[first], places[first]


def _header(rows: int, about: dict[str, str]) -> bytes:
    """The first bytes of a safetensors file with the columns of an index."""
    columns = {
        name: {"dtype": "I64", "shape": [rows], "data_offsets": [8 * rows * number, 8 * rows * (number + 1)]}
        for number, name in enumerate(_COLUMNS)
    }
    text = json.dumps({"__metadata__": about, **columns}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            table = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return table, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, why: object, *others: str) -> TrainingError:
    also = "".join(f" and '{path.parent / other}'" for other in others)
    return TrainingError(
        f"the teacher's cache is damaged: '{path}': {why}. Delete that file{also}; its rows will be asked about again."
    )
