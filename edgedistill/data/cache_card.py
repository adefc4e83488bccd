"""What a teacher's cache is: what its answers depend on, what is kept of every row, and where it came from.

A cache is a folder with this card and the shards of `data.shards`. The card is read without torch, so that caches are
listed as fast as Python starts.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edgedistill import files
from edgedistill.errors import TrainingError

CARD = "cache.json"
INDEX = "index.safetensors"
SHARDS = "answers-*.safetensors"
FORMAT = 2
"""Of the files and of how rows are asked about. It is part of the fingerprint, and the package's version is not: a
release that changes nothing here leaves everybody's caches valid."""
Precision = Literal["float32", "float16", "bfloat16"]
HOME = "EDGEDISTILL_CACHE"

_FORMER = "fingerprint.json"
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_PLACE_BYTES = 40
"""What finding a row takes: its key twice in a shard's 16 and the index's 24 bytes."""


@dataclass(frozen=True)
class Kept:
    """What is kept of every row.

    Attributes:
        cls: layers (from 1), rising, whose [CLS] state is kept beside the logits.
        cls_dtype: in which precision; the 16-bit ones take half the room and keep three digits or two.
        logits_dtype: the same for the logits.
        unit: whether a row has one answer, or every one of its tokens has.
    """

    cls: tuple[int, ...] = ()
    cls_dtype: Precision = "float32"
    logits_dtype: Precision = "float32"
    unit: Literal["row", "token"] = "row"

    def row_bytes(self, classes: int, width: int, tokens: float = 1.0) -> int:
        """What a row takes: logits of so many classes (of each token, where each has), and states of that width."""
        answers = _BYTES[self.logits_dtype] * classes * (tokens if self.unit == "token" else 1)
        return round(answers) + len(self.cls) * width * _BYTES[self.cls_dtype] + _PLACE_BYTES

    def __str__(self) -> str:
        whose = " of every token" if self.unit == "token" else ""
        logits = f"logits{whose}" + ("" if self.logits_dtype == "float32" else f" in {self.logits_dtype}")
        if not self.cls:
            return logits
        layers = f"layer{'s' if len(self.cls) > 1 else ''} {', '.join(map(str, self.cls))}"
        return f"{logits} and the [CLS] of {layers} in {self.cls_dtype}"

    def serves(self, wanted: Kept) -> bool:
        """Whether a cache that keeps this has all that is wanted, as precisely."""
        if (self.logits_dtype, self.unit) != (wanted.logits_dtype, wanted.unit):
            return False
        return not wanted.cls or (set(wanted.cls) <= set(self.cls) and wanted.cls_dtype == self.cls_dtype)


@dataclass(frozen=True)
class Fingerprint:
    """What the stored answers depend on, and which ones they are; each is said by name when it changed.

    No seed of augmentation: a text that was made anew has an id of its own, which no cache holds.

    Attributes:
        teacher: hash of the teacher's weights.
        tokenizer: hash of the teacher's tokenizer.
        max_length: longest row in tokens.
        data: hash of the rows.
        kept: what is stored of each.
    """

    teacher: str
    tokenizer: str
    max_length: int
    data: str
    kept: Kept = Kept()

    def refuse_other(self, wanted: Fingerprint, folder: Path) -> None:
        """Make sure that a cache with this fingerprint can be used for what is wanted.

        Raises:
            TrainingError: it cannot; the message names the differences.
        """
        same = replace(self, kept=wanted.kept)
        changed = [
            f"{name} was {str(old)[:12]} and is {str(new)[:12]}"
            for (name, old), new in zip(vars(same).items(), vars(wanted).values(), strict=True)
            if old != new
        ]
        if not self.kept.serves(wanted.kept):
            changed.append(f"it holds {self.kept}, and what is wanted now is {wanted.kept}")
        if changed:
            raise TrainingError(
                f"the teacher's cache '{folder}' was made from something else: {'; '.join(changed)}. Remove it to fill "
                f"it again ({removal(folder)}), or choose another folder."
            )


@dataclass(frozen=True)
class Card:
    """All that is said about a cache.

    Attributes:
        fingerprint: what its answers depend on.
        rows: how many it holds when it is complete; none for a stream that has not come to its end.
        origin: the teachers, the task and where its rows were, so that the teacher can be asked again.
    """

    fingerprint: Fingerprint
    rows: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it into the cache's folder, unless it is there.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        if not is_cache(folder) or read_card(folder) != self:
            files.write_json(folder / CARD, {"format": FORMAT, **asdict(self)})


def read_card(folder: Path) -> Card:
    """The card of the cache in `folder`.

    Raises:
        TrainingError: there is none, it cannot be read, or it is of another format.
    """
    if not is_cache(folder):
        raise TrainingError(f"'{folder}' is no teacher's cache: it has no {CARD}. See: edgedistill cache ls")
    advice = f"Remove it to fill it again: {removal(folder)}"
    if not (folder / CARD).is_file():
        raise TrainingError(
            f"the teacher's cache '{folder}' was made by an earlier version: format was 1 and is {FORMAT}. {advice}"
        )
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
        found = values.pop("format")
        if found == FORMAT:
            prints = values.pop("fingerprint")
            kept = prints.pop("kept")
            whole = Fingerprint(**prints, kept=Kept(**{**kept, "cls": tuple(kept["cls"])}))
            return Card(fingerprint=whole, **values)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise TrainingError(f"cannot read '{folder / CARD}': {error}. {advice}") from error
    raise TrainingError(f"the teacher's cache '{folder}' is of format {found}, this version's is {FORMAT}. {advice}")


def is_cache(folder: Path) -> bool:
    """Whether somebody once filled a cache there."""
    return (folder / CARD).is_file() or (folder / _FORMER).is_file()


def own_files(folder: Path) -> list[Path]:
    """The files that make up the cache in `folder`, of this and former formats; what killed writers left included."""
    patterns = (CARD, INDEX, SHARDS, _FORMER, "logits-*.safetensors")
    found = [
        path for pattern in patterns for path in (*folder.glob(pattern), *folder.glob(f".{pattern}.????????.part"))
    ]
    return sorted(path for path in found if path.is_file())


def removal(folder: Path) -> str:
    """The command that removes the cache in `folder`, as a shell takes it."""
    return shlex.join(["edgedistill", "cache", "rm", str(folder)])


def damage(folder: Path) -> str:
    """What is not as the index of a complete cache says, by names and sizes: no byte of an answer is read.

    Returns:
        It in words; empty where all is there.
    """
    path = folder / INDEX
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if length > size:
                raise ValueError("it is cut off")
            header = json.loads(file.read(length))
        sizes = {str(name): int(one) for name, (one, _) in json.loads(header.pop("__metadata__")["shards"]).items()}
        if size != 8 + length + max(column["data_offsets"][1] for column in header.values()):
            raise ValueError("it is cut off")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"'{path}' cannot be read: {error}"
    for name, wanted in sizes.items():
        shard = folder / name
        if not shard.is_file():
            return f"'{shard}' is gone"
        if shard.stat().st_size != wanted:
            return f"'{shard}' has {shard.stat().st_size} bytes of {wanted}"
    return ""


def home() -> Path:
    """Where caches are that have no place of their own: $EDGEDISTILL_CACHE, else below the user's cache folder."""
    if os.environ.get(HOME):
        return Path(os.environ[HOME])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgedistill" / "teachers"
