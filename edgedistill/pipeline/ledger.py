"""What a road has finished, kept beside its outputs: which step, made from what, with which bytes as a result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from edgedistill import files, reports
from edgedistill.config import Settings
from edgedistill.errors import ArtifactError, StorageError, TakenError

LEDGER = "road.json"


class Entry(Settings):
    """One step as it was last begun."""

    key: str
    """Fingerprint of everything the step is made from."""
    result: str = ""
    """Fingerprint of what it made; empty while it is not finished."""
    seconds: float = 0.0
    """How long it took."""


class _Entries(Settings):
    schema_version: Literal[1] = 1
    """Version of this format."""
    steps: dict[str, Entry] = {}
    """By the step's name."""


class Ledger:
    """The steps of one road; every change is on the disk before the method returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER
        try:
            self._steps = dict(reports.read(_Entries, self._path).steps) if self._path.is_file() else {}
        except ArtifactError as error:
            raise StorageError(f"{error}\nDelete it to go the road anew, or choose another --out.") from error

    def is_finished(self, step: str, key: str, result: str) -> bool:
        """Whether the step was made from the same things and its result is still what it made."""
        entry = self._steps.get(step)
        return bool(entry and result and entry.key == key and entry.result == result)

    def is_begun(self, step: str, key: str) -> bool:
        """Whether the step was begun from the same things and not finished."""
        entry = self._steps.get(step)
        return bool(entry and entry.key == key and not entry.result)

    def refuse_other(self, step: str, key: str) -> None:
        """Refuse to replace what the step made from other things, or what was changed since.

        Raises:
            StorageError: it did.
        """
        entry = self._steps.get(step)
        if entry and entry.result:
            why = "was changed since it was made" if entry.key == key else "was made with other settings or inputs"
            raise StorageError(
                f"'{self._path.parent}': the result of the step '{step}' {why}. "
                "Pass --overwrite to make it again, or choose another --out."
            )

    @contextmanager
    def begun(self, step: str, key: str) -> Iterator[None]:
        """Note that the step is under way; take the note back when its output turned out to be taken."""
        former = self._steps.get(step)
        self._put(step, Entry(key=key))
        try:
            yield
        except TakenError:
            self._put(step, former)
            raise

    def finish(self, step: str, key: str, result: str, seconds: float) -> None:
        """Note what the step made."""
        self._put(step, Entry(key=key, result=result, seconds=round(seconds, 2)))

    def _put(self, step: str, entry: Entry | None) -> None:
        self._steps.pop(step, None)
        if entry:
            self._steps[step] = entry
        reports.save(_Entries(steps=self._steps), self._path)


def key_of(**parts: Any) -> str:
    """Hex SHA-256 of named JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def fingerprint(source: Path | str | None) -> str:
    """What a file or folder holds; a Hub id stands for itself."""
    if source is None:
        return ""
    path = Path(source)
    if path.is_dir():
        return files.sha256_of_folder(path)
    return files.sha256_of(path) if path.is_file() else str(source)
