"""The file service of the adb protocol: stat, list, push and pull, in its first and second form."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from android_bench.fake_device.faults import Faults
from android_bench.fake_device.wire import Stream

_BLOCK = 64 * 1024
_MISSING = 2
_STAT2 = struct.Struct("<4sI2Q4IQ3q")


async def serve(
    stream: Stream,
    place: Callable[[str], Path],
    faults: Faults,
    drop: Callable[[], None],
    on_push: Callable[[str], None],
) -> None:
    """Answer requests until the client quits.

    Args:
        stream: the conversation.
        place: from a path on the device to where it is here.
        faults: what shall go wrong.
        drop: breaks the whole connection.
        on_push: told the name of every file that comes.
    """
    while True:
        kind, size = struct.unpack("<4sI", await stream.read(8))
        if kind == b"QUIT":
            return
        name = (await stream.read(size)).decode("utf-8")
        if kind == b"SEND":
            on_push(name.rpartition(",")[0])
            await _take(stream, place(name.rpartition(",")[0]), faults, drop)
        elif kind == b"RECV":
            await _give(stream, place(name), faults, drop)
        elif kind == b"LIST":
            await _list(stream, place(name))
        elif kind == b"STAT":
            found = _stat(place(name), follow=False)
            mode, length, time = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
            await stream.write(struct.pack("<4s3I", b"STAT", mode, length & 0xFFFFFFFF, time))
        else:
            await stream.write(_stat2(kind, _stat(place(name), follow=kind == b"STA2")))


def _stat(path: Path, follow: bool) -> os.stat_result | None:
    try:
        return path.stat() if follow else path.lstat()
    except OSError:
        return None


def _stat2(kind: bytes, found: os.stat_result | None) -> bytes:
    if found is None:
        return _STAT2.pack(kind, _MISSING, *[0] * 10)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return _STAT2.pack(
        kind, 0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_size,
        *times,
    )  # fmt: skip


async def _take(stream: Stream, path: Path, faults: Faults, drop: Callable[[], None]) -> None:
    data, failure = bytearray(), ""
    used = _used(path)
    while True:
        kind, size = struct.unpack("<4sI", await stream.read(8))
        if kind == b"DONE":
            break
        data += await stream.read(size)
        if faults.push_delay_seconds:
            await asyncio.sleep(faults.push_delay_seconds)
        if faults.drops_mid_push:
            faults.drops_mid_push -= 1
            drop()
            raise EOFError
        if faults.space_bytes is not None and used + len(data) > faults.space_bytes:
            failure = "No space left on device"
    if not failure:
        failure = _write(path, bytes(data), faults)
    if failure:
        words = failure.encode()
        await stream.write(struct.pack("<4sI", b"FAIL", len(words)) + words)
    else:
        await stream.write(struct.pack("<4sI", b"OKAY", 0))


def _used(path: Path) -> int:
    top = next((parent for parent in path.parents if parent.name == "tmp"), path.parent)
    return sum(file.stat().st_size for file in top.rglob("*") if file.is_file()) if top.is_dir() else 0


def _write(path: Path, data: bytes, faults: Faults) -> str:
    if faults.damages and data:
        faults.damages -= 1
        data = bytes([data[0] ^ 0xFF]) + data[1:]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    except OSError as error:
        return error.strerror or "failed"
    return ""


async def _give(stream: Stream, path: Path, faults: Faults, drop: Callable[[], None]) -> None:
    if faults.drops_mid_pull:
        faults.drops_mid_pull -= 1
        drop()
        raise EOFError
    try:
        data = path.read_bytes()
    except OSError as error:
        words = (error.strerror or "failed").encode()
        await stream.write(struct.pack("<4sI", b"FAIL", len(words)) + words)
        return
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        await stream.write(struct.pack("<4sI", b"DATA", len(block)) + block)
    await stream.write(struct.pack("<4sI", b"DONE", 0))


async def _list(stream: Stream, path: Path) -> None:
    for entry in sorted(path.iterdir()) if path.is_dir() else ():
        found = entry.lstat()
        name = entry.name.encode()
        size = found.st_size if not stat.S_ISDIR(found.st_mode) else 0
        await stream.write(struct.pack("<4s4I", b"DENT", found.st_mode, size, int(found.st_mtime), len(name)) + name)
    await stream.write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))
