"""package --plan: where the megabytes go, a budget that can fail, and options that are weighed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from edgedistill.apps.android.sizes import runtime_size, runtime_sizes
from edgedistill.artifacts import read_manifest
from edgedistill.cli.verbs import edgedistill
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ArtifactError, ConfigError
from edgedistill.gate.accuracy import DROP
from edgedistill.gate.rungs import measure
from edgedistill.pipeline.size_plan import size_plan
from edgedistill.reports import Rung
from edgedistill.runner import Arrays
from tests.apps.made_for_apps import write_app_artifact
from tests.made import write_verdict
from tests.support import write_task


def call(*arguments: object) -> Result:
    return CliRunner().invoke(edgedistill, [str(each) for each in arguments])


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_app_artifact(tmp_path / "artifact")


def test_every_runtime_size_has_a_source_and_phones_come_with_each() -> None:
    assert all(row.source and row.bytes > 1_000_000 for row in runtime_sizes())
    for runtime in {row.runtime for row in runtime_sizes()}:
        assert runtime_size(runtime) is not None


def test_an_estimate_never_looks_measured(artifact: Path) -> None:
    """Only what was measured of the very files says so; AARs are on no registry within reach."""
    for row in runtime_sizes():
        assert ("wheel" in row.source) == (row.basis == "estimated"), row
        assert (row.basis == "measured") == (row.abi == "web"), row
    shown = call("package", artifact, "--plan").stdout
    assert "The runtime's size on a phone is published" in shown
    assert "runtime on web: measured: onnx 1.30.0" in shown
    assert "runtime on x86_64: estimated: onnx" in shown


def test_the_parts_are_those_that_are_packaged_and_add_up(artifact: Path) -> None:
    made = size_plan(artifact)
    phone = made.abis[0]
    parts = {part.name: part for part in phone.parts}
    assert phone.abi == "arm64-v8a"
    assert parts["model"].bytes == 700
    assert parts["runtime"].bytes == runtime_size("onnx").bytes  # type: ignore[union-attr]
    kit = (artifact / "vocab.txt").stat().st_size
    assert parts["vocabulary"].bytes > kit, "the kit's own files count too"
    assert parts["vocabulary"].bytes < kit + (artifact / "tokenizer.json").stat().st_size + 40_000
    assert phone.bytes == sum(part.bytes for part in phone.parts)
    assert made.fits is None


def test_a_budget_is_a_gate_and_nothing_is_made_when_it_is_not_kept(artifact: Path, tmp_path: Path) -> None:
    total = size_plan(artifact).abis[0].bytes
    assert call("package", artifact, "--plan", "--budget", total).exit_code == 0
    over = call("package", artifact, "--plan", "--budget", total - 1)
    assert over.exit_code == 1
    assert "too_large" in over.stdout
    stopped = call("package", artifact, "--out", tmp_path / "dist", "--budget", "1MB")
    assert stopped.exit_code == 1
    assert not (tmp_path / "dist").exists()
    kept = call("package", artifact, "--out", tmp_path / "dist", "--budget", "1GB")
    assert kept.exit_code == 0, kept.stderr
    assert (tmp_path / "dist" / "PROOF.json").is_file()


def test_a_budget_is_weighed_where_the_package_goes(artifact: Path, tmp_path: Path) -> None:
    web = size_plan(artifact, platform="web", budget="1GB").abis[0]
    assert web.abi == "web"
    assert web.bytes != size_plan(artifact).abis[0].bytes
    over = call("package", artifact, "--for", "web", "--out", tmp_path / "dist", "--budget", web.bytes - 1)
    assert (over.exit_code, (tmp_path / "dist").exists()) == (1, False)
    for platform in ("ios", "linux-arm64"):
        with pytest.raises(ConfigError, match=f"runtime of '{platform}' is in an app is not known"):
            size_plan(artifact, platform=platform, budget="1GB")


def test_artifacts_of_the_same_student_beside_it_are_options(artifact: Path, tmp_path: Path) -> None:
    write_app_artifact(tmp_path / "other", target="tflite", scheme="int8_weight")
    stranger = read_manifest(artifact).source.model_copy(update={"sha256": "1" * 64})
    write_app_artifact(tmp_path / "stranger", source=stranger)
    machine = json.loads(call("package", artifact, "--plan", "--json").stdout)
    there = [one for one in machine["options"] if one["basis"] == "measured"]
    assert [(one["target"], one["scheme"], one["cost"]) for one in there] == [("tflite", "int8_weight", "gate: passed")]
    assert "not_run" in call("package", artifact, "--plan").stdout, "no score where the gate measured none"
    for folder, accuracy in ((artifact, 0.9), (tmp_path / "other", 0.875)):
        found = measure("artifact_accuracy", accuracy, 0.5, ">=")
        write_verdict(folder, rungs=(Rung(name=DROP, title="", status="passed", measures=(found,)),))
    (option,) = (one for one in size_plan(artifact).options if one.basis == "measured")
    assert (option.score, option.score_now, option.basis) == (0.875, 0.9, "measured")
    saved = runtime_size("onnx").bytes - runtime_size("tflite").bytes  # type: ignore[union-attr]
    assert there[0]["bytes"] == machine["totals"]["arm64-v8a"]["bytes"] - saved


def test_schemes_and_runtimes_that_were_not_exported_are_options(artifact: Path, tmp_path: Path) -> None:
    """An artifact that stands alone is told what to try, and never what its own runtime would not gain by."""
    source = read_manifest(artifact).source.model_copy(update={"parameters": 1_000_000, "path": "my $(student)"})
    alone = write_app_artifact(tmp_path / "alone/artifact", scheme="int8_weight", source=source)
    found = {(one.target, one.scheme): one for one in size_plan(alone, budget="20MB").options}
    runtimes = {name: runtime_size(name).bytes for name in ("onnx", "tflite")}  # type: ignore[union-attr]
    saved = runtimes["onnx"] - runtimes["tflite"]
    assert set(found) == {("onnx", "int4_weight"), ("tflite", "int8_weight"), ("tflite", "int8_dynamic")}
    other = found["tflite", "int8_weight"]
    now = size_plan(alone).abis[0].bytes
    assert (other.bytes, other.basis, other.score) == (now - 700 + 1_000_000 - saved, "computed", None)
    assert other.command == "edgedistill export 'my $(student)' --target tflite --scheme int8_weight"
    assert other.fits
    words = 16 * read_manifest(alone).tokenizer.vocab_size  # config.json says 16 numbers a word
    assert found["onnx", "int4_weight"].bytes == now - 700 + words + (1_000_000 - words) * 5 // 8
    full = {(one.target, one.scheme) for one in size_plan(artifact).options}
    assert {("onnx", "fp16"), ("onnx", "int8_dynamic"), ("tflite", "fp32")} <= full
    assert ("onnx", "auto") not in full


@pytest.mark.slow
def test_a_vocabulary_cut_to_the_tasks_rows_is_weighed_with_its_coverage(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score is measured with what is left of the tokens; here by a model that looks for one word."""
    word = load_tokenizer(artifact).token_to_id("film")

    def answer(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        found = (inputs["input_ids"] == word).any(axis=1)
        return {"logits": np.stack([~found, found], axis=1).astype(np.float32)}

    monkeypatch.setattr("edgedistill.pipeline.runners.open_runner", lambda *_: answer)
    made = size_plan(artifact, data=write_task(tmp_path / "task"))
    cuts = [one for one in made.options if one.coverage is not None]
    assert len(cuts) == 3
    assert all(one.bytes < made.abis[0].bytes for one in cuts)
    assert [one.coverage for one in cuts] == sorted(one.coverage for one in cuts if one.coverage is not None)
    assert {one.score_now for one in cuts} == {1.0}, "the judged row is 'good film'"
    assert cuts[-1].score == 1.0, "every word that occurs is kept"


def test_what_cannot_be_planned_is_told(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'big' is no size"):
        size_plan(artifact, budget="big")
    with pytest.raises(ArtifactError, match="'executorch' on arm64-v8a is not in edgedistill's table"):
        size_plan(write_app_artifact(tmp_path / "x", target="executorch"))
    (tmp_path / "shapes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a readable ShapePlan"):
        size_plan(artifact, shapes=[tmp_path / "shapes.json"])
    assert "--data and --shapes go with --plan" in call("package", artifact, "--out", "x", "--data", "y").stderr
    (artifact / "model.onnx").write_bytes(b"changed")
    with pytest.raises(ArtifactError, match="is not as it was exported"):
        size_plan(artifact)
