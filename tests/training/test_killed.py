"""A training killed again and again at random moments ends in the same bytes as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

KILLS = 5


def command(tiny_bert: Path, tiny_task_dir: Path, out: Path) -> list[str]:
    words = [sys.executable, "-m", "edgedistill", "distill", "finetune", "--student", str(tiny_bert), "--resume"]
    words += ["--task", str(tiny_task_dir / "task.yaml"), "--data", str(tiny_task_dir), "--out", str(out)]
    for setting in ("optim.epochs=40", "optim.batch_size=4", "max_length=32", "seed=3"):
        words += ["--set", setting]
    return words


def test_kill_minus_nine_at_random_moments(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(tiny_bert, tiny_task_dir, straight), check=True, capture_output=True)

    dice, kills = random.Random(0), 0
    while kills < KILLS:
        with subprocess.Popen(
            command(tiny_bert, tiny_task_dir, killed), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "development rows" in line:
                    time.sleep(dice.random() * 0.3)
                    break
            process.send_signal(signal.SIGKILL)
            process.stderr.read()
        kills += 1
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0
            break
    assert kills >= 2, "the run ended before it could be killed twice"
    subprocess.run(command(tiny_bert, tiny_task_dir, killed), check=True, capture_output=True)

    def weights(run: Path) -> bytes:
        return (run / "student" / "model.safetensors").read_bytes()

    assert weights(killed) == weights(straight)
    assert not [name for name in os.listdir(killed) if name.endswith((".part", ".old"))]
