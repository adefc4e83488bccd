"""Which rows train, which choose, and which judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.labels import has_labels
from edgedistill.data.ranking import bounds_of, rows_of
from edgedistill.data.table import Source, column, values
from edgedistill.data.tasks import Split, Task
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

_DEV_SHARE, _DEV_MOST = 0.1, 1000


def judged_split_of(task: Task, source: Source) -> Split:
    """The split that verdicts are about: test where it is there with labels, else validation.

    Raises:
        DataError: neither is there.
    """
    for split in ("test", "validation"):
        if has_labels(task, source, split):
            return split
    raise DataError(
        f"{source.name} has no labelled test or validation split of task '{task.name}' to judge by, only "
        f"{', '.join(source.splits)}. Put some rows aside as {task.splits.get('validation', 'validation')}.jsonl"
    )


def carved(train: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset]:
    """Split train into train and dev: a seeded tenth, at most 1000 rows, classes in their shares.

    One row of every class always stays in train, so that no class is lost to it. A question's candidates stay together.

    Raises:
        DataError: too few rows.
    """
    bounds = bounds_of(train)
    order = np.random.default_rng([seed, 0xDE7]).permutation(len(bounds) - 1)
    if task.kind in {"single", "pair"}:
        labels = np.asarray(values(train, "label"))[order]
        order = order[np.argsort(labels, kind="stable")]
        _, firsts = np.unique(np.sort(labels), return_index=True)
        order = np.delete(order, firsts)
    most = max(1, _DEV_MOST * (len(bounds) - 1) // max(len(train), 1))
    wanted = min(max(1, int((len(bounds) - 1) * _DEV_SHARE)), most, len(order))
    if not wanted or len(bounds) < 3:
        raise DataError(
            f"task '{task.name}' has {len(train)} training rows, too few to put one aside for choosing checkpoints. "
            "Give more rows, or a validation and a test split."
        )
    picked = order[((np.arange(wanted) + 0.5) * len(order) / wanted).astype(np.int64)]
    is_dev = np.zeros(len(train), dtype=bool)
    is_dev[rows_of(bounds, picked)] = True
    return train.select(np.flatnonzero(~is_dev)), train.select(np.flatnonzero(is_dev))


def halved(judged: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset]:
    """Split the labelled rows into those to judge by and those to choose by, for a train split without labels.

    Raises:
        DataError: a single row.
    """
    bounds = bounds_of(judged)
    if len(bounds) < 3:
        raise DataError(
            f"task '{task.name}' has labels in one row only: one to choose checkpoints by and another to judge by are "
            "needed. Give more rows with labels, or a validation and a test split."
        )
    order = np.random.default_rng([seed, 0xDE8]).permutation(len(bounds) - 1)
    parts = (np.sort(part) for part in (order[len(order) // 2 :], order[: len(order) // 2]))
    to_judge, to_choose = (judged.select(rows_of(bounds, part)) for part in parts)
    return to_judge, to_choose


def refuse_one_class(task: Task, train: Dataset, names: tuple[str, ...], origin: str) -> None:
    """Raise `DataError` when every training row has the same label."""
    if task.kind in {"single", "pair"}:
        found = set(values(train, "label"))
        if len(found) < 2:
            raise DataError(
                f"{origin}: all {len(train)} training rows of task '{task.name}' have the label "
                f"'{names[found.pop()]}'. There is nothing to learn. Give rows of other classes, or a larger --limit."
            )


def refuse_no_text(task: Task, train: Dataset, origin: str) -> None:
    """Raise `DataError` when every training row is blank."""
    if not any(text.strip() for text in column(train, "text")):
        raise DataError(
            f"{origin}: the text of all {len(train)} training rows of task '{task.name}' is empty. There is nothing to "
            f"learn. Is '{task.text[0]}' the right column?"
        )
