"""Labels as they are written, checked and turned into numbers."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

from edgedistill.data.encoding import clean
from edgedistill.data.table import LABEL_ALIASES, Row, Source, Table, column_of, find_column
from edgedistill.data.tasks import Kind, Split, Task
from edgedistill.errors import DataError

_LOG = logging.getLogger(__name__)
_MOST_CLASSES = 1000
_WITHHELD = (None, -1, -1.0, "-1")
"""How a split is written whose labels are kept from the public: nothing, or -1 as on the Hub."""

Label = int | float | list[int] | list[str] | dict[str, list[Any]] | None


def label_type(kind: Kind) -> Any:
    """The `datasets` feature of a task's label column."""
    from datasets import List, Value

    if kind == "regression":
        return Value("float64")
    if kind == "span":
        return {"text": List(Value("string")), "start": List(Value("int64"))}
    if kind == "generation":
        return List(Value("string"))
    return List(Value("int64")) if kind == "tokens" else Value("int64")


def has_labels(task: Task, source: Source, split: Split) -> bool:
    """Whether the source has that split, and its labels are not withheld."""
    return split in source.splits and not _is_unlabelled(task, source.table(split))


def label_names(task: Task, source: Source) -> tuple[str, ...]:
    """Class names in the order of their numbers; empty for numbers and spans.

    The first of these that there is: `label_names.json` beside the data (not for tags, whose names it does not
    hold), the task's own list, the names a Hub or Parquet column carries, the values found: those of train sorted,
    then those seen only elsewhere.

    Raises:
        DataError: the label column is missing, or holds no classes.
    """
    if not task.has_classes:
        return ()
    if task.kind != "tokens" and source.label_names:
        return source.label_names
    if task.labels:
        return task.labels
    names: list[str] = []
    labelled = [split for split in source.splits if has_labels(task, source, split)]
    for split in labelled or source.splits[:1]:
        table = source.table(split)
        column = column_of(task, table, task.label, LABEL_ALIASES)
        if column in table.class_names:
            return table.class_names[column]
        names += _new_names(task, table, column, names)
    if len(names) < 2:
        raise DataError(
            f"{source.name}: task '{task.name}' needs two classes or more; its labels are {names}. "
            "Add rows of another class, or list every class under 'labels' in a task file."
        )
    return tuple(names)


def checked_labels(
    task: Task,
    table: Table,
    names: Sequence[str],
    words: Sequence[Sequence[str]] | None = None,
    *,
    is_required: bool,
) -> list[Label]:
    """The labels of a table as numbers; all None where they are withheld.

    Args:
        task: says what kind they are.
        table: the rows.
        names: class names in order.
        words: the words that tags belong to.
        is_required: whether withheld labels are an error, as in train.

    Raises:
        DataError: a label that cannot be one, with the row, what was found and what is allowed.
    """
    if not is_required and _is_unlabelled(task, table):
        return [None] * len(table.rows)
    column = column_of(task, table, task.label, LABEL_ALIASES)
    if task.kind == "regression":
        return [_score(table, number, column, row) for number, row in table.rows]
    if task.kind == "span":
        return [_answers(table, number, column, row, task.text[1]) for number, row in table.rows]
    if task.kind == "generation":
        return [_references(table, number, column, row) for number, row in table.rows]
    classes = _Classes(table, column, ("0", "1") if task.kind == "ranking" else names)
    if words is None:
        return [classes.number(number, row.get(column)) for number, row in table.rows]
    return [classes.tags(number, row.get(column), of) for (number, row), of in zip(table.rows, words, strict=True)]


def _is_unlabelled(task: Task, table: Table) -> bool:
    column = find_column(task, table, task.label, LABEL_ALIASES)
    return column is None or all(
        not isinstance(row.get(column), list | dict) and row.get(column) in _WITHHELD for _, row in table.rows
    )


def _new_names(task: Task, table: Table, column: str, known: Sequence[str]) -> list[str]:
    """Names of the classes in a column, those already known left out."""
    cells = [row.get(column) for _, row in table.rows]
    values = chain.from_iterable(_listed(cell) for cell in cells) if task.kind == "tokens" else cells
    found = {_name(value) for value in values if value not in _WITHHELD}
    if len(found) > _MOST_CLASSES:
        raise DataError(
            f"{table.origin}, column '{column}' holds {len(found)} different values, so it is no class label. "
            "Name the right column under 'label', or set 'kind: regression'."
        )
    new = found - set(known)
    if known and new:
        _LOG.warning("%s has labels that are not in train: %s", table.origin, ", ".join(sorted(new)))
    if not all(name.isdecimal() for name in new):
        return sorted(new)
    if "0" in new:  # numbers from 0: train may lack rows of a class, but not its number
        return [str(number) for number in range(max(map(int, new)) + 1)]
    return sorted(new, key=int)


