"""Two processes on one machine, talking over gloo, must give one process's numbers."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill.training.loop import fit
from tests.training.stages import BY_TOKENS, lines, stage

SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from edgedistill.training.loop import fit
from edgedistill.training.processes import accelerator
from tests.training.stages import BY_TOKENS, stage
fit(stage(dropout=0.0), Path(sys.argv[1]), seed=0)
fit(stage(BY_TOKENS, dropout=0.0), Path(sys.argv[1] + "-by-tokens"), seed=0)
assert accelerator().num_processes == 2

from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.training.sharded import ShardedTeacher
from edgedistill.training.teachers import OnlineTeacher
from tests.support import TinyRows
whole, checkpoint = OnlineTeacher(load(sys.argv[2])), load(sys.argv[2])
shared = ShardedTeacher(OnlineTeacher(checkpoint), [checkpoint.model])
want = Want(hidden=True, attentions=True, cls=(1,), scores=True)
for batch in list(TinyRows(32).all(8))[: 3 if accelerator().is_main_process else 1]:
    one, two = whole(batch, want), shared(batch, want)
    for name in ("logits", "cls"):
        torch.testing.assert_close(getattr(two, name), getattr(one, name))
    for name in ("hidden", "attentions", "scores"):
        assert len(getattr(one, name)) >= 2
        torch.testing.assert_close(getattr(two, name), getattr(one, name))
shared.follow()  # the main process still asks
for parameter in checkpoint.model.base_model.encoder.parameters():
    assert parameter.to_local().numel() <= (parameter.shape[0] + 1) // 2 * parameter[0:1].numel(), "half of each"
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_numbers_and_the_shared_teacher_of_one(tmp_path, tiny_bert):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "two"), str(tiny_bert)],
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
    fit(stage(BY_TOKENS, dropout=0.0), tmp_path / "one-by-tokens", seed=0)
    one, two = (lines(tmp_path / name) + lines(tmp_path / f"{name}-by-tokens") for name in ("one", "two"))
    assert [line["rows"] for line in two] == [line["rows"] for line in one]
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
