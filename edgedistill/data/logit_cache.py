"""A teacher's logits, computed once and looked up by row id.

A folder of safetensors shards, each written whole, and `fingerprint.json`. A killed run goes on after its last
shard; a cache made from another teacher, tokenizer, length or data is refused with the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edgedistill import files
from edgedistill.data.batches import Batch
from edgedistill.errors import TrainingError

_FINGERPRINT = "fingerprint.json"
_ROWS_PER_SHARD = 4096


@dataclass(frozen=True)
class Fingerprint:
    """What the stored logits depend on; each is said by name when it changed.

    Attributes:
        teacher: hash of the teacher's weights.
        tokenizer: hash of the teacher's tokenizer.
        max_length: longest row in tokens.
        data: hash of the rows.
    """

    teacher: str
    tokenizer: str
    max_length: int
    data: str


class LogitCache:
    """Stored logits of sentence-level answers: (C,) float32 a row."""

    def __init__(self, folder: Path, fingerprint: Fingerprint) -> None:
        """Open a cache; nothing is written before it is filled.

        Args:
            folder: where it is or shall be.
            fingerprint: of what it shall hold.

        Raises:
            TrainingError: it holds something else, or is damaged.
        """
        self._folder, self._fingerprint = folder, fingerprint
        if (folder / _FINGERPRINT).is_file():
            _refuse_stale(folder / _FINGERPRINT, fingerprint)
        self._place: dict[str, int] = {}
        self._shards: list[Tensor] = []
        self._table: Tensor | None = None
        self._read_on()

    def __len__(self) -> int:
        """Rows stored."""
        return len(self._place)

    def fill(self, batches: Iterable[Batch], ask: Callable[[Batch], Tensor]) -> None:
        """Compute and store what is missing.

        Args:
            batches: the rows, in any order.
            ask: the teacher: a batch to (B, C) logits.

        Raises:
            StorageError: the disk is full; the shards written before stay.
        """
        files.write_json(self._folder / _FINGERPRINT, asdict(self._fingerprint))
        self._read_on()  # another process of the same run may have filled it meanwhile
        ids: list[str] = []
        logits: list[Tensor] = []
        for batch in batches:
            if all(row in self._place for row in batch.row_ids):
                continue
            ids += batch.row_ids
            logits.append(ask(batch).detach().float().cpu())
            if len(ids) >= _ROWS_PER_SHARD:
                self._write(ids, torch.cat(logits))
                ids, logits = [], []
        if ids:
            self._write(ids, torch.cat(logits))

    def logits(self, row_ids: Sequence[str]) -> Tensor:
        """(B, C) float32 of those rows.

        Raises:
            TrainingError: a row is not stored.
        """
        try:
            places = [self._place[row] for row in row_ids]
        except KeyError as error:
            raise TrainingError(
                f"row {error} is not among the {len(self)} rows of the teacher's cache '{self._folder}'. "
                "Fill it with the rows that are trained on."
            ) from error
        if self._table is None:
            self._table = torch.cat(self._shards)
        return self._table[places]

    def _read_on(self) -> None:
        for shard in sorted(self._folder.glob("logits-*.safetensors"))[len(self._shards) :]:
            self._add(*_read(shard))

    def _write(self, ids: list[str], logits: Tensor) -> None:
        number = len(self._shards)
        with files.atomic_file(self._folder / f"logits-{number:05d}.safetensors") as part:
            part.write_bytes(safetensors.torch.save({"logits": logits}, metadata={"row_ids": json.dumps(ids)}))
        self._add(ids, logits)

    def _add(self, ids: Sequence[str], logits: Tensor) -> None:
        first = sum(len(shard) for shard in self._shards)
        self._place |= {row: first + number for number, row in enumerate(ids)}
        self._shards.append(logits)
        self._table = None


def _read(path: Path) -> tuple[list[str], Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            ids = json.loads((file.metadata() or {})["row_ids"])
            logits: Tensor = file.get_tensor("logits")
            if len(ids) != len(logits):
                raise ValueError(f"it has {len(ids)} ids for {len(logits)} rows")
            return ids, logits
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(f"the teacher's cache is damaged: '{path}': {error}. Delete that file.") from error


def _refuse_stale(path: Path, wanted: Fingerprint) -> None:
    try:
        found = Fingerprint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"cannot read '{path}': {error}. Delete the folder to fill it again.") from error
    changed = [
        f"{name} was {str(old)[:12]} and is {str(new)[:12]}"
        for (name, old), new in zip(asdict(found).items(), asdict(wanted).values(), strict=True)
        if old != new
    ]
    if changed:
        raise TrainingError(
            f"the teacher's cache '{path.parent}' was made from something else: {'; '.join(changed)}. "
            "Delete the folder to fill it again, or choose another one."
        )
