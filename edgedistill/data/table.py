"""The shape every source of rows has, and how a task's columns are found in it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from edgedistill.data.tasks import TASKS, Split, Task
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

TEXT_ALIASES = ("text", "sentence", "utterance", "query")
LABEL_ALIASES = ("intent", "coarse", "category", "label_text", "label")
"""Columns taken where a built-in task's own column is not there; those that hold names before those that hold
numbers, because names cannot be misread. A task from a YAML file means what it says: no aliases."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The rows of one split as their source holds them.

    Attributes:
        origin: the file or Hub dataset, as messages name it.
        unit: what a row's number counts: lines of a text file, rows of anything else; both from 1.
        columns: every column the source has.
        rows: number of the row, and the values of the columns that were asked for.
        class_names: what the numbers of a column mean, where the source says so.
    """

    origin: str
    unit: Literal["line", "row"]
    columns: tuple[str, ...]
    rows: list[tuple[int, Row]]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def error(self, number: int, column: str, message: str) -> DataError:
        """A `DataError` that names where in the table it is."""
        return DataError(f"{self.origin}, {self.unit} {number}, column '{column}': {message}")


class Source(Protocol):
    """Gives the splits of a task as tables."""

    @property
    def name(self) -> str:
        """Folder or dataset, as messages name it."""
        ...

    @property
    def splits(self) -> tuple[Split, ...]:
        """The task's splits that are there."""
        ...

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Class names kept beside the data, where there are any."""
        ...

    def table(self, split: Split) -> Table:
        """The rows of a split that is there."""
        ...


def find_column(task: Task, table: Table, column: str, aliases: Collection[str]) -> str | None:
    """The table's column for one of the task's: itself, or for built-in tasks an alias of it; none if not there."""
    usable = (column, *aliases) if TASKS.get(task.name) == task else (column,)
    return next((name for name in usable if name in table.columns), None)


def column_of(task: Task, table: Table, column: str, aliases: Collection[str]) -> str:
    """As `find_column`, for a column that must be there.

    Raises:
        DataError: there is none; the message lists those that are there.
    """
    found = find_column(task, table, column, aliases)
    if found is not None:
        return found
    near = difflib.get_close_matches(column, table.columns, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise DataError(
        f"{table.origin} has no column '{column}', which task '{task.name}' reads.{hint} "
        f"There are: {', '.join(table.columns)}. Rename one, or describe your columns in a YAML file: --task my.yaml"
    )


def wanted_columns(task: Task) -> frozenset[str]:
    """Every column that could be read for a task."""
    return frozenset({*task.text, task.label, *TEXT_ALIASES, *LABEL_ALIASES})


class Column(Sequence[Any]):
    """A column of a `datasets.Dataset` that stays on the disk until it is looked at."""

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._rows, self._name = dataset.select_columns(name), name

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place][self._name]

    def take(self, places: Sequence[int]) -> list[Any]:
        """The values of those rows."""
        return list(self._rows[list(places)][self._name])


def column(dataset: Dataset, name: str) -> Sequence[Any]:
    """A column: a list where the rows are in memory, looked up where they are on the disk."""
    return Column(dataset, name) if dataset.cache_files else values(dataset, name)


def values(dataset: Dataset, column: str) -> list[Any]:
    """A column of a `datasets.Dataset` as a list, read in one piece: iterating over it goes row by row."""
    return list(dataset[column][:])
