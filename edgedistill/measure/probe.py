"""Load time, first inference and peak memory of a model, each in a fresh process that does nothing else.

Run as a program (`python -m edgedistill.measure.probe FOLDER --threads 1 --opener MODULE:FUNCTION`, the inputs
as JSON on stdin) it imports no more than it must: what it weighs is Python, NumPy, the runtime and the model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import ArtifactError
from edgedistill.memory import peak_rss_bytes
from edgedistill.runner import Runner

Opener = Callable[[Path, int], Callable[[], Runner]]
"""Given a folder and a number of threads: imports the runtime, and returns a function that loads the model.
The two are apart because an app links its runtime, so importing it is no part of the load time."""

TIMEOUT_SECONDS = 600.0
_RUNS = 3
"""Inferences before the peak is read: some runtimes allocate again at the second one."""


@dataclass(frozen=True)
class Cold:
    """What a fresh process saw.

    Attributes:
        load_ms: reading the model and making it ready (files may be in the system's cache).
        first_ms: the first inference.
        peak_rss_bytes: of the whole process; none where the system does not say.
    """

    load_ms: float
    first_ms: float
    peak_rss_bytes: int | None


def probe(folder: Path, inputs: Mapping[str, NDArray[np.int64]], threads: int, opener: str) -> Cold:
    """Load and run a model in a fresh process.

    Args:
        folder: what the opener takes.
        inputs: one batch.
        threads: given to the runtime.
        opener: `module:function` of an `Opener`.

    Raises:
        ArtifactError: the process failed; its last words are in the message.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder), "--threads", str(threads), "--opener", opener]
    text = json.dumps({name: array.tolist() for name, array in inputs.items()})
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(
            f"'{folder}' did not load and answer within {TIMEOUT_SECONDS:.0f} seconds in a fresh process."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ArtifactError(f"'{folder}' does not load and answer in a fresh process: {last}")
    return Cold(**json.loads(done.stdout.splitlines()[-1]))


def look(
    folder: Path,
    inputs: Mapping[str, NDArray[np.int64]],
    threads: int,
    opener: Opener,
    clock: Callable[[], float] = time.perf_counter,
) -> Cold:
    """The same, in this process."""
    load = opener(folder, threads)
    started = clock()
    runner = load()
    loaded = clock()
    runner(inputs)
    answered = clock()
    for _ in range(_RUNS - 1):
        runner(inputs)
    return Cold(1000.0 * (loaded - started), 1000.0 * (answered - loaded), peak_rss_bytes())


def main(arguments: Sequence[str] | None = None) -> None:
    """What the fresh process does: one line of JSON on stdout."""
    parser = argparse.ArgumentParser(prog="python -m edgedistill.measure.probe", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--opener", required=True, metavar="MODULE:FUNCTION")
    given = parser.parse_args(arguments)
    inputs = {name: np.asarray(rows, dtype=np.int64) for name, rows in json.load(sys.stdin).items()}
    module, _, function = given.opener.partition(":")
    cold = look(given.folder, inputs, given.threads, getattr(import_module(module), function))
    sys.stdout.write(json.dumps(asdict(cold)) + "\n")


if __name__ == "__main__":
    main()
