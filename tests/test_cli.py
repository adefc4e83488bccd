"""The command line: what it prints where, which code it exits with, and one clear message for every mistake."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from edgedistill.cli import group
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import DeviceError, TrainingError
from tests.calls import call, stand_in
from tests.made import write_artifact, write_verdict

VERBS = ["plan", "distill", "export", "check", "bench", "package", "report", "ls", "config", "doctor", "cache", "run"]


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEDISTILL_DEBUG", raising=False)


def test_help_lists_the_verbs_in_the_order_of_the_road() -> None:
    result = call("--help")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert listed[: len(VERBS)] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_speaks_json(verb: str) -> None:
    command = edgedistill.commands[verb]
    inner = [[verb, one] for one in command.commands] if isinstance(command, click.Group) else [[verb]]
    assert inner
    for words in inner:
        result = call(*words, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distil"], "no verb named 'distil'. Did you mean 'distill'?"),
        (["zzz"], "no verb named 'zzz'. There are: bench, cache, check"),
        (["distill"], "Missing argument 'RECIPE'"),
        (["distill", "mobilebert", "--out", "x"], "needs a task. Give it with --task"),
        (["distill", "mobilebert", "--task", "sst2"], "Missing option '--out'"),
        (["distill", "mobilebert", "--task", "sst2", "--out", "x", "--limit", "0"], "'--limit'"),
        (["bench"], "nothing to bench. Name at least one artifact folder"),
        (["bench", "x", "--threads", "two"], "'two' is not a list of whole numbers such as 32,128"),
        (["bench", "x", "--lengths", "32,0"], "0 is too small; the least is 1"),
        (["bench", "x", "--mode", "fast"], "'submission', 'quick', 'rapid'"),
        (["check", "x", "--overwite"], "No such option"),
        (["package", "x", "--for", "files"], "Missing option '--out'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config", "mobilebrt"], "no recipe, target, app or task named 'mobilebrt'"),
        (["config", "sst3"], "Did you mean 'sst2'?"),
        (["ls", "recipe"], "no list named 'recipe'. Did you mean 'recipes'?"),
        (["run", "none.yaml"], "no file 'none.yaml'. Print a template with: edgedistill config road"),
        (["run", "nowhere"], "no road named 'nowhere'"),
        (["doctor", "nowhere"], "'nowhere' is not there"),
        (
            ["package", "nowhere", "--out", "dist"],
            "'nowhere' is no artifact: it does not exist. Make one with: edgedistill export",
        ),
        (["package", "x", "--out", "dist", "--for", "file"], "Did you mean 'files'?"),
    ],
)
def test_mistakes_are_told_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    assert (result.stdout, os.listdir(tmp_path)) == ("", [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out: [", "line 2: not valid YAML"),
        ("out: x\nout: y", "key 'out' is written twice"),
        ("out: x", "'task' is required"),
        ("out: x\ntask: sst2\nrecipe: y", "unknown key 'recipe'"),
        ("out: x\ntask: sst2\nlimit: many", "limit: Input should be a valid integer"),
        ("- out", "must hold keys and values"),
    ],
)
def test_a_bad_road_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "road.yaml"
    path.write_text(text + "\n", encoding="utf-8")
    result = call("run", path)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "road.yaml" in result.stderr


def test_a_bad_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "road.yaml").write_text("out: x\ntask: sst2\n", encoding="utf-8")
    result = call("run", tmp_path / "road.yaml", "--set", "limit")
    assert result.exit_code == 2
    assert "--set takes key=value, not 'limit'" in result.stderr


def test_existing_output_is_kept(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "mine").touch()
    result = call("package", folder, "--out", tmp_path / "dist")
    assert result.exit_code == 2
    assert "already exists. Choose another --out, or pass --overwrite" in result.stderr
    assert os.listdir(tmp_path / "dist") == ["mine"]


def test_output_below_a_file_is_refused(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder)
    result = call("package", folder, "--out", folder / "model.onnx" / "dist")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/out/x"), 2, "cannot write '/out/x': no space left"),
        (OSError(errno.EROFS, "Read-only file system", "/out/x"), 2, "the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/out/x"), 2, "permission denied"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/in/x"),
            2,
            "the system refused '/in/x': No such",
        ),
        (OSError("no number"), 2, "the system refused: no number"),
        (TrainingError("the loss is NaN at step 3."), 2, "Error: the loss is NaN at step 3."),
        (DeviceError("no phone attached."), 3, "Error: no phone attached."),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 3, "needs the package 'torch'"),
        (MemoryError(), 2, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), 2, "out of memory"),
    ],
)
def test_what_goes_wrong_inside_becomes_a_message(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, message: str
) -> None:
    stand_in(monkeypatch, "check", error)
    result = call("check", "artifact")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_our_own_fault_shows_where_and_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "check", ValueError("a fault"))
    result = call("check", "artifact")
    assert result.exit_code == group.OWN_FAULT
    assert "fault of edgedistill" in result.stderr
    assert "ValueError: a fault" in result.stderr


def test_debugging_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "check", TrainingError("the loss is NaN."))
    monkeypatch.setenv("EDGEDISTILL_DEBUG", "1")
    assert isinstance(call("check", "artifact").exception, TrainingError)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ["distill", "mobilebert", "--task", "sst2", "--out", "my runs"],
            "to go on:\n  edgedistill distill mobilebert --task sst2 --out 'my runs' --resume",
        ),
        (["distill", "r", "--task", "t", "--out", "o", "--resume"], "--out o --resume\n"),
        (
            ["distill", "r", "--task", "t", "--out", "o", "--dry-run"],
            "Nothing half-written is left; to do it again:\n  edgedistill distill r --task t --out o --dry-run",
        ),
        (["check", "artifact"], "Nothing half-written is left; to do it again:\n  edgedistill check artifact"),
        (["run", "road.yaml"], "Finished steps are kept and will be skipped; to go on:\n  edgedistill run road.yaml"),
    ],
)
def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, arguments: list[str], hint: str) -> None:
    stand_in(monkeypatch, arguments[0], KeyboardInterrupt())
    result = call(*arguments)
    assert result.exit_code == 130
    assert hint in result.stderr
    assert "--resume --resume" not in result.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_real_ctrl_c_ends_a_real_process_with_130(stop: signal.Signals) -> None:
    code = (
        "import sys, time, types; m = types.ModuleType('edgedistill.pipeline.check')\n"
        "def check(*a, **k):\n    sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(60)\n"
        "m.check = check; sys.modules[m.__name__] = m; sys.argv = ['edgedistill', 'check', 'artifact']\n"
        "from edgedistill.cli import main; main()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(stop)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"edgedistill check artifact" in stderr
    assert b"Traceback" not in stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m edgedistill config road | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", str(group.PIPE_CLOSED)}


def test_every_verb_has_its_test() -> None:
    assert isinstance(edgedistill, click.Group)
    assert list(edgedistill.commands) == VERBS


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--device", "usb"], "no device 'usb'. There are: host, web, adb, adb:SERIAL"),
        (["--affinity", "big"], "--affinity goes with --device adb"),
        (["--from", "phone"], "--from goes with --import"),
    ],
)
def test_bench_refuses_options_that_do_not_go_together(arguments: list[str], reason: str) -> None:
    result = call("bench", "one", *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
