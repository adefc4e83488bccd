"""A teacher's answers, computed once and looked up by row id: its logits and, where wanted, [CLS] states.

Rows are asked about in groups; each group becomes a shard (`data.shards`), whoever asks and however often it was
killed before. So a killed run goes on after its last shards, several processes share the groups out among themselves,
and all end with the same bytes. A cache made from another teacher, tokenizer, length or data is refused with the
difference (`data.cache_card`); one that holds more than is wanted serves as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.cache_card import Card, Fingerprint, Kept, is_cache, read_card
from edgedistill.data.shards import Index, open_index, place_of, read_shard, seal, shard_name, write_shard
from edgedistill.errors import TrainingError
from edgedistill.models.outputs import Outputs

_ROWS_PER_SHARD = 1024
"""As many rows are lost to a kill -9, and as many are a process's share at a time."""
_LOOKED_UP = 65536
"""Rows at a time, where all are asked for."""
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

Ask = Callable[[Batch], Outputs]


class LogitCache:
    """Stored answers: logits of every row or of every one of its tokens, and (M, H) states where they are kept.

    Memory stays flat: answers and index are mapped from their files, whatever the number of rows.
    """

    def __init__(
        self, folder: Path, fingerprint: Fingerprint, rows: int | None = None, origin: Mapping[str, Any] | None = None
    ) -> None:
        """Open a cache; nothing is written before it is filled.

        Args:
            folder: where it is or shall be.
            fingerprint: of what it shall hold.
            rows: how many it shall hold; none where nobody knows before they were all seen.
            origin: where teacher and rows come from, written down for `edgedistill cache verify`.

        Raises:
            TrainingError: it holds something else, or is damaged.
        """
        self._folder, self._card = folder, Card(fingerprint, rows, origin or {})
        if is_cache(folder):
            found = read_card(folder)
            found.fingerprint.refuse_other(fingerprint, folder)
            self._card = Card(found.fingerprint, found.rows if rows is None else rows, found.origin)
        self._open()

    def __len__(self) -> int:
        """Rows stored."""
        return len(self._index.keys)

    def __contains__(self, row_id: str) -> bool:
        return not self.missing([row_id])

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    @property
    def kept(self) -> Kept:
        """What it keeps of every row; more than was wanted where it was made for more."""
        return self._card.fingerprint.kept

    @property
    def is_sealed(self) -> bool:
        """Whether it was filled to its end, and its files are known by size and hash."""
        return bool(self._index.seals)

    def missing(self, row_ids: Sequence[str]) -> int:
        """How many of those rows are not stored."""
        starts = range(0, len(row_ids), _LOOKED_UP)
        return sum(int((self._index.find(row_ids[start : start + _LOOKED_UP]) < 0).sum()) for start in starts)

    def fill(
        self,
        batches: Iterable[Batch],
        ask: Ask,
        process: int = 0,
        processes: int = 1,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Compute and store what is missing.

        Args:
            batches: the rows; from a stream too, of which no more than two shards are held. The same order in every
                process; a killed run that comes back with the same order ends in the same bytes.
            ask: the teacher: a batch to its logits, and to (B, M, H) states where they are kept.
            process: number of this process among those that fill it together.
            processes: how many do.
            wait: returns when all of them have called it.

        Raises:
            StorageError: the disk is full; the shards written before stay.
            TrainingError: an answer is not finite, or does not fit into the precision it shall be kept in.
        """
        if process == 0:
            self._card.save(self._folder)
        for number, group in enumerate(_groups(batches)):
            if number % processes == process:
                self._answer(group, ask)
        wait()
        if process == 0:
            self._finish()
        wait()
        self._open()

    def logits(self, row_ids: Sequence[str], width: int | None = None) -> Tensor:
        """(B, C) float32 of those rows; where every token has an answer (B, S, C), 0 for padding.

        Args:
            row_ids: B rows.
            width: S; none: the longest row's.

        Raises:
            TrainingError: a row is not stored, or is longer than `width`.
        """
        found = self._rows("logits", row_ids)
        if self.kept.unit == "row":
            return _stacked(found)
        longest = max(map(len, found))
        if longest > (width or longest):
            raise TrainingError(f"the teacher's cache '{self._folder}' has {longest} answers for {width} tokens.")
        whole = torch.zeros(len(found), width or longest, found[0].shape[1])
        for row, values in enumerate(found):
            whole[row, : len(values)] = values
        return whole

    def cls(self, row_ids: Sequence[str], layers: Sequence[int]) -> Tensor:
        """(B, M, H) float32, those rows' states after those layers.

        Raises:
            TrainingError: a row or a layer is not stored.
        """
        absent = [layer for layer in layers if layer not in self.kept.cls]
        if absent:
            raise TrainingError(
                f"the teacher's cache '{self._folder}' holds {self.kept}, not the [CLS] of layer {absent[0]}."
            )
        states = _stacked(self._rows("cls", row_ids))
        return states[:, [self.kept.cls.index(layer) for layer in layers]]

    def _rows(self, name: str, row_ids: Sequence[str]) -> list[Tensor]:
        places = self._index.find(row_ids).tolist()
        if places and min(places) < 0:
            raise TrainingError(
                f"row '{row_ids[places.index(min(places))]}' is not among the {len(self)} rows of the teacher's cache "
                f"'{self._folder}'. Fill it with the rows that are trained on."
            )
        return [self._row(name, *place_of(place)) for place in places]

    def _row(self, name: str, shard: int, row: int) -> Tensor:
        if shard not in self._tables:
            self._tables[shard] = read_shard(self._folder / self._index.shards[shard])
        table = self._tables[shard]
        if name == "logits" and "ends" in table:
            first = int(table["ends"][row - 1]) if row else 0
            return table[name][first : int(table["ends"][row])]
        return table[name][row]

    def _open(self) -> None:
        self._index: Index = open_index(self._folder)
        self._tables: dict[int, dict[str, Tensor]] = {}

    def _finish(self) -> None:
        seal(self._folder)
        if self._card.rows is None:
            self._open()
            Card(self._card.fingerprint, len(self), self._card.origin).save(self._folder)

    def _answer(self, group: Sequence[Batch], ask: Ask) -> None:
        ids = [row for batch in group for row in batch.row_ids]
        path = self._folder / shard_name(ids)
        if path.is_file() or not self.missing(ids):
            return
        found = [self._storable(batch, ask(batch)) for batch in group]
        table = {name: torch.cat([part[name] for part in found]) for name in found[0]}
        lengths = [length for batch in group for length in _lengths(batch)] if self.kept.unit == "token" else []
        write_shard(path, ids, table, lengths)

    def _storable(self, batch: Batch, answers: Outputs) -> dict[str, Tensor]:
        assert answers.logits is not None
        logits = answers.logits.detach()
        if self.kept.unit == "token":
            logits = logits[batch.teacher.attention_mask.bool()]
        found = {"logits": _as(self.kept.logits_dtype, logits, "a logit", batch)}
        if answers.cls is not None:
            found["cls"] = _as(self.kept.cls_dtype, answers.cls.detach(), "a [CLS] state", batch)
        return found


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    """Those rows as one float32 tensor. Each is made float32 first: bf16 autocast joins no float16 tensors."""
    return torch.stack([row.float() for row in rows])


def _groups(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Batches that make a shard together."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if sum(map(len, group)) >= _ROWS_PER_SHARD:
            yield group
            group = []
    if group:
        yield group


def _lengths(batch: Batch) -> list[int]:
    lengths: list[int] = batch.teacher.attention_mask.sum(dim=1).tolist()
    return lengths


def _as(precision: str, values: Tensor, what: str, batch: Batch) -> Tensor:
    stored = values.cpu().to(_DTYPES[precision])
    if not bool(torch.isfinite(stored).all()):
        raise TrainingError(
            f"'{batch.row_ids[0]}' or a row after it: {what} of the teacher is not finite in {precision}"
            + (", whose largest number is 65504. Keep float32 or bfloat16." if precision == "float16" else ".")
        )
    return stored