def _listed(cell: Any) -> list[Any]:
    """The tags in a cell: a list of them, or a text with blanks between them; none in anything else."""
    tags = cell.split() if isinstance(cell, str) else cell
    return tags if isinstance(tags, list) else []


def _name(value: Any) -> str:
    """How a class is named where it was written: 1, 1.0, true and "1" are the same."""
    if isinstance(value, bool | float) and float(value).is_integer():
        return str(int(value))
    return str(value)


class _Classes:
    """Turns the names or numbers of one column into class numbers."""

    def __init__(self, table: Table, column: str, names: Sequence[str]) -> None:
        self._table, self._column, self._names = table, column, names
        self._numbers = {name: number for number, name in enumerate(names)}
        given = table.class_names.get(column, ())
        has_same_names = len(given) == len(names) and set(given) == set(names)
        # the numbers of a column with names of its own count that list, whose order may be another
        self._by_position = [self._numbers[name] for name in given] if has_same_names else list(range(len(names)))
        self._are_named_by_number = not given and any(name.isdecimal() for name in names)

    def number(self, row: int, value: Any) -> int:
        """The class a value names or numbers.

        Raises:
            DataError: it is neither.
        """
        if isinstance(value, str) and value in self._numbers:
            return self._numbers[value]
        name = "" if value is None else _name(value)
        if self._are_named_by_number:
            if name in self._numbers:
                return self._numbers[name]
        elif name.isdecimal() and int(name) < len(self._by_position):
            return self._by_position[int(name)]
        raise self._table.error(row, self._column, self._complaint(value))

    def tags(self, row: int, values: Any, words: Sequence[str]) -> list[int]:
        """The classes of a row's words.

        Raises:
            DataError: not a tag for every word.
        """
        tags = values.split() if isinstance(values, str) else values
        if not isinstance(tags, list) or len(tags) != len(words):
            found = (
                f"{len(tags)} tags for {len(words)} words" if isinstance(tags, list) else f"{tags!r} is no list of tags"
            )
            raise self._table.error(row, self._column, f"{found}. Give one tag for every word.")
        return [self.number(row, tag) for tag in tags]

    def _complaint(self, value: Any) -> str:
        if value is None:
            return "no label. Fill it in, or remove the row."
        near = difflib.get_close_matches(str(value), self._names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        shown = ", ".join(self._names[:8]) + (", ..." if len(self._names) > 8 else "")
        numbers = "" if self._are_named_by_number else f", or 0 to {len(self._names) - 1}"
        return f"{value!r} is no label.{hint} Allowed: {shown}{numbers}."


def _score(table: Table, number: int, column: str, row: Row) -> float:
    value = row.get(column)
    try:
        score = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise table.error(number, column, f"{value!r} is no finite number. Put the score there, or remove the row.")
    return score


def _answers(table: Table, number: int, column: str, row: Row, context_column: str) -> dict[str, list[Any]]:
    """Answer texts and where they start in the context, in characters; both empty for an unanswerable question."""
    value = row.get(column)
    texts, starts = (value.get("text"), value.get("answer_start")) if isinstance(value, dict) else (None, None)
    if not _are_answers(texts, starts):
        raise table.error(
            number,
            column,
            f'{value!r:.80} is no answer. Write {{"text": ["..."], "answer_start": [0]}} in a .jsonl or .parquet file.',
        )
    assert isinstance(texts, list)
    assert isinstance(starts, list)
    context = row.get(context_column)
    for text, start in zip(texts, starts, strict=True):
        found = context[start : start + len(text)] if isinstance(context, str) and start >= 0 else ""
        if found != text or not text:
            raise table.error(
                number,
                column,
                f"the answer {text!r} is not at character {start} of '{context_column}' (found {found!r}). "
                "Correct answer_start, or remove the row.",
            )
    return {"text": texts, "start": starts}


def _references(table: Table, number: int, column: str, row: Row) -> list[str]:
    """The texts that would be right; the first one is what is learnt."""
    value = row.get(column)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise table.error(number, column, f"{value!r:.80} is no text. Put the text to be written there, or a list.")
    return [clean(text) for text in texts]


def _are_answers(texts: Any, starts: Any) -> bool:
    are_lists = isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)
    return are_lists and all(isinstance(text, str) for text in texts) and all(type(start) is int for start in starts)
