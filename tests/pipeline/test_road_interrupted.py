"""A real road, stopped in the middle of training by Ctrl-C or kill -9, and gone on with by the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

GATE_FAILED = 1  # a tiny student on 32 rows proves nothing, and the gate says so


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_stopped_road_goes_on(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path, stop: signal.Signals) -> None:
    road = {
        "out": "out",
        "task": str(tiny_task_dir / "task.yaml"),
        "data": str(tiny_task_dir),
        "teacher": None,
        "distill": {
            "recipe": "finetune",
            "student": str(tiny_bert),
            "settings": {"optim": {"epochs": 4, "batch_size": 8}, "max_length": 32},
        },
        "exports": [{"target": "onnx", "scheme": "fp32", "settings": {"max_length": 32}}],
        "bench": None,
    }
    (tmp_path / "road.yaml").write_text(json.dumps(road), encoding="utf-8")
    command = [sys.executable, "-m", "edgedistill", "run", "road.yaml"]

    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        epochs = 0
        for line in process.stderr:
            epochs += "development rows" in line
            if epochs == 2:  # the first is saved, which comes after its score
                process.send_signal(stop)
                break
        rest = process.stderr.read()
    assert process.returncode == (-signal.SIGKILL if stop == signal.SIGKILL else 130)
    if stop != signal.SIGKILL:
        assert "Finished steps are kept" in rest
        assert "Traceback" not in rest
    assert not (tmp_path / "out" / "finetune" / "student").exists(), "nothing half-made may look finished"

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == GATE_FAILED, done.stderr
    assert "distill: going on" in done.stderr
    assert (tmp_path / "out" / "finetune" / "index.html").is_file()
    log = [
        json.loads(line)
        for path in sorted((tmp_path / "out" / "finetune" / "stages").glob("*/log.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    steps = [line["step"] for line in log]
    assert steps == sorted(set(steps)), "no step is logged twice"
    assert not [name for name in os.listdir(tmp_path / "out" / "finetune") if name.endswith((".part", ".old"))]

    again = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {step["status"] for step in json.loads(again.stdout)["steps"]} <= {"skipped", "failed", "done"}
    assert "distill: finished before, skipped" in again.stderr
