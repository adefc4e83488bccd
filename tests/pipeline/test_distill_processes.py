"""`edgedistill distill` in several processes that talk over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

SETTINGS = ["max_length=32", "optim.max_steps=6", "optim.batch_size=8", "optim.mixed_precision=no"]


def distil(words: list[str], tiny_bert: Path, tiny_task_dir: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [*words, "-m", "edgedistill", "distill", "finetune", "--student", str(tiny_bert), "--out", str(out)]
    command += ["--task", str(tiny_task_dir / "task.yaml"), "--data", str(tiny_task_dir), "--json"]
    for setting in SETTINGS:
        command += ["--set", setting]
    where = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=where, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.long  # test_launch has the same numbers by --launch, test_caches another launcher
def test_two_processes_make_the_student_of_one(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = distil(launch, tiny_bert, tiny_task_dir, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["card"]["recipe"] == "finetune", "one process prints the result"
    assert distil([sys.executable], tiny_bert, tiny_task_dir, tmp_path / "one").returncode == 0
    one, two = (
        safetensors.numpy.load_file(tmp_path / name / "student" / "model.safetensors") for name in ("one", "two")
    )
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 1e-4
    again = distil(launch, tiny_bert, tiny_task_dir, tmp_path / "two")
    assert again.returncode != 0
    assert "already exists" in again.stderr
