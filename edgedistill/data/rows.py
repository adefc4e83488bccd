"""Tokenised rows as batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.order import Size, in_random_order
from edgedistill.data.ragged import Indices, Ragged
from edgedistill.data.ranking import QUESTION, bounds_of
from edgedistill.data.spool import IN_MEMORY_BYTES
from edgedistill.data.table import Column, column, values
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.data.tokenise import CUT, rows_sha256, tokenised
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class _View:
    """Rows in one tokenizer's tokens."""

    ids: Ragged
    types: Ragged
    pad_id: int

    def encoded(self, rows: Indices) -> Encoded:
        width = int(self.ids.lengths[rows].max())
        mask = np.arange(width) < self.ids.lengths[rows][:, None]
        return Encoded(
            torch.from_numpy(self.ids.padded(rows, width, self.pad_id)),
            torch.from_numpy(mask.astype(np.int64)),
            torch.from_numpy(self.types.padded(rows, width, 0)),
        )

    def take(self, rows: Indices) -> _View:
        return _View(self.ids.take(rows), self.types.take(rows), self.pad_id)


class Rows:
    """Rows of one split or corpus, tokenised for the student and, where its tokenizer differs, for the teacher."""

    def __init__(
        self,
        dataset: Dataset,
        kind: Kind | None,
        tokenizer: Any,
        teacher_tokenizer: Any = None,
        *,
        max_length: int,
        drops_cut_answers: bool = False,
    ) -> None:
        """Tokenise rows, or find them tokenised in the cache.

        Args:
            dataset: what `load_split` or `load_corpus` gave.
            kind: of the task; none for a corpus.
            tokenizer: the student's.
            teacher_tokenizer: only where it differs (`same_tokens`).
            max_length: longest row in tokens.
            drops_cut_answers: leave rows out whose answer lies behind `max_length` (for training); otherwise they stay,
                with the span (0, 0) or nothing to write.
        """
        tokens = tokenised(dataset, kind, tokenizer, max_length)
        self._student = _view(tokens, tokenizer)
        self._teacher = self._student
        if teacher_tokenizer is not None:
            self._teacher = _view(tokenised(dataset, None, teacher_tokenizer, max_length), teacher_tokenizer)
        self._dataset, self._kind = dataset, kind
        self._targets = _targets(dataset, tokens, kind)
        self._bounds = _bounds(dataset)
        self._questions = np.asarray(values(dataset, QUESTION)) if kind == "ranking" else None
        self.dropped = 0
        """Rows left out because their answer was cut away."""
        is_cut = _is_cut(self._targets, kind)
        if drops_cut_answers and is_cut.any():
            self._keep(np.flatnonzero(~is_cut))
        elif kind == "span" and isinstance(self._targets, np.ndarray):
            self._targets[is_cut] = 0

    def __len__(self) -> int:
        """How many rows."""
        return len(self._student.ids)

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in random order, rows of similar length together; the same for the same seed and epoch.

        Args:
            seed: of the run.
            epoch: which pass, from 0.
            batch_size: rows in each batch but the last, on average where a question's candidates stay together; or its
                tokens.
        """
        for rows in self.order(seed, epoch, batch_size):
            yield self.batch(rows)

    def order(self, seed: int, epoch: int, batch_size: Size) -> list[Indices]:
        """The rows of each batch of that epoch."""
        return list(in_random_order(self.lengths, seed, epoch, batch_size, self._bounds))

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once, in the order of `row_ids`."""
        for start in range(0, len(self), batch_size):
            yield self.batch(np.arange(start, min(start + batch_size, len(self))))

    def batch(self, rows: Indices) -> Batch:
        """The batch of those rows, padded to the longest of them."""
        student, ids = self._student.encoded(rows), self.row_ids
        return Batch(
            row_ids=tuple(ids.take(rows.tolist()) if isinstance(ids, Column) else (ids[row] for row in rows)),
            student=student,
            teacher=student if self.shares_tokens else self._teacher.encoded(rows),
            labels=self._batch_labels(rows, student.input_ids.shape[1]),
            questions=None if self._questions is None else torch.from_numpy(self._questions[rows]),
        )

    @property
    def shares_tokens(self) -> bool:
        """Whether teacher and student read the same tokens."""
        return self._teacher is self._student

    @cached_property
    def row_ids(self) -> Sequence[str]:
        """Stable id of each row, `<split>-<n>`."""
        found: Sequence[str] = column(self._dataset, "row_id")
        return found

    @property
    def texts(self) -> list[str]:
        """First text of each row."""
        return values(self._dataset, "text")

    @property
    def pairs(self) -> list[str | None]:
        """Second text of each row, None for a single text."""
        return values(self._dataset, "text_pair")

    @property
    def labels(self) -> list[Any] | None:
        """Right answer of each row; None for unlabelled rows.

        A class number, a score, the number of its question and 1 or 0 (ranking), the list of accepted answers (span) or
        texts (generation), or one tag per token with -100 where there is none (tokens).
        """
        if self._targets is None:
            return None
        if self._kind == "generation":
            return [list(texts) for texts in values(self._dataset, "label")]
        if isinstance(self._targets, Ragged):
            return self._targets.lists()
        if self._kind == "span":
            return [list(label["text"]) for label in values(self._dataset, "label")]
        if self._questions is not None:
            return [list(pair) for pair in zip(self._questions.tolist(), self._targets.tolist(), strict=True)]
        return values(self._dataset, "label")

    @property
    def lengths(self) -> Indices:
        """(N,) tokens of each row, the student's, special ones included."""
        return self._student.ids.lengths

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 over the rows' ids, texts and labels."""
        return rows_sha256(self._dataset)

    def _batch_labels(self, rows: Indices, width: int) -> Tensor | None:
        if self._targets is None:
            return None
        if isinstance(self._targets, Ragged):
            if self._kind == "generation":
                width = max(int(self._targets.lengths[rows].max()), 1)
            return torch.from_numpy(self._targets.padded(rows, width, IGNORED))
        return torch.from_numpy(self._targets[rows])

    def _keep(self, rows: Indices) -> None:
        self.dropped = len(self) - len(rows)
        if not len(rows):
            raise DataError("no training row's answer lies within max_length tokens. Set a larger max_length.")
        self._student, self._teacher, student = self._student.take(rows), self._teacher, self._student
        self._teacher = self._student if self._teacher is student else self._teacher.take(rows)
        self._dataset = self._dataset.select(rows)
        self._bounds = _bounds(self._dataset)
        assert self._targets is not None
        self._targets = self._targets.take(rows) if isinstance(self._targets, Ragged) else self._targets[rows]


