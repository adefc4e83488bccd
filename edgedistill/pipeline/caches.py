"""Teachers' caches as they lie on the disk: listed, compared with their teachers, removed."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgedistill import files, resources
from edgedistill.config import Settings
from edgedistill.data.cache_card import CARD, INDEX, Card, damage, home, is_cache, own_files, read_card
from edgedistill.errors import StorageError, TrainingError

if TYPE_CHECKING:
    from edgedistill.training.cache_check import Compared

_ORIGIN = ("task", "teachers", "student", "vocabulary", "data", "corpus", "limit", "needs_labels", "seed")
"""What `origin_of` writes down."""


class CacheFacts(Settings):
    """One cache, as `cache ls` shows it."""

    path: str
    """Its folder."""
    status: Literal["complete", "partial", "damaged", "unreadable"]
    """partial: its filling was interrupted, or goes on now; the next run with it goes on. damaged: a file of a complete
    one is gone or has another size; changed bytes are found by `verify`."""
    teacher: str = ""
    """Folder or Hub id."""
    teacher_sha256: str = ""
    """Of its weights."""
    task: str = ""
    """Name of the task."""
    kept: str = ""
    """What is stored of every row."""
    rows: int | None = None
    """How many it holds; none where that would take reading a partial one."""
    rows_wanted: int | None = None
    """How many it holds when it is complete; none for a stream that has not ended."""
    size_bytes: int = 0
    """Of its files."""
    changed: float = 0.0
    """When something was last written there, in seconds since 1970."""
    message: str = ""
    """Why it cannot be read, or what is damaged."""

    @property
    def age_s(self) -> float:
        """Seconds since then."""
        return max(0.0, time.time() - self.changed)


class CacheCheck(Settings):
    """What comparing a cache with its teacher came to."""

    path: str
    """Its folder."""
    is_same: bool
    """Whether it says what its teacher says."""
    rows: int
    """Random rows that were asked about again."""
    seed: int
    """What chose them."""
    difference: float
    """The largest, as a share of the answer's largest number or of 1, whichever is more."""
    allowed: float
    """How large it may be."""
    worst: str
    """The row with the largest one."""
    what: str
    """What differs most there."""


def caches(place: Path | None = None) -> list[CacheFacts]:
    """Every cache in a folder, or the one it is.

    Args:
        place: a cache, or a folder of caches; none: where caches are that have no place of their own.

    Raises:
        StorageError: `place` was given and is no folder.
    """
    folder = home() if place is None else place
    if place is not None and not place.is_dir():
        raise StorageError(f"there is no folder '{place}'. Caches made with --teacher-cache auto lie in '{home()}'.")
    found = [folder] if is_cache(folder) else sorted(path for path in folder.glob("*") if is_cache(path))
    return [_facts(path) for path in found]


def verify(
    cache: Path | str,
    *,
    teacher: Sequence[str | Path] = (),
    data: Path | str | None = None,
    rows: int = 8,
    seed: int | None = None,
) -> CacheCheck:
    """Ask the teacher about random rows of a cache again; read every byte of it first.

    Args:
        cache: its folder, or its name below `home()`.
        teacher: where the teachers are now, if not where they were.
        data: where the task's files are now, if not where they were.
        rows: how many to ask about.
        seed: of the choice; none: another choice every time.

    Raises:
        TrainingError: no cache, a damaged one, or one of another teacher or other rows than those found now.
        CheckpointError, DataError, ConfigError: teacher or rows are not where they were.
    """
    from edgedistill.data.shards import refuse_changed

    folder = _found(cache)
    card = read_card(folder)
    refuse_changed(folder)
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    found = _compared(folder, card, list(teacher), data, rows, random.Random(seed))
    return CacheCheck(path=str(folder), seed=seed, is_same=found.is_same, **vars(found))


def remove(caches: Sequence[Path | str]) -> dict[str, int]:
    """Delete caches: all of them, or none where one cannot be.

    Returns:
        Bytes that were freed, by cache as it was named.

    Raises:
        TrainingError: one is no cache.
        StorageError: one holds something that no cache has, or cannot be written.
    """
    found = {str(cache): _found(cache) for cache in caches}
    for folder in found.values():
        _refuse_strange(folder)
    return {name: _removed(folder) for name, folder in found.items()}


