"""A teacher's answers, computed once and looked up by row id: its logits and, where wanted, [CLS] states.

A folder of safetensors shards, each written whole, and `fingerprint.json`. A killed run goes on after its last
shard; a cache made from another teacher, tokenizer, length or data is refused with the difference. One that holds
more than is wanted serves as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edgedistill import files
from edgedistill.data.batches import Batch
from edgedistill.errors import TrainingError
from edgedistill.models.outputs import Outputs

_FINGERPRINT = "fingerprint.json"
_ROWS_PER_SHARD = 4096
_DTYPES = {"float32": torch.float32, "float16": torch.float16}


@dataclass(frozen=True)
class Kept:
    """What is kept of every row beside its logits.

    Attributes:
        cls: layers (from 1), rising, whose [CLS] state is kept.
        cls_dtype: in which precision; float16 takes half the room and keeps three digits.
    """

    cls: tuple[int, ...] = ()
    cls_dtype: Literal["float32", "float16"] = "float32"

    def row_bytes(self, classes: int, width: int) -> int:
        """What a row takes: float32 logits of so many classes, and states of that width."""
        return 4 * classes + len(self.cls) * width * _DTYPES[self.cls_dtype].itemsize

    def __str__(self) -> str:
        if not self.cls:
            return "logits"
        layers = f"layer{'s' if len(self.cls) > 1 else ''} {', '.join(map(str, self.cls))}"
        return f"logits and the [CLS] of {layers} in {self.cls_dtype}"

    def serves(self, wanted: Kept) -> bool:
        """Whether a cache that keeps this has all that is wanted, as precisely."""
        return not wanted.cls or (set(wanted.cls) <= set(self.cls) and wanted.cls_dtype == self.cls_dtype)


@dataclass(frozen=True)
class Fingerprint:
    """What the stored answers depend on, and which ones they are; each is said by name when it changed.

    Attributes:
        teacher: hash of the teacher's weights.
        tokenizer: hash of the teacher's tokenizer.
        max_length: longest row in tokens.
        data: hash of the rows.
        kept: what is stored beside the logits.
    """

    teacher: str
    tokenizer: str
    max_length: int
    data: str
    kept: Kept = Kept()


class LogitCache:
    """Stored answers of sentence-level tasks: (C,) float32 logits a row, and (M, H) states where they are kept."""

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
            self._fingerprint = _fitting(folder / _FINGERPRINT, fingerprint)
        self._place: dict[str, tuple[int, int]] = {}
        self._shards: list[dict[str, Tensor]] = []
        self._read_on()

    def __len__(self) -> int:
        """Rows stored."""
        return len(self._place)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._place

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    @property
    def kept(self) -> Kept:
        """What it keeps of every row; more than was wanted where it was made for more."""
        return self._fingerprint.kept

    def fill(self, batches: Iterable[Batch], ask: Callable[[Batch], Outputs]) -> None:
        """Compute and store what is missing.

        Args:
            batches: the rows, in any order.
            ask: the teacher: a batch to (B, C) logits, and to (B, M, H) states where they are kept.

        Raises:
            StorageError: the disk is full; the shards written before stay.
            TrainingError: a state does not fit into float16.
        """
        files.write_json(self._folder / _FINGERPRINT, asdict(self._fingerprint))
        self._read_on()  # another process of the same run may have filled it meanwhile
        ids: list[str] = []
        found: list[dict[str, Tensor]] = []
        for batch in batches:
            if all(row in self for row in batch.row_ids):
                continue
            ids += batch.row_ids
            found.append(self._storable(ask(batch)))
            if len(ids) >= _ROWS_PER_SHARD:
                self._write(ids, found)
                ids, found = [], []
        if ids:
            self._write(ids, found)

    def logits(self, row_ids: Sequence[str]) -> Tensor:
        """(B, C) float32 of those rows.

        Raises:
            TrainingError: a row is not stored.
        """
        return self._rows("logits", row_ids)

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
        return self._rows("cls", row_ids)[:, [self.kept.cls.index(layer) for layer in layers]].float()

    def _rows(self, name: str, row_ids: Sequence[str]) -> Tensor:
        try:
            places = [self._place[row] for row in row_ids]
        except KeyError as error:
            raise TrainingError(
                f"row {error} is not among the {len(self)} rows of the teacher's cache '{self._folder}'. "
                "Fill it with the rows that are trained on."
            ) from error
        return torch.stack([self._shards[shard][name][row] for shard, row in places])

    def _storable(self, answers: Outputs) -> dict[str, Tensor]:
        assert answers.logits is not None
        found = {"logits": answers.logits.detach().float().cpu()}
        if answers.cls is not None:
            states = found["cls"] = answers.cls.detach().cpu().to(_DTYPES[self.kept.cls_dtype])
            if not bool(torch.isfinite(states).all()):
                raise TrainingError(
                    f"a [CLS] state of the teacher is not finite in {self.kept.cls_dtype}"
                    + (", whose largest number is 65504. Keep float32." if self.kept.cls_dtype == "float16" else ".")
                )
        return found

    def _read_on(self) -> None:
        for shard in sorted(self._folder.glob("logits-*.safetensors"))[len(self._shards) :]:
            self._add(shard)

    def _write(self, ids: list[str], found: Sequence[dict[str, Tensor]]) -> None:
        path = self._folder / f"logits-{len(self._shards):05d}.safetensors"
        table = {name: torch.cat([part[name] for part in found]) for name in found[0]}
        with files.atomic_file(path) as part:
            part.write_bytes(safetensors.torch.save(table, metadata={"row_ids": json.dumps(ids)}))
        self._add(path)

    def _add(self, path: Path) -> None:
        ids, table = _read(path, ("logits", "cls") if self.kept.cls else ("logits",))
        self._place |= {row: (len(self._shards), number) for number, row in enumerate(ids)}
        self._shards.append(table)


def _read(path: Path, names: Sequence[str]) -> tuple[list[str], dict[str, Tensor]]:
    """A shard's row ids and tensors, which stay in the file until they are looked at."""
    try:
        with safe_open(path, framework="pt") as file:
            ids = json.loads((file.metadata() or {})["row_ids"])
            table: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
            for name, values in table.items():
                if len(ids) != len(values):
                    raise ValueError(f"it has {len(ids)} ids for {len(values)} rows of {name}")
            return ids, table
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(f"the teacher's cache is damaged: '{path}': {error}. Delete that file.") from error


def _fitting(path: Path, wanted: Fingerprint) -> Fingerprint:
    """The fingerprint of the cache that is there, if it can be used for what is wanted."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kept = values.pop("kept", {})
        found = Fingerprint(**values, kept=Kept(**{**kept, "cls": tuple(kept.get("cls", ()))}))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"cannot read '{path}': {error}. Delete the folder to fill it again.") from error
    same = replace(found, kept=wanted.kept)
    changed = [
        f"{name} was {str(old)[:12]} and is {str(new)[:12]}"
        for (name, old), new in zip(vars(same).items(), vars(wanted).values(), strict=True)
        if old != new
    ]
    if not found.kept.serves(wanted.kept):
        changed.append(f"it holds {found.kept}, and what is wanted now is {wanted.kept}")
    if changed:
        raise TrainingError(
            f"the teacher's cache '{path.parent}' was made from something else: {'; '.join(changed)}. "
            "Delete the folder to fill it again, or choose another one."
        )
    return found
