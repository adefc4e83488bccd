"""The Core ML target: what it writes on any system, what can be said of it there, and what cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgedistill import check, export, package
from edgedistill.artifacts import Manifest, read_manifest
from edgedistill.errors import ArtifactError, ExportError, MissingExtraError, NoRuntimeError, UnprovenError
from edgedistill.gate.case import read_goldens
from edgedistill.models.views import cut_view_of, view_of
from edgedistill.pipeline.shape_clocks import clock_of
from edgedistill.targets import coreml as target
from tests.support import tiny_model
from tests.targets.test_onnx import lively, manifest_of

NAMES = ("input_ids", "attention_mask", "token_type_ids")
SPECIFICATION = "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture(scope="session")
def artifact(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of any length, 8-bit weights, with its verdict."""
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    out = tmp_path_factory.mktemp("coreml") / "artifact"
    export(tiny_bert, target="coreml", scheme="int8_weight", out=out, settings=["max_length=32"])
    check(out)
    return out


@pytest.fixture
def copy(artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact, tmp_path / "copy"))


def faults(folder: Path, manifest: Manifest) -> set[str]:
    return {fault.name for fault in target.structure(folder, manifest).findings}


@pytest.mark.slow
def test_the_artifact_says_what_the_package_holds(artifact: Path) -> None:
    manifest = read_manifest(artifact)
    (graph,) = manifest.graphs
    assert (graph.file, graph.signature, graph.length, graph.shortest) == ("model.mlpackage", "main", None, 4)
    assert [(t.name, t.dtype, t.shape) for t in graph.inputs] == [(name, "int32", (1, "length")) for name in NAMES]
    assert [(t.name, t.dtype, t.shape) for t in graph.outputs] == [("logits", "float32", (1, 2))]
    assert (manifest.needs, manifest.scheme) == ("iOS 16, macOS 13", "int8_weight")
    listed = {entry.path for entry in manifest.files if entry.role == "model"}
    assert listed == {"model.mlpackage/Manifest.json", SPECIFICATION, WEIGHTS}
    assert all(golden.artifact is None for golden in read_goldens(artifact)), "nothing here could ask it"
    assert {golden.tolerance["logits"] > 0 for golden in read_goldens(artifact)} == {True}


@pytest.mark.slow
def test_the_gate_judges_what_it_can_and_passes_nothing_else(artifact: Path) -> None:
    verdict = check(artifact, write=False)
    found = {rung.name: rung for rung in verdict.rungs}
    assert verdict.status == "inconclusive"
    assert (found["files"].status, found["structure"].status, found["tokenizer"].status) == ("passed",) * 3
    shares = {one.name: one.value for one in found["structure"].measures}
    assert shares["share of matrices in int8"] == 1
    numeric = found["student_to_artifact"]
    assert (numeric.status, [one.name for one in numeric.findings]) == ("not_run", ["runs_elsewhere"])
    assert "Core ML runs on Apple's systems only" in numeric.reason
    assert found["padding_and_batch"].status == "not_run"


