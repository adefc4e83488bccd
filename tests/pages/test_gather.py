import json
from pathlib import Path

import pytest

from edgedistill import reports
from edgedistill.artifacts import MANIFEST
from edgedistill.errors import ArtifactError
from edgedistill.pages.gather import gather
from edgedistill.reports import BENCH, STUDENT_CARD, VERDICT
from tests.pages.runs import bench_row, write_artifact, write_bench, write_run, write_training, write_verdict

ONNX, INT8, TFLITE = (f"mobilebert-sst2-{name}" for name in ("onnx-fp32", "onnx-int8_dynamic", "tflite-int8_dynamic"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "sst2")


def statuses(folder: Path) -> dict[str, str]:
    return {artifact.name: artifact.status for artifact in gather(folder).artifacts}


def test_a_whole_run_has_everything(run: Path) -> None:
    content = gather(run)
    assert content.title == "sst2"
    assert statuses(run) == {ONNX: "passed", INT8: "passed", TFLITE: "failed"}
    assert (content.headline.status, content.headline.word) == ("failed", "Failed")
    assert content.headline.sentence == (
        "Of 3 artifacts: 2 passed, 1 failed. The headline is the worst of them. "
        "Limits changed by hand: int8_agreement = 0.95."
    )
    assert [stage.name for stage in content.stages] == ["01-transfer", "02-distill"]
    assert list(content.layer_errors) == ["feature_map_mse", "attention_kl"]
    assert len(content.benches) == 1, "every artifact keeps a copy of the same bench"
    assert content.missing == ()


def test_ratios_are_to_pytorch_of_the_same_length_and_threads(run: Path) -> None:
    rows = {(row.artifact, row.threads): row for row in gather(run).benches[0].rows}
    for threads in (1, 2):
        torch, ours = rows["pytorch", threads], rows[ONNX, threads]
        assert torch.ratio is None
        assert ours.ratio == pytest.approx(torch.latency.p90_ms / ours.latency.p90_ms)


def test_the_plot_holds_what_has_both_score_and_time(run: Path) -> None:
    plot = gather(run).plot
    assert plot is not None
    assert (plot.metric, plot.length, plot.threads, plot.teacher) == ("accuracy", 128, 1, 0.8911)
    assert {point.name: point.score for point in plot.points} == {
        ONNX: 0.8853,
        INT8: 0.8842,
        TFLITE: 0.8406,
        "pytorch": 0.8853,
    }
    assert [point.label for point in plot.points] == [
        "onnx fp32",
        "onnx int8_dynamic",
        "tflite int8_dynamic",
        "pytorch",
    ]


def test_a_plain_export_takes_pytorchs_score_from_the_gate(run: Path) -> None:
    (run / "student" / STUDENT_CARD).unlink()
    plot = gather(run).plot
    assert plot is not None
    assert {point.name: point.score for point in plot.points}["pytorch"] == 0.8853
    assert plot.teacher == 0.8911


def test_what_cannot_be_plotted_is_named(run: Path) -> None:
    (run / "artifacts" / INT8 / VERDICT).unlink()
    plot = gather(run).plot
    assert plot is not None
    assert plot.absent == (f"{INT8}: the gate measured no accuracy",)


def test_an_artifact_without_a_verdict_is_not_checked(run: Path) -> None:
    (run / "artifacts" / ONNX / VERDICT).unlink()
    assert statuses(run)[ONNX] == "unchecked"
    assert any(f"{ONNX}: The gate has not judged it. Run: edgedistill check" in line for line in gather(run).missing)


def test_a_verdict_on_other_bytes_is_void_and_shows_no_number(run: Path) -> None:
    path = run / "artifacts" / ONNX / MANIFEST
    path.write_text(path.read_text().replace("apache-2.0", "mit"))
    artifact = gather(run).artifacts[0]
    assert artifact.status == "void"
    assert (artifact.rungs, artifact.score) == ((), None)
    assert "the manifest has changed since" in artifact.reason
    assert any("times of 2026" in line for line in gather(run).missing), "old times are left out and that is said"
    assert not any(row.artifact == ONNX for bench in gather(run).benches for row in bench.rows)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_changed_files_void_the_verdict_and_the_times(run: Path, damage: str) -> None:
    model = run / "artifacts" / ONNX / "model.bin"
    model.unlink() if damage == "missing" else model.write_bytes(b"other")
    content = gather(run)
    assert content.artifacts[0].status == "void"
    assert f"model.bin is {damage}" in content.artifacts[0].reason
    assert [file.state for file in content.artifacts[0].files if file.state != "same"] == [damage]
    assert not any(row.artifact == ONNX for bench in content.benches for row in bench.rows)


def test_nothing_passed_beats_failed_and_void(run: Path) -> None:
    for name in (INT8, TFLITE):
        (run / "artifacts" / name / VERDICT).unlink()
    assert gather(run).headline.status == "unchecked"
    (run / "artifacts" / INT8 / "model.bin").write_bytes(b"")
    assert gather(run).headline.status == "void"
    write_verdict(run / "artifacts" / TFLITE, "failed")
    assert gather(run).headline.status == "failed"


@pytest.mark.parametrize("name", [VERDICT, BENCH])
def test_unreadable_reports_are_said_and_the_rest_is_shown(run: Path, name: str) -> None:
    (run / "artifacts" / ONNX / name).write_text("{")
    content = gather(run)
    assert len(content.artifacts) == 3
    assert any(f"{name}' is not a readable" in line for line in content.missing)


def test_an_unreadable_manifest_leaves_its_artifact_out(run: Path) -> None:
    (run / "artifacts" / ONNX / MANIFEST).write_text("{")
    content = gather(run)
    assert [artifact.name for artifact in content.artifacts] == [INT8, TFLITE]
    assert any(line.startswith(f"'artifacts/{ONNX}' is left out: cannot read") for line in content.missing)


def test_an_unreadable_card_leaves_the_training_out(run: Path) -> None:
    (run / "student" / STUDENT_CARD).write_text("[]")
    content = gather(run)
    assert content.training is None
    assert any("is not a readable StudentCard" in line for line in content.missing)


def test_a_folder_of_artifacts_alone(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        write_artifact(folder)
    write_verdict(folders[0])
    content = gather(tmp_path)
    assert [artifact.folder for artifact in content.artifacts] == ["a", "b"]
    assert content.training is None
    assert any("No training here" in line for line in content.missing)
    assert any(line.startswith("a: not timed. Run: edgedistill bench") for line in content.missing)
    assert content.plot is None


def test_one_artifact_alone(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a")
    write_verdict(tmp_path / "a")
    content = gather(tmp_path / "a")
    assert content.headline.sentence == "a: 5 of 7 steps were run, 2 not run."
    assert [artifact.folder for artifact in content.artifacts] == ["."]


def test_a_run_without_artifacts(tmp_path: Path) -> None:
    write_training(tmp_path / "sst2")
    content = gather(tmp_path / "sst2")
    assert content.headline.word == "No artifact yet"
    assert any("No artifact yet. Run: edgedistill export" in line for line in content.missing)


def test_training_that_has_not_finished_shows_its_losses(tmp_path: Path) -> None:
    write_training(tmp_path / "sst2")
    (tmp_path / "sst2" / "student" / STUDENT_CARD).unlink()
    content = gather(tmp_path / "sst2")
    assert len(content.stages) == 2
    assert any("has not finished" in line for line in content.missing)


def test_two_benches_are_both_shown_the_newest_first(run: Path) -> None:
    write_bench([run / "artifacts" / INT8], created="2026-02-02T00:00:00+00:00")
    benches = gather(run).benches
    assert [bench.created[:7] for bench in benches] == ["2026-02", "2026-01"]
    plot = gather(run).plot
    assert plot is not None
    newest = next(row for row in benches[0].rows if row.artifact == INT8)
    assert next(point for point in plot.points if point.name == INT8).p90_ms == newest.latency.p90_ms


def test_with_several_pytorch_rows_each_artifact_is_compared_with_its_own(run: Path) -> None:
    path = run / "artifacts" / ONNX / BENCH
    report = reports.read(reports.BenchReport, path)
    kept = [row for row in report.rows if row.target != "pytorch" and row.threads == 1]
    both = [bench_row(f"pytorch:{name}", p50, target="pytorch") for name, p50 in (("student", 30), ("teacher", 90))]
    for name in (ONNX, INT8, TFLITE):
        reports.save(report.model_copy(update={"rows": (*kept, *both)}), run / "artifacts" / name / BENCH)
    rows = {row.artifact: row for row in gather(run).benches[0].rows}
    assert rows[ONNX].ratio == pytest.approx(30 * 1.03 / rows[ONNX].latency.p90_ms)


def test_commands_are_in_the_order_of_the_road(run: Path) -> None:
    verbs = [each.command.split()[1] for each in gather(run).commands]
    assert list(dict.fromkeys(verbs)) == ["distill", "export", "check", "bench", "report"]


def test_folders_without_anything_to_say_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no folder .*distill or export"):
        gather(tmp_path / "absent")
    with pytest.raises(ArtifactError, match="holds no student, no training log and no artifact"):
        gather(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / MANIFEST).write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(ArtifactError, match="schema version 99"):
        gather(tmp_path)
