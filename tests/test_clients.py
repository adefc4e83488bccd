"""The clients that are known: who fails where has one home, which the measured table agrees with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedistill.clients import CLIENTS, refuse_clients
from edgedistill.errors import ExportError, UnknownNameError
from edgedistill.pipeline.export import export
from edgedistill.pipeline.package import package
from tests.made import write_artifact, write_verdict

MEASURED = Path(__file__).parents[1] / "docs" / "results" / "clients.json"


def test_what_was_measured_to_fail_is_listed_and_nothing_else() -> None:
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    failed = {(row["client"], row["scheme"]) for row in rows if not row["works"]}
    assert failed == {(client.name, scheme) for client in CLIENTS.values() for scheme in client.fails}
    assert {row["client"] for row in rows} <= set(CLIENTS)


@pytest.mark.parametrize(
    ("name", "target", "scheme", "words"),
    [
        ("tflite-runtime", "tflite", "int8_dynamic", "wrong answers without an error.*--scheme int8_weight"),
        ("onnxruntime", "tflite", "fp32", "does not read target 'tflite'. It reads: onnx"),
        ("mediapipe", "tflite", "fp32", "--length 128"),
    ],
)
def test_a_client_that_fails_is_refused_with_what_to_do(name: str, target: str, scheme: str, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        refuse_clients([name], target, scheme, reads_text=False)


def test_a_client_that_works_is_not_refused() -> None:
    refuse_clients(["tflite-runtime", "ai-edge-litert"], "tflite", "int8_weight", reads_text=False)
    refuse_clients(["mediapipe"], "tflite", "fp32", reads_text=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'mediapipe'"):
        refuse_clients(["mediapip"], "tflite", "fp32", reads_text=True)


def test_export_refuses_before_anything_is_made(tmp_path: Path) -> None:
    settings = {"target": "tflite", "scheme": "int8_dynamic", "clients": ["tflite-runtime"]}
    with pytest.raises(ExportError, match=r"int8_dynamic fails in tflite-runtime 2\.14\.0"):
        export(tmp_path / "nothing", out=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_package_refuses_an_artifact_that_fails_in_the_apps_client(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact", target="tflite", scheme="int8_dynamic")
    write_verdict(folder)
    with pytest.raises(ExportError, match="int8_dynamic fails in tflite-runtime"):
        package(folder, out=tmp_path / "dist", clients=["tflite-runtime"])
    assert package(folder, out=tmp_path / "dist", clients=["ai-edge-litert"]).is_dir()
