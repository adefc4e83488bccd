"""`--launch`: the same numbers, cache and checkpoints from one process and from two, and one clear end for all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
import torch
from click.testing import CliRunner, Result

from edgedistill.cli.verbs import edgedistill
from edgedistill.data.vocabulary import VocabularyConfig
from edgedistill.errors import ConfigError, LaunchError, LostProcessError, TrainingError
from edgedistill.pipeline import launch
from edgedistill.pipeline.launch import Launch, tell_launcher
from edgedistill.pipeline.refusals import refuse_small_batches, refuse_unsharable
from edgedistill.recipes import RecipeConfig, finetune, pkd
from edgedistill.training.stage import OptimConfig

HOME = Path(__file__).parents[2]
SETTINGS = ("max_length=32", "num_layers=2", "optim.epochs=16", "optim.batch_size=8", "optim.mixed_precision=no")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(edgedistill, ["distill", "finetune", "--out", "nowhere", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--launch", "0"], "0 is not in the range x>=1"),
        (["--launch", "two"], "'two' is not a valid integer"),
        (["--machines", "2"], "--machines is about several processes: give --launch N too"),
        (["--machine-rank", "1"], "--machine-rank is about several processes"),
        (["--launch", "2", "--machine-rank", "1"], "--machine-rank 1: of 1 machines the ranks are 0 to 0"),
        (["--launch", "2", "--machines", "2"], "--machines 2 needs --main-machine HOST:PORT"),
        (["--launch", "2", "--machines", "2", "--main-machine", "here"], "'here' is none"),
        (["--launch", "2", "--machines", "2", "--main-machine", "here:99999"], "'here:99999' is none"),
    ],
)
def test_what_cannot_be_launched_is_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not Path("nowhere").exists()


def test_processes_within_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    result = call("--launch", "2")
    assert result.exit_code == 2
    assert "this process was launched already, as number 1 of 4" in result.output


def test_gpus_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    result = call("--launch", "3")
    assert result.exit_code == 2
    assert "--launch 3: this machine has 2 GPUs" in result.output


def test_more_processes_than_rows_of_a_step_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(RecipeConfig):
        first: OptimConfig = OptimConfig(batch_size=8)
        second: OptimConfig = OptimConfig(batch_size=3)

    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"second\.batch_size is 3, fewer rows than the 4 processes.*--set second"):
        refuse_small_batches(Config())
    monkeypatch.setenv("WORLD_SIZE", "3")
    refuse_small_batches(Config())


def test_fewer_tokens_than_a_row_of_each_process_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(RecipeConfig):
        max_length: int = 64
        optim: OptimConfig = OptimConfig(batch_size=1, batch_tokens=130)

    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse_small_batches(Config())
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        ConfigError, match=r"optim\.batch_tokens is 130, too few for a row of max_length=64 .*tokens=192"
    ):
        refuse_small_batches(Config())


def test_a_teacher_that_cannot_be_shared_out_is_refused(
    tiny_bert: Path, tiny_task_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    found = call("--teacher", str(tiny_bert), "--task", "sst2", "--data", str(tiny_task_dir), "--shard-teacher")
    assert found.exit_code == 2
    assert "among several processes. Give --launch N too" in found.output
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="that learn one task from a teacher"):
        refuse_unsharable(finetune, finetune.Config(), [])
    with pytest.raises(ConfigError, match="set vocabulary to null"):
        refuse_unsharable(pkd, pkd.Config(vocabulary=VocabularyConfig(coverage=1)), [])


def test_a_main_machine_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(launch, "_MEETING_S", 1)
    with pytest.raises(LaunchError, match=r"machine 1 of 2 did not meet the others at '127\.0\.0\.1:9'.*port is open"):
        launch.launch(Launch(1, 2, 1, "127.0.0.1:9"), ["ls"])
    assert "EDGEDISTILL_LAUNCHED" not in os.environ


def failure(code: int, message: str | None = None, *, is_cause: bool = True) -> SimpleNamespace:
    told = "" if message is None else {"message": message, "is_cause": is_cause, "exit_code": abs(code) % 13}
    return SimpleNamespace(exitcode=code, message=told, signal_name=lambda: signal.Signals(-code).name)


@pytest.mark.parametrize(
    ("failures", "message", "code"),
    [
        ({0: failure(2, "no file"), 1: failure(2, "no file")}, "no file", 2),
        ({0: failure(-15, "no file"), 1: failure(2, "no file")}, "no file", 2),
        ({0: failure(2, "lost one", is_cause=False), 1: failure(3, "no GPU")}, "process 1 of 2: no GPU", 3),
        ({0: failure(2, "lost one", is_cause=False), 1: failure(-9)}, "process 1 of 2 was killed by SIGKILL", 2),
        ({0: failure(70)}, "process 0 of 2 ended with 70; what it said is above", 70),
        ({1: failure(130)}, "process 1 of 2 was told to stop", 130),
        ({1: failure(2, "lost one", is_cause=False)}, "lost one", 2),
    ],
)
def test_of_all_failures_the_cause_is_told(failures: dict[int, SimpleNamespace], message: str, code: int) -> None:
    told = launch._told(failures, Launch(2))
    assert str(told).startswith(message)
    assert told.exit_code == code


def test_a_process_leaves_its_error_to_the_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tell_launcher(TrainingError("alone")), "nobody launched this process"
    for name, value in (("RANK", "1"), ("EDGEDISTILL_LAUNCHED", "1"), ("TORCHELASTIC_ERROR_FILE", tmp_path / "error")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(launch, "_SECOND_S", 0)
    for error, is_cause in ((TrainingError("NaN"), True), (LostProcessError("gone"), False)):
        assert tell_launcher(error)
        told = json.loads((tmp_path / "error").read_text())["message"]
        assert (told["message"], told["is_cause"]) == (str(error), is_cause)


@pytest.fixture(scope="module")
def command(tiny_bert: Path, tiny_task_dir: Path) -> list[str]:
    words = [sys.executable, "-m", "edgedistill", "distill", "pkd", "--teacher", str(tiny_bert)]
    words += ["--task", str(tiny_task_dir / "task.yaml"), "--data", str(tiny_task_dir)]
    return words + [word for setting in SETTINGS for word in ("--set", setting)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def done(words: list[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(words, cwd=HOME, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == code, found.stderr
    return found


@contextmanager
def begun(words: list[str], epochs: int = 2) -> Iterator[subprocess.Popen[str]]:
    """A run that has trained for some epochs; it has saved all but the last of them."""
    with subprocess.Popen(
        words, cwd=HOME, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "development rows" in line:
                epochs -= 1
            if not epochs:
                break
        assert not epochs, "".join(said)
        yield process


@pytest.fixture(scope="module")
def straight(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nobody stops, with its teacher's cache beside it."""
    place = tmp_path_factory.mktemp("straight")
    done([*command, "--out", str(place / "run"), "--teacher-cache", str(place / "cache")])
    return place