def _view(tokens: Dataset, tokenizer: Any) -> _View:
    ids, types = (_ragged(tokens, name) for name in ("input_ids", "token_type_ids"))
    return _View(ids, types, tokenizer.pad_token_id or 0)


def _bounds(dataset: Dataset) -> Indices | None:
    """Where the rows of each question start; none where each row is alone."""
    return bounds_of(dataset) if QUESTION in dataset.column_names else None


def _ragged(tokens: Dataset, name: str) -> Ragged:
    """The lists of a column: in memory, or mapped where that would take much of it."""
    lists = tokens.data.column(name)
    if not tokens.cache_files or lists.nbytes <= IN_MEMORY_BYTES:
        return Ragged.from_arrow(lists)
    return Ragged.on_disk(lists, Path(tokens.cache_files[0]["filename"]).with_suffix(f".{name}.bin"))


def _targets(dataset: Dataset, tokens: Dataset, kind: Kind | None) -> Ragged | np.ndarray[Any, Any] | None:
    """What `Batch.labels` is cut from: (N,) classes or scores, (N, 2) spans, tags or texts; None without labels."""
    if kind is None or dataset[0]["label"] is None:
        return None
    if kind in {"tokens", "generation"}:
        return Ragged.from_arrow(tokens.data.column("target"))
    if kind == "span":
        return Ragged.from_arrow(tokens.data.column("target")).values.astype(np.int64).reshape(-1, 2)
    return np.asarray(values(dataset, "label"), dtype=np.float32 if kind == "regression" else np.int64)


def _is_cut(targets: Ragged | np.ndarray[Any, Any] | None, kind: Kind | None) -> np.ndarray[Any, Any]:
    """(N,) bool, rows whose answer lies behind the longest row in tokens; empty for kinds without such answers."""
    if kind == "generation" and isinstance(targets, Ragged):
        return np.equal(targets.lengths, 0)
    return np.equal(targets[:, 0], CUT) if kind == "span" and isinstance(targets, np.ndarray) else np.zeros(0, bool)
