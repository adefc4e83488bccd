"""Many short sequences in two flat arrays: four bytes a token, and a batch is cut out without a Python loop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill import files

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """N sequences of different lengths.

    Attributes:
        values: (sum of the lengths,) integers, one sequence after the other.
        offsets: (N + 1,) int64, where each sequence starts and the last one ends.
    """

    values: NDArray[np.integer[Any]]
    offsets: Indices

    @classmethod
    def from_arrow(cls, column: Any) -> Ragged:
        """The lists of a `pyarrow` chunked array."""
        array = column.combine_chunks()
        offsets = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        values = array.values.to_numpy(zero_copy_only=False)
        return cls(values[offsets[0] : offsets[-1]], offsets - offsets[0])

    @classmethod
    def on_disk(cls, column: Any, path: Path) -> Ragged:
        """The same, with the values in a file that is mapped into memory; it is written if it is not there.

        Args:
            column: chunked array of lists.
            path: one value after the other, as they are in memory.

        Raises:
            StorageError: the file cannot be written.
        """
        lengths = [np.diff(chunk.offsets.to_numpy(zero_copy_only=False)) for chunk in column.chunks]
        offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum(dtype=np.int64)
        if not path.is_file():
            with files.atomic_file(path) as part, part.open("wb") as file:
                for chunk in column.chunks:
                    file.write(chunk.flatten().to_numpy(zero_copy_only=False).tobytes())
        values = np.memmap(path, column.type.value_type.to_pandas_dtype(), mode="r", shape=(int(offsets[-1]),))
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Indices:
        """(N,) length of each sequence."""
        return np.diff(self.offsets)

    def padded(self, rows: Indices, width: int, fill: int) -> Indices:
        """(len(rows), width) int64: those sequences, filled up on the right with `fill`."""
        positions = np.arange(width)
        is_real = positions < self.lengths[rows][:, None]
        result = np.full((len(rows), width), fill, dtype=np.int64)
        result[is_real] = self.values[(self.offsets[rows][:, None] + positions)[is_real]]
        return result

    def lists(self) -> list[list[int]]:
        """The sequences as Python lists."""
        return [values.tolist() for values in np.split(self.values, self.offsets[1:-1])]

    def take(self, rows: Indices) -> Ragged:
        """Those sequences alone, in that order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.values[source], offsets)
