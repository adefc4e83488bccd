"""The shell service: runs a script here as if it ran on the device, with its exit code and both its streams.

The device's folders lie below a folder of this computer, so their paths are replaced in the script; the commands that
only a phone has (`getprop`, `dumpsys`, `df`) are small scripts in front of this computer's own.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from android_bench.fake_device.faults import Faults
from android_bench.fake_device.wire import Stream

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_FOLDERS = re.compile(r"(?<![\w.-])/(?=(?:data|sys|proc)(?:/|\b))")
_AARCH64 = 183
_RUBBISH = b"\x00\xff{]NaN not what you asked for"


async def serve(
    stream: Stream, script: str, root: Path, faults: Faults, drop: Callable[[], None], emulator: tuple[str, ...]
) -> None:
    """Run a script to its end.

    Args:
        stream: the conversation.
        script: as the client sent it.
        root: where the device's folders lie.
        faults: what shall go wrong while a program runs (a script with `exec` in it).
        drop: breaks the whole connection.
        emulator: command that arm64 programs are run with; empty: they are run as they are.
    """
    is_program = "exec " in script and "result" in script
    command = _here(script, root, emulator)
    if is_program and faults.hangs:
        command = "sleep 600"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=root, env={**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}, start_new_session=True,
    )  # fmt: skip
    jobs = [asyncio.create_task(job) for job in (_feed(stream, process), _out(stream, process, is_program and faults))]
    try:
        if is_program and _breaks(faults):
            await asyncio.sleep(faults.before_drop_seconds)
            drop()
            return
        await jobs[1]
        await stream.write(struct.pack("<BIB", _EXIT, 1, await process.wait() & 0xFF))
    finally:
        for job in jobs:
            job.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]  # its pipes, which nobody reads to their end now


def _breaks(faults: Faults) -> bool:
    if faults.spared_runs:
        faults.spared_runs -= 1
        return False
    if faults.gone_mid_run:
        return True
    for name in ("drops_mid_run", "reboots_mid_run"):
        if getattr(faults, name):
            if name == "drops_mid_run":
                faults.drops_mid_run -= 1
            return True
    return False


def _here(script: str, root: Path, emulator: tuple[str, ...]) -> str:
    script = _FOLDERS.sub(f"{root}/", script)
    return _emulated(script, emulator) if emulator and "exec " in script else script


def _emulated(script: str, emulator: tuple[str, ...]) -> str:
    """The script with the emulator before its first word that is an arm64 program."""
    changed = re.search(r"\bcd (\S+)", script)
    folder = Path(changed.group(1) if changed else ".")
    for word in re.finditer(r"(?<=\s)[\w./-]+", script):
        with suppress(OSError):
            with (folder / word.group()).open("rb") as file:
                head = file.read(20)
            if head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == _AARCH64:
                return f"{script[: word.start()]}{' '.join(emulator)} {script[word.start() :]}"
    return script


async def _feed(stream: Stream, process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    with suppress(EOFError, ConnectionError, BrokenPipeError):
        while True:
            kind, size = struct.unpack("<BI", await stream.read(5))
            data = await stream.read(size)
            if kind == _CLOSE_STDIN:
                break
            if kind == _STDIN:
                process.stdin.write(data)
                await process.stdin.drain()
    process.stdin.close()


async def _out(stream: Stream, process: asyncio.subprocess.Process, faults: Faults | bool) -> None:
    async def copy(pipe: asyncio.StreamReader | None, kind: int) -> None:
        assert pipe is not None
        while data := await pipe.read(16384):
            await locked(kind, data)

    lock = asyncio.Lock()

    async def locked(kind: int, data: bytes) -> None:
        async with lock:
            await stream.write(struct.pack("<BI", kind, len(data)) + data)

    if isinstance(faults, Faults) and faults.garbage:
        await locked(_STDERR, _RUBBISH)
    await asyncio.gather(copy(process.stdout, _STDOUT), copy(process.stderr, _STDERR))