@pytest.mark.slow
def test_a_package_of_it_must_be_asked_for_and_says_what_it_is(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(UnprovenError, match="--prove-on-device"):
        package(artifact, out=tmp_path / "dist")
    out = package(artifact, out=tmp_path / "dist", prove_on_device=True)
    assert (out / WEIGHTS).is_file()
    assert json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["verdict"]["status"] == "inconclusive"


@pytest.mark.slow
def test_a_package_that_is_not_what_the_manifest_says_is_named(copy: Path) -> None:
    manifest = read_manifest(copy)
    assert faults(copy, manifest) == set()
    (graph,) = manifest.graphs
    output = graph.outputs[0].model_copy(update={"name": "scores"})
    renamed = graph.model_copy(update={"outputs": (output,)})
    elsewhere = graph.model_copy(update={"signature": "length_32"})
    assert faults(copy, manifest.model_copy(update={"graphs": (renamed,)})) == {"other_interface"}
    assert faults(copy, manifest.model_copy(update={"graphs": (elsewhere,)})) == {"missing_function"}
    assert faults(copy, manifest.model_copy(update={"scheme": "fp32"})) == {"other_weights"}
    (copy / WEIGHTS).write_bytes(b"")
    assert faults(copy, manifest) == {"truncated_weights"}


@pytest.mark.slow
def test_a_mask_that_16_bits_cannot_hold_is_named(copy: Path) -> None:
    from coremltools.proto import MIL_pb2

    from edgedistill.targets.coreml.package import specification

    found = specification(copy / "model.mlpackage")
    main = found.mlProgram.functions["main"]
    constants = [one for one in main.block_specializations[main.opset].operations if one.type == "const"]
    stored = [one.attributes["val"] for one in constants]
    halves = [one for one in stored if one.type.tensorType.dataType == MIL_pb2.FLOAT16]
    held = next(one.immediateValue.tensor.bytes for one in halves if one.immediateValue.tensor.bytes.values)
    held.values = np.full(len(held.values) // 2, -np.inf, np.float16).tobytes()
    (copy / SPECIFICATION).write_bytes(found.SerializeToString())
    assert faults(copy, read_manifest(copy)) == {"not_finite"}


@pytest.mark.slow
@pytest.mark.parametrize("damage", [None, b"no protobuf", b""])
def test_a_damaged_package_is_refused(copy: Path, damage: bytes | None) -> None:
    path = copy / SPECIFICATION
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(ArtifactError, match="Export it again"):
        target.structure(copy, read_manifest(copy))


@pytest.mark.slow
def test_off_a_mac_nothing_runs_it_and_on_one_core_ml_does(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half with a double of coremltools' model: no Mac has run this."""
    from edgedistill.targets.coreml import runtime

    monkeypatch.setattr(target.sys, "platform", "linux")
    manifest = read_manifest(artifact)
    with pytest.raises(NoRuntimeError, match="Core ML runs on Apple's systems only, and this is linux"):
        target.runner(artifact, manifest)
    asked = []

    def predict(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        asked.append({name: (value.dtype.name, value.shape) for name, value in inputs.items()})
        return {"logits": np.array([[1.0, 2.0]])}

    monkeypatch.setattr(target.sys, "platform", "darwin")
    double = SimpleNamespace(predict=predict)
    monkeypatch.setattr(runtime.coremltools.models, "MLModel", lambda _path, function_name: double)
    inputs = {name: np.ones((2, 3), np.int64) for name in NAMES}
    answers = target.runner(artifact, manifest)(inputs)
    assert answers["logits"].tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert asked == [dict.fromkeys(NAMES, ("int32", (1, 4)))] * 2


def test_no_shapes_are_converted_where_nothing_can_time_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target.sys, "platform", "linux")
    with pytest.raises(NoRuntimeError, match="this is linux"):
        clock_of("host", "coreml", 8, 1, 0, None, None, None)


@pytest.mark.parametrize(("family", "words"), [("bilstm", "BiLSTMs"), ("fastbert", "set exits=false")])
def test_what_does_not_fit_is_refused_with_what_does(family: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    view = SimpleNamespace(
        kind="single", max_positions=128, max_unrolled=64 if family == "bilstm" else None, pieces=(None, None)
    )
    with pytest.raises(ExportError, match=words):
        target.export(view, target.Config(), tmp_path)


def test_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "edgedistill.targets.coreml.convert", None)
    monkeypatch.delattr(target, "convert", raising=False)
    with pytest.raises(MissingExtraError, match=r"edgedistill\[coreml\]"):
        target.export(view_of(tiny_model(layers=1)), target.Config(), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "head"),
    [("bert", "sequence"), ("bert", "span"), ("distilbert", "bare"), ("mobilebert", "tokens"), ("roberta", "tokens")],
)
@pytest.mark.parametrize("scheme", target.SCHEMES)
def test_families_and_heads_in_every_scheme(family: str, head: str, scheme: str, tmp_path: Path) -> None:
    """Any length, then functions over one copy of the weights."""
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    view, sizes = cut_view_of(lively(family, head, layers=1, hidden=64, vocab_size=2000)), []
    for lengths in ((32,), (16, 32), ()):
        folder = tmp_path / str(len(lengths))
        folder.mkdir()
        settings = target.Config(max_length=32, scheme=scheme, lengths=lengths)
        written = target.export(view, settings, folder)
        manifest = manifest_of(written, tmp_path / f"manifest-{len(lengths)}", scheme)
        assert faults(folder, manifest) == set()
        sizes.append((folder / WEIGHTS).stat().st_size)
    assert sizes[1] <= 1.1 * sizes[0]
