"""Two processes on one machine, talking over gloo, must give one process's numbers."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill.training.loop import fit
from tests.training.test_loop import lines, stage

SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from edgedistill.training.loop import fit
from edgedistill.training.processes import accelerator
from tests.training.test_loop import stage
fit(stage(dropout=0.0), Path(sys.argv[1]), seed=0)
assert accelerator().num_processes == 2
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "two")],
            env={**shared, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    fit(stage(dropout=0.0), tmp_path / "one", seed=0)
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["rows"] for line in two] == [line["rows"] for line in one]
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