def losses(run: Path) -> list[float]:
    text = (run / "stages" / "01-distill" / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in text]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def assert_same(one: Path, other: Path) -> None:
    assert losses(other) == pytest.approx(losses(one), rel=1e-3)
    first, second = (safetensors.numpy.load_file(run / "student" / "model.safetensors") for run in (one, other))
    assert max(np.abs(first[name] - second[name]).max() for name in first) < 1e-3
    assert not [path for path in other.rglob("*") if path.name.endswith((".part", ".old"))]


@pytest.mark.slow
def test_two_processes_make_the_student_and_the_cache_of_one(
    command: list[str], straight: Path, tmp_path: Path
) -> None:
    run = [*command, "--launch", "2", "--out", str(tmp_path / "run"), "--teacher-cache", str(tmp_path / "cache")]
    found = done([*run, "--json", "--profile"])
    assert json.loads(found.stdout)["card"]["recipe"] == "pkd", "one process prints the result"
    assert found.stderr.count("judging on") == 1
    assert_same(straight / "run", tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run" / "stages" / "01-distill").iterdir()) == sorted(
        path.name for path in (straight / "run" / "stages" / "01-distill").iterdir()
    ), "one process writes"
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
    caches = [
        {path.name: path.read_bytes() for path in sorted((place / "cache").iterdir()) if path.suffix == ".safetensors"}
        for place in (straight, tmp_path)
    ]
    assert caches[0]
    assert caches[0] == caches[1]
    trace = json.loads((tmp_path / "run" / "profile" / "01-distill.json").read_text())
    assert {"data", "losses", "gradients", "exchange", "update"} <= {
        event.get("name") for event in trace["traceEvents"]
    }

    again = done(run, code=2)
    assert again.stderr.count("Error:") == 1
    assert "already exists" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [(["--launch", "2", "--shard-teacher"], []), pytest.param([], ["--launch", "2"], marks=pytest.mark.long)],
)
def test_ctrl_c_saves_and_another_number_of_processes_goes_on(
    command: list[str], straight: Path, tmp_path: Path, first: list[str], then: list[str]
) -> None:
    words = [*command, "--out", str(tmp_path / "run")]
    with begun([*words, *first]) as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert said.count("stopped and saved after step") == 1
    assert said.count("to go on:\n") == 1
    assert f"{' '.join(first)} --resume".strip() in said
    assert "Traceback" not in said
    found = done([*words, *then, "--resume"])
    assert "going on after step" in found.stderr
    assert_same(straight / "run", tmp_path / "run")


def children(process: int) -> dict[int, int]:
    """Process ids of the launched ones, by rank."""
    found = {}
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        words = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        rank = next((word for word in words if word.startswith(b"RANK=")), None)
        if rank:
            found[int(rank.partition(b"=")[2])] = int(child)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc to find a process of the run")
def test_a_process_that_dies_ends_the_others_with_one_error(command: list[str], straight: Path, tmp_path: Path) -> None:
    words = [*command, "--out", str(tmp_path / "run"), "--launch", "2"]
    with begun(words) as process:
        ranks = children(process.pid)
        assert sorted(ranks) == [0, 1]
        os.kill(ranks[1], signal.SIGKILL)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 2, said
    assert said.count("Error:") == 1
    assert "process 1 of 2 was killed by SIGKILL" in said
    assert "pass --resume" in said
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())
    done([*words, "--resume"])
    assert_same(straight / "run", tmp_path / "run")


@pytest.mark.slow
def test_two_machines_make_the_student_of_one(command: list[str], straight: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*command, "--out", str(tmp_path / "run"), "--launch", "1", "--machines", "2"]
    words += ["--main-machine", f"127.0.0.1:{port}", "--json", "--machine-rank"]
    machines = [
        subprocess.Popen(
            [*words, str(rank)], cwd=HOME, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    found = [machine.communicate(timeout=600) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], found
    assert json.loads(found[0][0])["card"]["recipe"] == "pkd"
    assert found[1][0] == ""
    assert_same(straight / "run", tmp_path / "run")
