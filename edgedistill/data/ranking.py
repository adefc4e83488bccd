"""Questions and their candidate sentences: which rows belong together, and how a paragraph becomes candidates.

A row is a question beside one candidate, labelled 1 where the candidate is right. The rows of one question stand next
to each other, from the source to the batch, and bear the question's number.
Reference: the first version of GLUE's QNLI, which asks which sentence of a SQuAD paragraph holds the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.data.labels import checked_labels
from edgedistill.data.ragged import Indices
from edgedistill.data.table import Table, column_of, find_column, values
from edgedistill.data.tasks import Task
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

QUESTION = "question"
"""Column of the question's number."""

_ENDS = re.compile(r"""(?<=[.!?])["'\u2019\u201d)\]]*\s+(?=["'\u2018\u201c(\[]*[^\Wa-z_])""")
"""White space after a full stop, before something that can begin a sentence."""
_NO_END = re.compile(
    r"(?:^|[\s(\"'\u2018\u201c])(?:[A-Z]|[A-Z]\.[A-Z]|[A-Za-z](?:\.[A-Za-z])+|Mr|Mrs|Ms|Dr|Prof|St|Sts|Mt|Ft|Jr|Sr|Gen|"
    r"Col|Capt|Lt|Sgt|Adm|Rev|Hon|Gov|Sen|Rep|Pres|No|Nos|Vol|pp?|ca?|cf|vs|approx|fig|Inc|Ltd|Co|Corp|Bros)\.$"
)
"""Full stops of initials, titles and abbreviations end no sentence."""


@lru_cache(maxsize=100_000)
def sentence_bounds(text: str) -> tuple[tuple[int, int], ...]:
    """Where each sentence begins and ends, in characters; the same for the same text, whatever is asked about it."""
    text = text.rstrip()
    cuts = [cut for cut in _ENDS.finditer(text) if not _NO_END.search(text[max(0, cut.start() - 20) : cut.start()])]
    starts = [0, *(cut.end() for cut in cuts)]
    ends = [*(_end(text, cut) for cut in cuts), len(text)]
    return tuple((start, end) for start, end in zip(starts, ends, strict=True) if text[start:end].strip())


def candidate_rows(task: Task, table: Table) -> tuple[Table, list[int]]:
    """The rows of a ranking task, one for each candidate, and the number of each one's question.

    Args:
        task: says whether rows are candidates already, or paragraphs whose sentences are.
        table: of its source.

    Raises:
        DataError: a question with fewer than two candidates or none that is right, or answers that are not in their
            paragraph; with the row.
    """
    if task.candidates == "sentences":
        return _sentences_as_rows(task, table)
    first = column_of(task, table, task.text[0], ())
    questions: list[int] = []
    for place, (_, row) in enumerate(table.rows):
        is_next = place > 0 and row.get(first) != table.rows[place - 1][1].get(first)
        questions.append(questions[-1] + int(is_next) if questions else 0)
    return table, questions


def refuse_unrankable(task: Task, table: Table, questions: Sequence[int], labels: Sequence[Any]) -> None:
    """Make sure that every question has candidates to choose between, and a right one where labels are known.

    Raises:
        DataError: it has not, with the row.
    """
    for start, end in pairwise([*np.flatnonzero(np.diff(questions, prepend=-1)).tolist(), len(questions)]):
        number, own = table.rows[start][0], labels[start:end]
        if end - start < 2:
            raise table.error(
                number,
                task.text[0],
                "this question has one candidate only. Rows of a question stand next to each other; give two or more.",
            )
        if own[0] is not None and 1 not in own:
            raise table.error(
                number, task.label, f"none of this question's {end - start} candidates is right. Label one with 1."
            )


def bounds_of(dataset: Dataset) -> Indices:
    """(Q + 1,) where the rows that stay together start and the last ones end: a question's, else each row alone."""
    if QUESTION not in dataset.column_names:
        return np.arange(len(dataset) + 1)
    questions = np.asarray(values(dataset, QUESTION))
    return np.append(np.flatnonzero(np.diff(questions, prepend=-1)), len(questions)).astype(np.int64)


def rows_of(bounds: Indices, chosen: Indices) -> Indices:
    """The rows of the chosen questions, in that order; the chosen ones themselves where each row is alone."""
    sizes = np.diff(bounds)[chosen]
    ends = np.cumsum(sizes)
    return np.repeat(bounds[chosen] - (ends - sizes), sizes) + np.arange(sizes.sum())


def _sentences_as_rows(task: Task, table: Table) -> tuple[Table, list[int]]:
    question, paragraph = (column_of(task, table, name, ()) for name in task.text)
    label = find_column(task, table, task.label, ())
    as_span = task.model_copy(update={"kind": "span"})
    answers: list[Any] = (
        [None] * len(table.rows) if label is None else checked_labels(as_span, table, (), is_required=False)
    )
    rows: list[tuple[int, dict[str, Any]]] = []
    questions: list[int] = []
    for place, ((number, row), answer) in enumerate(zip(table.rows, answers, strict=True)):
        text = row.get(paragraph)
        if not isinstance(text, str):
            raise table.error(number, paragraph, f"{text!r:.80} is not text. Put the paragraph there.")
        bounds = sentence_bounds(text)
        right = None if answer is None else _holding(bounds, answer["start"])
        if len(bounds) < 2 or right == set():
            continue  # nothing to choose between, or a question without an answer
        for sentence, (start, end) in enumerate(bounds):
            made = {task.text[0]: row.get(question), task.text[1]: text[start:end]}
            rows.append((number, made if right is None else {**made, task.label: int(sentence in right)}))
            questions.append(place)
    if not rows:
        raise DataError(f"{table.origin}: no paragraph has two sentences to choose between. Give longer ones.")
    return Table(table.origin, table.unit, tuple(rows[0][1]), list(rows)), questions


def _holding(bounds: Sequence[tuple[int, int]], starts: Sequence[int]) -> set[int]:
    """The sentences in which answers begin."""
    return {max(n for n, (begin, _) in enumerate(bounds) if begin <= start) for start in starts}


def _end(text: str, cut: re.Match[str]) -> int:
    """End of the sentence before a cut: closing quotes belong to it, blanks to nobody."""
    return cut.start() + len(text[cut.start() : cut.end()].rstrip())
