"""The command line: what it prints where, which code it exits with, and one clear message for every mistake."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from edgedistill import reports
from edgedistill.artifacts import read_manifest
from edgedistill.cli import group
from edgedistill.cli.tables import print_table, table
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import DeviceError, TrainingError
from edgedistill.pipeline.walk import RoadResult, StepResult
from edgedistill.reports import BenchReport, BenchRow, Latency, StudentCard
from tests.made import HERE, write_artifact, write_verdict
from tests.pipeline.test_doctor import write_sound

VERBS = ["plan", "distill", "export", "check", "bench", "package", "report", "ls", "config", "doctor", "cache", "run"]


@pytest.fixture(autouse=True)
def _no_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEDISTILL_DEBUG", raising=False)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgedistill, [str(argument) for argument in arguments], prog_name="edgedistill")


def stand_in(monkeypatch: pytest.MonkeyPatch, verb: str, made: Any) -> dict[str, Any]:
    """Let `verb` return `made`, or raise it; the arguments it was called with."""
    seen: dict[str, Any] = {}

    def function(*positional: Any, **named: Any) -> Any:
        seen.update(named, positional=positional)
        if isinstance(made, BaseException):
            raise made
        return made

    home = "road" if verb == "run" else verb
    module = ModuleType(f"edgedistill.pipeline.{home}")
    setattr(module, verb, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


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


def test_a_pipe_gets_names_and_numbers_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    numbers, name = "abcdefgh", "intra144-ffn4-emb128-voc13483"
    wide = table("shape", *numbers, "why", numeric=tuple(numbers))
    wide.add_row(name, *["~13.21 MB"] * len(numbers), "too large by half, and slow as well")
    print_table(wide)
    first, *others = capsys.readouterr().out.splitlines()[1:]
    assert name in first
    assert first.count("~13.21 MB") == len(numbers)
    assert "slow" in " ".join(others), "sentences may be broken"


def test_ls_shows_names_with_a_line_each() -> None:
    result = call("ls", "schemes")
    assert result.exit_code == 0
    assert "int8_dynamic  8-bit weights" in result.stdout
    lists = json.loads(call("ls", "--json").stdout)
    assert list(lists) == ["recipes", "targets", "schemes", "tasks", "apps", "rules"]
    assert lists["tasks"]["sst2"]


def test_config_prints_a_form_and_a_schema() -> None:
    assert "# Gradients" not in call("config", "task").stdout
    assert "kind: single" in call("config", "sst2").stdout
    assert "int8_agreement: 0.98" in call("config", "check").stdout
    assert json.loads(call("config", "road", "--json").stdout)["title"] == "Road"


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1), ("inconclusive", 1)])
def test_check_exits_by_the_verdict_and_names_the_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str, code: int
) -> None:
    verdict = write_verdict(write_artifact(tmp_path / "artifact"), status, overrides={"int8_agreement": 0.4})
    seen = stand_in(monkeypatch, "check", verdict)
    result = call("check", "artifact", "--set", "int8_agreement=0.4")
    assert result.exit_code == code
    assert seen["settings"] == ("int8_agreement=0.4",)
    assert f"verdict: {status}" in result.stdout
    assert "not_run" in result.stdout
    assert "no phone attached" in result.stdout
    assert "Tolerances changed by hand: int8_agreement=0.4" in result.stdout
    assert ("swapped_labels: labels 0 and 1 are swapped" in result.stdout) is (status != "passed")
    machine = call("check", "artifact", "--json")
    assert machine.exit_code == code
    assert json.loads(machine.stdout)["status"] == status


def test_export_passes_on_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    seen = stand_in(monkeypatch, "export", folder)
    result = call(
        "export", "student", "--target", "tflite", "--length", "64", "--length", "32", "--set", "max_length=64"
    )
    assert result.exit_code == 0
    assert seen["target"] == "tflite"
    assert "scheme" not in seen, "what was not asked for is left to --config and the defaults"
    assert seen["settings"] == ("max_length=64", "lengths=[32, 64]")
    assert "model.onnx" in result.stdout
    machine = json.loads(call("export", "student", "--json").stdout)
    assert machine["manifest"] == read_manifest(folder).model_dump(mode="json")


def test_distill_shows_the_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest = read_manifest(write_artifact(tmp_path / "artifact"))
    card = StudentCard(
        created="2026-01-01T00:00:00+00:00", command="edgedistill distill", environment=HERE, recipe="mobilebert",
        task=manifest.task, student=manifest.source, scores={"student": 0.8853, "teacher": 0.8911, "rows": 872.0},
    )  # fmt: skip
    reports.save(card, tmp_path / "edgedistill.json")
    seen = stand_in(monkeypatch, "distill", tmp_path)
    result = call("distill", "mobilebert", "--task", "sst2", "--out", "x", "--limit", "5", "--set", "seed=1")
    assert result.exit_code == 0
    assert (seen["positional"], seen["limit"], seen["settings"]) == (("mobilebert",), 5, ("seed=1",))
    assert "0.8853" in result.stdout
    assert "872\n" in result.stdout
    machine = json.loads(call("distill", "mobilebert", "--task", "sst2", "--out", "x", "--json").stdout)
    assert machine["card"]["scores"]["teacher"] == 0.8911


def test_dry_runs_show_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for arguments in (["distill", "r", "--task", "t", "--out", "o"], ["export", "s"]):
        seen = stand_in(monkeypatch, arguments[0], tmp_path / "planned")
        result = call(*arguments, "--dry-run")
        assert (result.exit_code, result.stdout, seen["dry_run"]) == (0, "", True)
        assert json.loads(call(*arguments, "--dry-run", "--json").stdout)["planned"] is True


def test_bench_shows_p90_and_what_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    times = Latency(runs=64, p50_ms=10, p90_ms=11.5, p95_ms=12, p99_ms=13, min_ms=9, max_ms=14, mean_ms=10, std_ms=1,
                    first_ms=20, load_ms=100)  # fmt: skip
    row = BenchRow(artifact="one", manifest_sha256=None, target="onnx", scheme="fp32", source="host", device="cpu",
                   threads=2, affinity="0-1", length=128, latency=times, peak_rss_bytes=None, size_bytes=23_500_000,
                   validity="semi", is_throttled=True, samples_ms=(10.0,))  # fmt: skip
    report = BenchReport(
        created="2026-01-01T00:00:00+00:00", command="bench", environment=HERE, mode="rapid", seed=0, rows=(row,)
    )
    seen = stand_in(monkeypatch, "bench", report)
    result = call("bench", "one", "--threads", "1,2", "--lengths", "32,128", "--no-reference", "--mode", "rapid")
    assert result.exit_code == 0
    assert (seen["threads"], seen["lengths"], seen["reference"], seen["mode"]) == ((1, 2), (32, 128), False, "rapid")
    for shown in ("11.50", "23.50 MB", "64 (semi) throttled", "not_run"):
        assert shown in result.stdout
    assert json.loads(call("bench", "one", "--json").stdout)["rows"][0]["latency"]["p90_ms"] == 11.5
    assert seen["reference"] is True
    assert seen["lengths"] is None


def test_package_and_report_say_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder)
    result = call("package", folder, "--out", tmp_path / "dist")
    assert result.exit_code == 0
    assert "PROOF.json" in result.stdout
    machine = json.loads(call("package", folder, "--out", tmp_path / "dist", "--overwrite", "--json").stdout)
    assert machine["files"]["model.onnx"] == 700
    assert machine["checks"][0]["status"] == "not_run"
    stand_in(monkeypatch, "report", tmp_path / "index.html")
    assert call("report", "runs/x").stdout == f"{tmp_path / 'index.html'}\n"
    assert json.loads(call("report", "runs/x", "--json").stdout) == {"page": str(tmp_path / "index.html")}


def test_run_shows_steps_and_verdicts_and_exits_by_the_worst(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    verdicts = tuple(
        write_verdict(write_artifact(tmp_path / status), status) for status in ("passed", "failed", "inconclusive")
    )
    steps = (
        StepResult(name="distill", status="skipped", output="out/student"),
        StepResult(name="export coreml", status="stopped", message="needs coremltools", exit_code=3),
        StepResult(name="check failed", status="failed", exit_code=1),
    )
    made = RoadResult(out="out", steps=steps, verdicts=verdicts, page="out/index.html")
    seen = stand_in(monkeypatch, "run", made)
    result = call("run", "road.yaml", "--set", "limit=5", "--out", "else", "--overwrite")
    assert result.exit_code == 3, "what is missing weighs more than a failed gate"
    assert (seen["settings"], seen["out"], seen["overwrite"]) == (("limit=5",), Path("else"), True)
    for shown in ("skipped", "needs coremltools", "failed: student -> artifact: agreement too low", "not_run"):
        assert shown in result.stdout
    assert result.stdout.endswith("report: out/index.html\n")
    machine = json.loads(call("run", "road.yaml", "--json").stdout)
    assert (machine["exit_code"], machine["page"], len(machine["verdicts"])) == (3, "out/index.html", 3)


def test_an_artifact_that_did_not_pass_is_not_packaged_and_exits_with_1(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    assert call("package", folder, "--out", tmp_path / "dist").exit_code == 1
    write_verdict(folder, "failed")
    result = call("package", folder, "--out", tmp_path / "dist")
    assert result.exit_code == 1
    assert "did not pass its gate" in result.stderr
    assert not (tmp_path / "dist").exists()


def test_doctor_exits_with_1_when_something_is_broken(tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "artifact")
    assert call("doctor", folder).exit_code == 0
    assert "nothing found" in call("doctor", folder / "model.onnx").stdout
    (folder / "model.onnx").unlink()
    result = call("doctor", folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["is_broken"] is True
    shown = call("doctor", folder).stdout
    assert "missing_file" in shown
    assert "broken" in shown


def test_every_verb_has_its_test() -> None:
    assert isinstance(edgedistill, click.Group)
    assert list(edgedistill.commands) == VERBS


def test_bench_takes_other_tools_numbers(tmp_path: Path) -> None:
    files = Path(__file__).parent / "importers" / "files"
    out = tmp_path / "stated.json"
    result = call("bench", "--import", str(files / "benchmark_model.txt"), "--import", str(files / "ai_hub.yaml"),
                  "--from", "phone", "--out", str(out))  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for shown in ("student.tflite", "benchmark_model", "phone", "78.85", "published", "Phone One"):
        assert shown in result.stdout
    assert [row["source"] for row in json.loads(out.read_text())["stated"]] == ["phone", "published"]
    (tmp_path / "cut").write_text("INFO: Initialized session in 3ms.")
    result = call("bench", "--import", str(tmp_path / "cut"))
    assert result.exit_code == 2
    assert "cut off or failed" in result.stderr


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