def _refuse_strange(folder: Path) -> None:
    own = own_files(folder)
    others = sorted(path.name for path in folder.iterdir() if path not in own)
    if others:
        raise StorageError(f"'{folder}' also holds '{others[0]}', which is no part of a cache. Move it away first.")


def _removed(folder: Path) -> int:
    own = own_files(folder)
    freed = sum(path.stat().st_size for path in own)
    with files.storage_errors(folder):
        for path in sorted(own, key=lambda path: path.name == CARD):  # the card last: what is left is still a cache
            path.unlink()
        folder.rmdir()
    return freed


def _found(cache: Path | str) -> Path:
    path = Path(cache)
    folder = path if is_cache(path) or path.exists() else home() / path
    if not is_cache(folder):
        raise TrainingError(f"'{cache}' is no teacher's cache: it has no {CARD}. See: edgedistill cache ls")
    return folder


def _facts(folder: Path) -> CacheFacts:
    own = own_files(folder)
    shared: dict[str, Any] = {
        "path": str(folder),
        "size_bytes": sum(path.stat().st_size for path in own),
        "changed": max(path.stat().st_mtime for path in own),
    }
    try:
        card = read_card(folder)
    except TrainingError as error:
        return CacheFacts(status="unreadable", message=str(error), **shared)
    is_whole = (folder / INDEX).is_file()
    wrong = damage(folder) if is_whole else ""
    return CacheFacts(
        status="damaged" if wrong else "complete" if is_whole else "partial",
        message=f"{wrong}. See: {shlex.join(['edgedistill', 'cache', 'verify', str(folder)])}" if wrong else "",
        teacher=" + ".join(card.origin.get("teachers", ())),
        teacher_sha256=card.fingerprint.teacher,
        task=card.origin.get("task", {}).get("name", ""),
        kept=str(card.fingerprint.kept),
        rows=card.rows if is_whole and not wrong else None,
        rows_wanted=card.rows,
        **shared,
    )


def _compared(
    folder: Path, card: Card, teachers: list[str | Path], data: Path | str | None, rows: int, dice: random.Random
) -> Compared:
    """Load what the card names, and compare.

    Raises:
        TrainingError: the card names nothing, or what it names is another teacher or other rows now.
    """
    from edgedistill.data.streams import as_place
    from edgedistill.data.task_data import load_task_data
    from edgedistill.data.tasks import Task
    from edgedistill.data.vocabulary import VocabularyConfig
    from edgedistill.models.loading import load
    from edgedistill.pipeline.teaching import Storage, probe, provider_of
    from edgedistill.pipeline.vocabulary import cut_tokenizer, teachers_read
    from edgedistill.training.teachers import CachedTeacher

    try:
        named, were, student, vocabulary, place, corpus, limit, needs_labels, seed = itemgetter(*_ORIGIN)(card.origin)
    except KeyError as error:
        raise TrainingError(
            f"'{folder / CARD}' does not say where its teacher and rows are: it has no {error}. A program filled it."
        ) from error
    task, place = Task.model_validate(named), data or place
    asked = [load(resources.checkpoint(path), task=task.name) for path in teachers or were]
    rows_in = partial(
        load_task_data,
        task,
        None if place is None else Path(place),
        max_length=card.fingerprint.max_length,
        seed=seed,
        limit=limit,
        corpus=None if corpus is None else as_place(corpus),
        needs_labels=needs_labels,
    )
    tokenizer = asked[0].tokenizer if student is None else load(student).tokenizer
    if vocabulary is not None:
        tokenizer = cut_tokenizer(rows_in(tokenizer), VocabularyConfig.model_validate(vocabulary))
    asked = teachers_read(asked, tokenizer)
    found = rows_in(tokenizer, teacher_tokenizer=asked[0].tokenizer)
    kept = card.fingerprint.kept
    cached = provider_of(asked, found, Storage(folder, kept.logits_dtype), lambda facts: kept)
    assert isinstance(cached, CachedTeacher)
    return probe(cached, found, rows, dice)
