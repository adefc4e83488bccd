"""Filling a cache, killed at any moment, ends in the same bytes as filling it at one go."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data.fill_cache import filled

HOME = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def killed(folder: Path, rows: int, pause: float, wait: float, shards: int) -> int:
    """Fill until so many shards are there and a moment longer, then kill -9; its exit status."""
    command = [sys.executable, "-m", "tests.data.fill_cache", str(folder), str(rows), str(pause)]
    with subprocess.Popen(command, cwd=HOME) as process:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("answers-*"))) < shards and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
    return process.returncode


@pytest.mark.slow
def test_killed_once(tmp_path):
    filled(tmp_path / "straight", 5000)
    assert killed(tmp_path / "killed", 5000, 0.1, wait=0.1, shards=2) == -signal.SIGKILL
    left = contents(tmp_path / "killed")
    assert 2 <= sum(name.startswith("answers-") for name in left) < 5
    assert "index.safetensors" not in left
    filled(tmp_path / "killed", 5000)
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


@pytest.mark.long
def test_killed_again_and_again(tmp_path):
    dice, kills = random.Random(0), 0
    filled(tmp_path / "straight", 60_000)
    for shards in (0, 1, 4, 9, 17, 30, 45):
        status = killed(tmp_path / "killed", 60_000, 0.005, wait=dice.random() * 0.3, shards=shards)
        kills += status == -signal.SIGKILL
    assert kills >= 5, "it was done before it could be killed five times"
    filled(tmp_path / "killed", 60_000)
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")
