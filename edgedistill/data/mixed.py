"""The rows of several tasks as one stream of batches, each of one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from edgedistill.data.batches import Batch
from edgedistill.data.order import Size
from edgedistill.data.ragged import Indices


class _Rows(Protocol):
    def __len__(self) -> int: ...

    def order(self, seed: int, epoch: int, batch_size: Size) -> list[Indices]: ...

    def batch(self, rows: Indices) -> Batch: ...


class Mixed:
    """Batches of all tasks in random order: the larger a task, the oftener it comes (Liu et al., 2019, algorithm 1)."""

    def __init__(self, rows: Mapping[str, _Rows]) -> None:
        """Join tasks.

        Args:
            rows: of each task, by its name.
        """
        self._rows = dict(rows)

    def __len__(self) -> int:
        """Rows of all tasks together."""
        return sum(map(len, self._rows.values()))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each task."""
        return tuple(map(len, self._rows.values()))

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """Every row of every task once; each task's own order, its batches scattered among the others'.

        Args:
            seed: of the run.
            epoch: which pass, from 0.
            batch_size: rows in each batch but a task's last, or tokens.
        """
        orders = {task: rows.order(seed, epoch, batch_size) for task, rows in self._rows.items()}
        names = [task for task, batches in orders.items() for _ in batches]
        coming = {task: iter(batches) for task, batches in orders.items()}
        for place in np.random.default_rng([seed, epoch, len(names)]).permutation(len(names)):
            task = names[place]
            yield replace(self._rows[task].batch(next(coming[task])), task=task)
