"""The manifest: read strictly, five ways to drive a model, and no path that leaves its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgedistill import reports
from edgedistill.artifacts import (
    Buckets,
    Cascade,
    Exit,
    Graph,
    Head,
    Heads,
    Manifest,
    Seq2Seq,
    Single,
    State,
    Tensor,
    read_manifest,
    resolve_inside,
)
from edgedistill.errors import ArtifactError
from tests.made import write_artifact


def edited(folder: Path, **changes: Any) -> Path:
    """The artifact with fields of its manifest's JSON replaced."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "driver",
    [
        Single(graph="main"),
        Buckets(graphs=("s32", "s128")),
        Cascade(exits=(Exit(graphs=("a",), threshold=0.3), Exit(graphs=("b",), threshold=1.0))),
        Heads(graphs=("main",), heads=(Head(name="sst2", output="logits_sst2", kind="single", labels=("no", "yes")),)),
        Seq2Seq(encoder="encoder", decoder="step", start_id=101, end_id=102, pad_id=0, max_new_tokens=32),
    ],
    ids=lambda driver: driver.kind,
)
def test_every_way_to_run_a_model_survives_the_file(tmp_path: Path, driver: Any) -> None:
    step = Graph(
        name="step",
        file="model.onnx",
        inputs=(Tensor(name="past", dtype="float32", shape=(1, "past", 8)),),
        outputs=(),
        state=(State(output="present", input="past"),),
    )
    folder = write_artifact(tmp_path / "artifact", driver=driver, graphs=(step,))
    manifest = read_manifest(folder)
    assert manifest.driver == driver
    assert manifest.graphs == (step,)


def test_a_graph_that_is_not_there_is_named(tmp_path: Path) -> None:
    manifest = read_manifest(write_artifact(tmp_path / "artifact"))
    assert manifest.graph("main").file == "model.onnx"
    with pytest.raises(ArtifactError, match="'other'"):
        manifest.graph("other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "has schema version 2; this edgedistill reads 1"),
        ({"schema_version": None}, "has schema version None"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"target": 3}, "target: Input should be a valid string"),
        ({"driver": {"kind": "magic"}}, "driver"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = edited(write_artifact(tmp_path / "artifact"), **changes)
    with pytest.raises(ArtifactError, match="Export it again") as caught:
        read_manifest(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"', "null"])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_a_folder_without_manifest_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ArtifactError, match=r"is no artifact.*edgedistill export STUDENT"):
            read_manifest(place)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="outside the folder"):
        resolve_inside(tmp_path, name)


def test_size_counts_model_files_only(tmp_path: Path) -> None:
    manifest = read_manifest(write_artifact(tmp_path / "artifact"))
    assert manifest.model_size_bytes == 700


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 9}', "\x00"])
def test_a_broken_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "parity.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a readable Manifest"):
        reports.read(Manifest, tmp_path / "parity.json")
    with pytest.raises(ArtifactError, match="no file"):
        reports.read(Manifest, tmp_path / "none.json")
