"""Progress with a time of arrival on stderr; stdout stays free for results.

On a terminal a live bar; elsewhere (a log file, CI) one plain line every few seconds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LOG_EVERY_S = 10.0
_NOTED_LINES = 20


class Tracker(Protocol):
    """Told how far the work is."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """`amount` more is done; `note` is shown beside it (a loss, a file name)."""
        ...


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Tracker]:
    """Show the progress of a block of work.

    Args:
        description: what is being done, for people.
        total: how much there is; none when it is not known.
    """
    if sys.stderr.isatty():
        with _bar() as bar:
            yield _Bar(bar, description, total)
    else:
        yield _Lines(description, total)


def is_main_process() -> bool:
    """Whether this process speaks and writes for all: the only one, or the first of those that were launched together.

    Known from what torchrun and accelerate set, so that torch need not be imported to ask.
    """
    return os.environ.get("RANK", "0") == "0"


def say(message: str) -> None:
    """One line on stderr about what happens next."""
    if is_main_process():
        sys.stderr.write(message + "\n")
        sys.stderr.flush()


@contextmanager
def hushed(doing: str = "") -> Iterator[None]:
    """Keep what converters and runtimes print, log and warn of off the screen, C++ included.

    When the block fails, the last lines of it travel with the error as a note.

    Args:
        doing: what takes long here; every few seconds it is said with the time that it has taken.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as chatter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(chatter.fileno(), 1)
        os.dup2(chatter.fileno(), 2)
        try:
            with redirect_stdout(chatter), redirect_stderr(chatter), _beating(doing, kept[1]):
                yield
        except Exception as error:
            chatter.flush()
            chatter.seek(0)
            error.add_note("".join(chatter.readlines()[-_NOTED_LINES:]))
            raise
        finally:
            chatter.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])


@contextmanager
def _beating(doing: str, stderr: int) -> Iterator[None]:
    """Say that something is still being done, to a file that was stderr: nobody says how far a converter is."""
    started, is_over = time.monotonic(), threading.Event()

    def beat() -> None:
        while not is_over.wait(_LOG_EVERY_S):
            os.write(stderr, f"{doing}: {time.monotonic() - started:.0f} s so far\n".encode())

    thread = threading.Thread(target=beat, daemon=True)
    if doing and is_main_process():
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        if thread.ident is not None:
            thread.join()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


class _Bar:
    def __init__(self, bar: Progress, description: str, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(description, total=total, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._bar.update(self._task, advance=amount, note=note)


class _Lines:
    def __init__(self, description: str, total: int | None) -> None:
        self._description, self._total, self._done = description, total, 0
        self._started = self._last = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last < _LOG_EVERY_S:
            return
        self._last = now
        left = f"/{self._total}" if self._total else ""
        say(f"{self._description}: {self._done}{left}{self._arrival(now)}{f'  {note}' if note else ''}")

    def _arrival(self, now: float) -> str:
        if not self._total or not self._done:
            return ""
        seconds = (now - self._started) / self._done * max(0, self._total - self._done)
        return f"  {int(seconds // 60)}:{int(seconds % 60):02d} left"
