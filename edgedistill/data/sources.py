"""Where a task's rows come from: a folder of files, the Hub, or edgedistill itself; one shape after loading.

A row's id is `<split>-<n>`, n counting the split's rows from 0 in the source's order. It stays with the
row from here to the report, also when a part of train becomes the development split.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from edgedistill.data.encoding import clean
from edgedistill.data.hub import HubTables
from edgedistill.data.labels import checked_labels, label_names, label_type
from edgedistill.data.ranking import QUESTION, bounds_of, candidate_rows, refuse_unrankable, rows_of
from edgedistill.data.readers import SUFFIXES, read_table
from edgedistill.data.table import TEXT_ALIASES, Source, Table, column_of, wanted_columns
from edgedistill.data.tasks import TASKS, Kind, Split, Task
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

LABEL_NAMES = "label_names.json"


def open_source(task: Task, data_dir: Path | None) -> Source:
    """The folder `data_dir`, or without one the task's home on the Hub or in edgedistill.

    Raises:
        DataError: there is no such folder, it holds none of the task's splits, or the Hub does not answer.
    """
    if data_dir is not None:
        return _Folder(task, Path(data_dir))
    if task == TASKS["assistant"]:
        return _Embedded()
    if task.hub is None:
        raise DataError(
            f"task '{task.name}' has no 'hub' to load from. Give its files with --data DIR "
            f"({', '.join(f'{split}.jsonl' for split in task.splits.values())})."
        )
    return HubTables(task, task.hub, wanted_columns(task))


def load_split(task: Task, split: Split, data_dir: Path | None, limit: int | None = None) -> Dataset:
    """Load one split.

    Args:
        task: what to load.
        split: which part of it.
        data_dir: folder with `<split>.jsonl[.gz]`, `.parquet`, `.csv[.gz]` or `.tsv[.gz]`; none: the Hub, or for the
            embedded task nothing at all.
        limit: most rows to give: always the same random ones, in the source's order.

    Returns:
        Columns `row_id`, `text`, `text_pair` (null for a single text) and `label`: int64 class, float64 score,
        {"text", "start"} lists of answers, a list of int64 tags with the column `words` beside it, or the texts that
        would be right to write; null labels where the split has none. A ranking has 1 for the right candidate and the
        column `question` with its number.

    Raises:
        DataError: naming the file, line and column.
    """
    source = open_source(task, data_dir)
    return dataset_of(task, source, split, label_names(task, source), limit)


def load_label_names(task: Task, data_dir: Path | None) -> tuple[str, ...]:
    """Class names of a task in the order of their numbers; empty for numbers and spans.

    Raises:
        DataError: as `load_split`.
    """
    return label_names(task, open_source(task, data_dir))


def dataset_of(
    task: Task,
    source: Source,
    split: Split,
    names: tuple[str, ...],
    limit: int | None = None,
    *,
    needs_labels: bool = True,
) -> Dataset:
    """The checked rows of one split of an open source; see `load_split`. Only train ever `needs_labels`."""
    from datasets import Dataset

    if split not in source.splits:
        raise DataError(
            f"{source.name} has no split '{split}' of task '{task.name}'. There are: {', '.join(source.splits)}. "
            "Give it, or name another one for it under 'splits' of a task file; see: edgedistill config task."
        )
    table, questions = source.table(split), None
    if task.kind == "ranking":
        table, questions = candidate_rows(task, table)
    words = checked_words(task, table) if task.kind == "tokens" else None
    first = [" ".join(row) for row in words] if words is not None else checked_texts(task, table, 0)
    second = checked_texts(task, table, 1) if len(task.text) == 2 else [None] * len(first)
    columns: dict[str, list[object]] = {
        "row_id": [f"{split}-{n}" for n in range(len(first))],
        "text": [*first],
        "text_pair": [*second],
        "label": [*checked_labels(task, table, names, words, is_required=split == "train" and needs_labels)],
    }
    if words is not None:
        columns["words"] = [*words]
    if questions is not None:
        refuse_unrankable(task, table, questions, columns["label"])
        columns[QUESTION] = [*questions]
    if task.kind == "generation" and split != "train":
        columns = references_together(columns)
    dataset = Dataset.from_dict(columns, features=_features(task.kind, label_type(task.kind)))
    return sample(dataset, limit)


def checked_texts(task: Task, table: Table, which: int) -> list[str]:
    """One text column's values.

    Raises:
        DataError: the column is missing, or a value is no text.
    """
    column = column_of(task, table, task.text[which], TEXT_ALIASES if len(task.text) == 1 else ())
    texts = []
    for number, row in table.rows:
        value = row.get(column)
        if task.kind == "generation" and isinstance(value, dict):  # SQuAD's answers: the first one's text
            value = next(iter(value.get("text") or ()), None)
        if not isinstance(value, str):
            found = "missing" if value is None else f"{value!r} is not text"
            raise table.error(number, column, f"{found}. Put a string there, or remove the row.")
        texts.append(clean(value))
    return texts


def checked_words(task: Task, table: Table) -> list[list[str]]:
    """The words of each row of a token-tagging task: a list of strings, or a text cut at blanks."""
    column = column_of(task, table, task.text[0], ())
    rows = []
    for number, row in table.rows:
        value = row.get(column)
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
            raise table.error(number, column, f"{value!r} is no list of words. Put the row's words there.")
        rows.append([clean(word) for word in words])
    return rows


def references_together(columns: dict[str, list[object]]) -> dict[str, list[object]]:
    """Make rows of one source one row, judged by all their references; it keeps the id of the first."""
    first: dict[tuple[object, object], int] = {}
    references: dict[int, list[object]] = {}
    for place, (text, pair, label) in enumerate(
        zip(columns["text"], columns["text_pair"], columns["label"], strict=True)
    ):
        row = first.setdefault((text, pair), place)
        references.setdefault(row, []).extend(label if isinstance(label, list) else [])
    kept = {name: [values[row] for row in references] for name, values in columns.items()}
    return {**kept, "label": [texts or None for texts in references.values()]}


def _features(kind: Kind, label: object) -> object:
    from datasets import Features, List, Value

    columns = {"row_id": Value("string"), "text": Value("string"), "text_pair": Value("string"), "label": label}
    more = {"tokens": {"words": List(Value("string"))}, "ranking": {QUESTION: Value("int64")}}
    return Features(columns | more.get(kind, {}))


def sample(dataset: Dataset, limit: int | None) -> Dataset:
    """At most `limit` rows: always the same random ones, in their own order; of a ranking whole questions, one or more.

    Raises:
        DataError: a limit below 1.
    """
    if limit is None or limit >= len(dataset):
        return dataset
    if limit < 1:
        raise DataError(f"--limit {limit} leaves no rows. Give 1 or more.")
    bounds = bounds_of(dataset)
    order = np.random.default_rng(0).permutation(len(bounds) - 1)
    fitting = int(np.searchsorted(np.cumsum(np.diff(bounds)[order]), limit, side="right"))
    return dataset.select(rows_of(bounds, np.sort(order[: max(1, fitting)])))


class _Folder:
    def __init__(self, task: Task, folder: Path) -> None:
        self._task, self._folder, self.name = task, folder, f"'{folder}'"
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "does not exist"
            raise DataError(f"--data '{folder}' {what}. Give the folder that holds {self._expected()}.")
        self._tables: dict[Split, Table] = {}
        if not self.splits:
            held = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
            raise DataError(
                f"'{folder}' holds no data of task '{task.name}': expected {self._expected()}. It holds: {held}."
            )

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in get_args(Split) if self._file(split))

    @cached_property
    def label_names(self) -> tuple[str, ...] | None:
        path = self._folder / LABEL_NAMES
        if not path.is_file():
            return None
        advice = 'It must hold a list of different class names in order, such as ["no", "yes"].'
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read '{path}': {error}. {advice}") from error
        is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if not is_list or len(value) < 2 or len(set(value)) < len(value):
            raise DataError(f"'{path}' is no list of class names. {advice}")
        return tuple(value)

    def table(self, split: Split) -> Table:
        if split not in self._tables:
            path = self._file(split)
            assert path is not None
            self._tables[split] = read_table(path, wanted_columns(self._task))
        return self._tables[split]

    def _file(self, split: Split) -> Path | None:
        stem = self._task.splits.get(split)
        found = [
            self._folder / f"{stem}{suffix}" for suffix in SUFFIXES if (self._folder / f"{stem}{suffix}").is_file()
        ]
        if len(found) > 1 and stem:
            raise DataError(f"'{self._folder}' holds {' and '.join(path.name for path in found)}. Keep one of them.")
        return found[0] if found and stem else None

    def _expected(self) -> str:
        names = " or ".join(f"{stem}.jsonl" for stem in self._task.splits.values())
        return f"{names} (or .jsonl.gz, .parquet, .csv, .tsv)"


class _Embedded:
    """The assistant task, generated where it is needed."""

    name = "the embedded task 'assistant'"
    splits: tuple[Split, ...] = ("train", "validation", "test")

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        from edgedistill.data import assistant

        return assistant.intents()

    def table(self, split: Split) -> Table:
        from edgedistill.data import assistant

        rows = list(enumerate(assistant.generate(split), start=1))
        return Table(self.name, "row", ("text", "intent"), [(number, row) for number, row in rows])
