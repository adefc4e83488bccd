"""Writing files so that nothing good is ever replaced by something half-written.

Every write goes to a temporary name beside its destination (`.NAME.xxxxxxxx.part`), is flushed to disk, and is then
renamed. A writer holds its part by a lock of the system's, which ends with the process however it ends: so the next
writer of the same name knows a killed writer's part from a living one's, and clears it away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from edgedistill.errors import StorageError, TakenError

try:
    import fcntl
except ImportError:  # a system without such locks: what a killed writer left stays
    fcntl = None  # type: ignore[assignment]

_LONGEST_NAME = 80
"""Bytes of a name that its temporary names repeat; longer ones would not fit with what is added."""


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of one file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path, pattern: str = "*") -> str:
    """Hex SHA-256 over the names and bytes of a folder's files, in name order; hidden files left out."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file() and not p.name.startswith(".")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's disk errors into a `StorageError` that says what to do.

    Raises:
        StorageError: no space left, read-only or forbidden destination, name too long.
    """
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "no space left on the disk. Free some space, or choose another --out",
            errno.EDQUOT: "the disk quota is used up. Free some space, or choose another --out",
            errno.EFBIG: "the file is larger than is allowed here (see: ulimit -f), or than the file system takes",
            errno.EROFS: "the file system is read-only. Choose another --out",
            errno.EACCES: "permission denied. Choose a folder you may write to",
            errno.EPERM: "not permitted. Choose a folder you may write to",
            errno.ENAMETOOLONG: "the name is too long. Choose a shorter --out",
            errno.EEXIST: "a part of the path is a file, not a folder. Choose another --out",
            errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another --out",
        }.get(error.errno or 0)
        if advice is None:
            raise
        raise StorageError(f"cannot write '{path}': {advice}. Nothing that was there has been changed.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it over `path` when the block ends well.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover(path)
        with _part(path, "file") as part:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)


@contextmanager
def atomic_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`; it becomes `path` when the block ends well.

    Args:
        path: the folder to appear.
        overwrite: replace a folder that is already there; without it that is an error.

    Raises:
        TakenError: `path` exists and `overwrite` is false.
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        recover(path)
        refuse_existing(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part(path, "folder") as part:
            yield part
            sync_folder(part)
            part.chmod(0o755)
            _replace_folder(part, path)


def _replace_folder(part: Path, path: Path) -> None:
    """Rename `part` to `path`. No system call swaps folders everywhere, so the old one is moved away first."""
    old = part.with_suffix(".old")
    try:
        if path.exists():
            path.rename(old)
        part.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _part(path: Path, what: Literal["file", "folder"]) -> Iterator[Path]:
    """A new temporary file or folder beside `path`, held as long as this process lives; removed when the block ends."""
    while True:
        if what == "folder":
            part = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=".part", dir=path.parent))
        else:
            handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".part", dir=path.parent)
            os.close(handle)
            part = Path(name)
        hold = _hold(part, waits=True)
        if part.exists():
            break
        _let_go(hold)  # another writer took it for a dead one's before it was held
    try:
        yield part
    finally:
        _remove(part)
        _let_go(hold)


def recover(path: Path) -> None:
    """Remove what killed writers of `path` left beside it, and put back what one of them had moved away.

    What a living writer holds is left alone.
    """
    try:
        names = os.listdir(path.parent)
    except OSError:  # not there yet, or not to be looked into: nothing to clear
        return
    pattern = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}\.(part|old)")
    found = [path.parent / name for name in names if pattern.fullmatch(name)]
    for part in sorted({left.with_suffix(".part") for left in found}):
        hold = _hold(part, waits=False)
        if hold is None and part.exists():
            continue
        old = part.with_suffix(".old")
        if old.exists() and not path.exists():
            old.rename(path)
        _remove(old)
        _remove(part)
        _let_go(hold)


def _prefix(path: Path) -> str:
    name = path.name
    return f".{name if len(name.encode()) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()[:16]}."


def _hold(part: Path, waits: bool) -> int | None:
    """A handle that locks `part` until it is closed; none where another one has it, it is gone, or nothing can lock."""
    if fcntl is None:
        return None
    try:
        handle = os.open(part, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        os.close(handle)
        return None
    return handle


def _let_go(hold: int | None) -> None:
    if hold is not None:
        os.close(hold)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise `TakenError` when `path` holds something and `overwrite` is false."""
    taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if taken and not overwrite:
        raise TakenError(f"'{path}' already exists. Choose another --out, or pass --overwrite to replace it.")


def refuse_unwritable(path: Path, size_bytes: int = 2**20) -> None:
    """Try out that a file of that size can be written at `path`, before long work whose result shall go there.

    Raises:
        StorageError: it cannot.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part(path, "file") as part, part.open("wb") as file:
            file.write(bytes(size_bytes))
            file.flush()
            os.fsync(file.fileno())


def free_bytes(path: Path) -> int:
    """Room on the disk that holds `path` or, where that is not there yet, would hold it."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def refuse_full(path: Path, size_bytes: int) -> None:
    """Make sure before long work that its result has room at `path`, a tenth to spare.

    Raises:
        StorageError: it has not.
    """
    free = free_bytes(path)
    if size_bytes * 1.1 > free:
        raise StorageError(
            f"'{path}' would take {size_bytes / 1e6:,.1f} MB, and the disk has {free / 1e6:,.1f} MB free. Free some "
            "space, or choose another folder."
        )


def sync_folder(folder: Path) -> None:
    """Flush every file below `folder` to the disk, so that a rename never outlives its bytes."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write indented UTF-8 JSON atomically; NaN and infinity are refused rather than written as non-JSON."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone.

    Raises:
        StorageError: another process holds it.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(
            f"'{folder}' is in use by another edgedistill process. Wait for it, or choose another --out."
        ) from error
    try:
        yield
    finally:
        lock.release()
