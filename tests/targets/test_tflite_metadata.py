"""Vocabulary and labels in a .tflite file: packed where MediaPipe and Task Library can read them, and only there."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgedistill import export
from edgedistill.artifacts import read_manifest
from edgedistill.gate.files import files_rung
from edgedistill.targets import tflite as target
from tests.made import write_artifact

pytest.importorskip("litert_torch", reason="the extra tflite is not installed")


@pytest.mark.slow
def test_a_classifier_of_one_length_holds_its_words_and_labels(tiny_bert: Path, tmp_path: Path) -> None:
    """What the libraries themselves make of it is tried by test_clients."""
    folder = export(
        tiny_bert,
        target="tflite",
        scheme="int8_dynamic",
        out=tmp_path / "a",
        settings=["max_length=16", "lengths=[16]"],
    )
    manifest, path = read_manifest(folder), folder / "model.tflite"
    assert manifest.packed == ("vocab.txt", "labels.txt")
    with zipfile.ZipFile(path) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {
            name: (folder / name).read_bytes() for name in manifest.packed
        }
    content = path.read_bytes()
    for word in (b"TFLITE_METADATA", b"M001", b"segment_ids", b"probability"):
        assert word in content
    assert files_rung(folder, manifest).status == "passed"
    inputs = {name: np.ones((1, 5), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert target.runner(folder, manifest)(inputs)["logits"].shape == (1, 2)


@pytest.mark.parametrize("change", ["several lengths", "regression", "no word list"])
def test_what_those_libraries_do_not_read_is_left_as_it_is(change: str, tmp_path: Path) -> None:
    manifest = read_manifest(write_artifact(tmp_path, target="tflite"))
    graph = manifest.graphs[0]
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = tuple(graph.inputs[0].model_copy(update={"name": name}) for name in names)
    graphs = (graph.model_copy(update={"inputs": inputs}),) * (2 if change == "several lengths" else 1)
    task = manifest.task.model_copy(update={"kind": "regression" if change == "regression" else "single"})
    spec = manifest.tokenizer.model_copy(update={"file": "tokenizer.json" if change == "no word list" else "vocab.txt"})
    before = (tmp_path / "model.onnx").read_bytes()
    made = target.finish(tmp_path, manifest.model_copy(update={"graphs": graphs, "task": task, "tokenizer": spec}))
    assert made.packed == ()
    assert (tmp_path / "model.onnx").read_bytes() == before


@pytest.mark.parametrize(("packed", "fault"), [(b"x\n", "other_packed_file"), (None, "broken_packed_files")])
def test_other_words_in_the_model_file_are_named(packed: bytes | None, fault: str, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path, packed=("labels.txt",))
    if packed is not None:
        with zipfile.ZipFile(folder / "model.onnx", mode="a") as file:
            file.writestr("labels.txt", packed)
    found = {one.name for one in files_rung(folder, read_manifest(folder)).findings}
    assert fault in found
