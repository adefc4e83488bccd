"""Shared by the benchmarks of memory: every size is measured in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgedistill.artifacts import environment, now


def by_size(script: str, default: str, measured: Callable[[int], dict[str, Any]]) -> dict[str, Any] | None:
    """Measure the sizes that `--rows` lists, each in a fresh process whose caches are empty.

    Args:
        script: `__file__` of the benchmark.
        default: sizes, with commas between them.
        measured: measures one size; called in its own process.

    Returns:
        What to write; none in the process of one size, which has printed its own.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--rows", default=default)
    options.add_argument("--one", type=int)
    given = options.parse_args()
    if given.one:
        print(json.dumps(measured(given.one)))
        return None
    started, found = time.monotonic(), []
    for rows in given.rows.split(","):
        with tempfile.TemporaryDirectory() as cache:
            command, where = [sys.executable, script, "--one", rows], {**os.environ, "HF_DATASETS_CACHE": cache}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=where)
        found.append(json.loads(done.stdout))
        print(found[-1], file=sys.stderr)
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(script).name}", *sys.argv[1:]]),
        "created": now(),
        "seconds": round(time.monotonic() - started),
        "environment": environment().model_dump(mode="json"),
        "sizes": found,
    }
