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


def command(tiny_bert: Path, tiny_task_dir: Path, out: Path) -> list[str]:
    words = [sys.executable, "-m", "edgedistill", "distill", "finetune", "--student", str(tiny_bert), "--resume"]
    words += ["--task", str(tiny_task_dir / "task.yaml"), "--data", str(tiny_task_dir), "--out", str(out)]
    for setting in ("optim.epochs=40", "optim.batch_size=4", "max_length=32", "seed=3"):
        words += ["--set", setting]
    return words


@pytest.mark.parametrize("wanted", [pytest.param(1, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.long)])
def test_kill_minus_nine_at_random_moments(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path, wanted: int) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    subprocess.run(command(tiny_bert, tiny_task_dir, straight), check=True, capture_output=True)

    dice, kills = random.Random(0), 0
    while kills < wanted:
        with subprocess.Popen(
            command(tiny_bert, tiny_task_dir, killed), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "development rows" in line:
                    time.sleep(dice.random() * 0.1)
                    break
            process.send_signal(signal.SIGKILL)
            process.stderr.read()
        assert process.returncode == -signal.SIGKILL, f"the run ended after {kills} kills"
        kills += 1
    subprocess.run(command(tiny_bert, tiny_task_dir, killed), check=True, capture_output=True)

    def weights(run: Path) -> bytes:
        return (run / "student" / "model.safetensors").read_bytes()

    assert weights(killed) == weights(straight)
    assert not [name for name in os.listdir(killed) if name.endswith((".part", ".old"))]
