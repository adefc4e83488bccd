"""A stage that is cut, killed or damaged: it goes on as if nothing had been, or says what is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from torch import nn

from edgedistill.errors import TrainingError
from edgedistill.training.loop import fit
from edgedistill.training.stage import Stage
from tests.support import TinyRows, tiny_model
from tests.training.stages import OPTIM, Stop, lines, same, stage, stop_at, weights


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_resumed_is_bit_equal_to_uninterrupted(tmp_path, cut):
    scaffolds = [nn.Linear(2, 2, device="cpu") for _ in range(3)]
    for scaffold in scaffolds[1:]:
        scaffold.load_state_dict(scaffolds[0].state_dict())
    straight, first, second = (stage(scaffold=scaffold) for scaffold in scaffolds)
    fit(straight, tmp_path / "straight", seed=3)
    first = stage(scaffold=scaffolds[1], hook=stop_at(cut))
    with pytest.raises(Stop):
        fit(first, tmp_path / "cut", seed=3, save_every_s=0.0)
    done = fit(second, tmp_path / "cut", seed=3)
    assert done.steps == 8
    assert same(weights(straight.model), weights(second.model))
    keep = ("step", "loss", "terms", "lr", "grad_norm", "epoch", "rows", "tokens")
    straight_lines, cut_lines = (
        [{key: line[key] for key in keep} for line in lines(tmp_path / name)] for name in ("straight", "cut")
    )
    assert straight_lines == cut_lines


def test_finished_stage_is_loaded_not_trained(tmp_path):
    first, second = stage(), stage(hook=stop_at(0))
    fit(first, tmp_path, seed=0)
    done = fit(second, tmp_path, seed=0)
    assert done.steps == 8
    assert same(weights(first.model), weights(second.model))
    assert not second.model.training


def test_scaffold_of_a_finished_stage_is_loaded_for_the_next_one(tmp_path):
    learnt, fresh = nn.Linear(2, 2), nn.Linear(2, 2)
    fit(stage(scaffold=learnt), tmp_path, seed=0)
    fit(stage(scaffold=fresh, hook=stop_at(0)), tmp_path, seed=0)
    assert same(weights(learnt), weights(fresh))


def test_ctrl_c_saves_and_resuming_gives_the_uninterrupted_result(tmp_path, capsys):
    straight, again = stage(), stage()
    fit(straight, tmp_path / "straight", seed=0)

    def press(batch):
        press.count += 1
        if press.count == 3:
            os.kill(os.getpid(), signal.SIGINT)

    press.count = 0
    with pytest.raises(KeyboardInterrupt):
        fit(stage(hook=press), tmp_path / "cut", seed=0)
    assert "saved after step 3" in capsys.readouterr().err
    assert len(lines(tmp_path / "cut")) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fit(again, tmp_path / "cut", seed=0)
    assert same(weights(straight.model), weights(again.model))


def test_checkpoint_of_another_model_is_refused(tmp_path):
    fit(stage(), tmp_path, seed=0)
    other = Stage("train", tiny_model(layers=2), TinyRows(8), lambda batch: {}, OPTIM)
    with pytest.raises(TrainingError, match="cannot resume"):
        fit(other, tmp_path, seed=0)


def test_damaged_checkpoint_is_refused(tmp_path):
    fit(stage(), tmp_path, seed=0)
    path = tmp_path / "checkpoint" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="cannot resume"):
        fit(stage(), tmp_path, seed=0)


def test_checkpoint_set_aside_by_a_killed_process_is_found(tmp_path):
    with pytest.raises(Stop):
        fit(stage(hook=stop_at(4)), tmp_path, seed=0, save_every_s=0.0)
    (tmp_path / "checkpoint").rename(tmp_path / ".checkpoint.abcdefgh.old")
    (tmp_path / ".checkpoint.01234567.part").mkdir()
    fit(stage(), tmp_path, seed=0)
    assert len(lines(tmp_path)) == 8
    assert not list(tmp_path.glob(".checkpoint*"))


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.training.stages import OPTIM, stage
from edgedistill.training.loop import fit
fit(stage(OPTIM.model_copy(update={"max_steps": 2000})), Path(sys.argv[1]), seed=0, save_every_s=0.0)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_checkpoint_that_goes_on(tmp_path):
    slot = tmp_path / "slot"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(slot)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not (slot / "checkpoint").is_dir() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        process.kill()
        process.wait()
    optim = OPTIM.model_copy(update={"max_steps": 2000})
    interrupted = stage(optim, hook=stop_at(3))
    with pytest.raises(Stop):
        fit(interrupted, slot, seed=0, save_every_s=0.0)
    steps = [line["step"] for line in lines(slot)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 3


def test_the_best_epoch_set_aside_by_a_killed_process_is_found(tmp_path):
    optim = OPTIM.model_copy(update={"max_steps": None, "epochs": 3.0})
    scores = iter([0.9, 0.1])
    with pytest.raises(Stop):
        fit(stage(optim, hook=stop_at(9), evaluate=lambda: next(scores)), tmp_path, seed=0, save_every_s=0.0)
    (tmp_path / "best").rename(tmp_path / ".best.abcdefgh.old")
    done = fit(stage(optim, evaluate=lambda: 0.2), tmp_path, seed=0)
    assert done.score == 0.9


def test_a_lost_best_epoch_is_said_and_nothing_is_called_done(tmp_path):
    def lose():
        shutil.rmtree(tmp_path / "best")
        return 0.5

    scores = iter([lambda: 0.9, lose])
    optim = OPTIM.model_copy(update={"max_steps": None, "epochs": 2.0})
    with pytest.raises(TrainingError, match=r"best epoch's weights from '.*best.model\.safetensors'.*--overwrite"):
        fit(stage(optim, evaluate=lambda: next(scores)()), tmp_path, seed=0)
    assert not json.loads((tmp_path / "checkpoint" / "position.json").read_text())["is_finished"]


def test_ctrl_c_while_the_last_epoch_is_scored_is_not_forgotten(tmp_path):
    def press():
        os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    made = stage(OPTIM.model_copy(update={"max_steps": None, "epochs": 1.0}), evaluate=press)
    with pytest.raises(KeyboardInterrupt):
        fit(made, tmp_path, seed=0)
    assert json.loads((tmp_path / "checkpoint" / "position.json").read_text())["is_finished"]
