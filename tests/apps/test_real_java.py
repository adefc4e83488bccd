"""The Android library's Java with ONNX Runtime's own Java classes: the goldens are answered on this computer."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.apps import android
from edgedistill.apps.android import jvm, project
from edgedistill.artifacts import read_manifest
from edgedistill.pipeline.export import export
from tests.apps.java_runtime import fetch
from tests.tools import needs


@pytest.mark.long
@pytest.mark.clients
@needs("javac", "gcc")
def test_every_golden_is_answered_in_java_and_a_wrong_one_is_found(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = fetch(tmp_path)
    for name, value in runtime.environment.items():
        monkeypatch.setenv(name, value)
    artifact = export(tiny_bert, target="onnx", scheme="int8_weight", out=tmp_path / "artifact")
    cfg = android.Config(java_runtime=runtime.jar)
    (tmp_path / "dist").mkdir()
    made = project.write(artifact, read_manifest(artifact), tmp_path / "dist", cfg)
    found = {one.name: one for one in jvm.checks(made, read_manifest(artifact), cfg)}
    assert {one.status for one in found.values()} == {"passed"}
    assert found["answers"].goldens > 50
    assert found["answers"].where.startswith("Java on this computer, ONNX Runtime 1.")
    other = export(tiny_bert, target="onnx", scheme="fp32", out=tmp_path / "other")
    model = made.manifest.parent / "model.onnx"
    model.write_bytes((other / "model.onnx").read_bytes())
    refused = {one.name: one for one in jvm.checks(made, read_manifest(artifact), cfg)}["answers"]
    assert refused.status == "failed"
    assert "is not the file the manifest names" in refused.reason
