"""What the command line prints of a result, for people and as JSON, and which code it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedistill import reports
from edgedistill.artifacts import read_manifest
from edgedistill.cli.tables import print_table, table
from edgedistill.pipeline.walk import RoadResult, StepResult
from edgedistill.reports import BenchReport, BenchRow, Latency, StudentCard
from tests.calls import call, stand_in
from tests.made import HERE, write_artifact, write_verdict
from tests.pipeline.test_doctor import write_sound


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
