"""The LiteRT target: one file, a signature per length, shared weights."""

from contextlib import nullcontext

import numpy as np
import pytest

from edgedistill.errors import ArtifactError, DataError, ExportError, MissingExtraError
from edgedistill.models.answers import torch_runner
from edgedistill.models.views import view_of
from edgedistill.targets import tflite as target
from tests.models.test_bilstm import model_of as bilstm_of
from tests.support import tiny_model
from tests.targets.test_onnx import FAMILIES_AND_HEADS, batch_for, largest_difference, lively, manifest_of

pytest.importorskip("litert_torch", reason="the extra tflite is not installed")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A MobileBERT tagger (per-token outputs) in two lengths."""
    model = lively("mobilebert", "tokens", layers=2, hidden=32)
    folder = tmp_path_factory.mktemp("fp32")
    return model, folder, target.export(view_of(model), target.Config(max_length=32, lengths=(8, 32)), folder)


def test_answers_as_pytorch_in_every_bucket(exported, tmp_path):
    model, folder, written = exported
    inputs = batch_for(model)
    assert {bool(row.sum() > 8) for row in inputs["attention_mask"]} == {True, False}, "both buckets are used"
    ours = target.runner(folder, manifest_of(written, tmp_path))(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


def test_graphs_say_what_the_file_holds(exported):
    _, _, written = exported
    assert [path.name for path in written.model_files] == ["model.tflite"]
    assert [(g.name, g.signature, g.length) for g in written.graphs] == [
        ("length_8", "length_8", 8),
        ("length_32", "length_32", 32),
    ]
    graph = written.graphs[1]
    assert [(t.name, t.dtype, t.shape) for t in graph.inputs] == [
        (name, "int32", (1, 32)) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(t.name, t.dtype, t.shape) for t in graph.outputs] == [("logits", "float32", (1, 32, 2))]
    assert written.driver.graphs == ("length_8", "length_32")
    told = {each.accelerator: each for each in written.delegations}
    assert set(told) == {
        f"{gpu}, length_{length}" for gpu in ("TFLite GPU delegate", "LiteRT GPU (ML Drift)") for length in (8, 32)
    }
    assert told["TFLite GPU delegate, length_8"].first_left.startswith("RESHAPE '"), "of token ids: no floats"
    assert all(each.delegated + len(each.left) == each.nodes for each in written.delegations)


def test_too_long_a_text_is_refused(exported, tmp_path):
    _, folder, written = exported
    inputs = {name: np.ones((1, 33), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    with pytest.raises(DataError, match="33 tokens; the model takes 32"):
        target.runner(folder, manifest_of(written, tmp_path))(inputs)


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_damaged_file_is_refused(exported, tmp_path, damage):
    _, _, written = exported
    manifest = manifest_of(written, tmp_path)
    if damage == "other":
        (tmp_path / "model.tflite").write_bytes(b"no flatbuffer" * 50)
    with pytest.raises(ArtifactError, match=r"model\.tflite"):
        target.runner(tmp_path, manifest)


def test_old_runtime_is_told_what_it_gets_wrong(exported, tmp_path, monkeypatch):
    from edgedistill.targets.tflite import runtime

    _, folder, written = exported
    monkeypatch.setattr(runtime, "RUNTIME", "tflite-runtime")
    monkeypatch.setattr(runtime, "version", lambda _name: "2.14.0")
    manifest = manifest_of(written, tmp_path, "int8_dynamic")
    with pytest.warns(UserWarning, match=r"int8_dynamic on tflite-runtime 2\.14\.0.*int8_weight") as told:
        target.runner(folder, manifest)
    assert len(told) == 1


def test_missing_converter_names_its_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "edgedistill.targets.tflite.convert", None)
    monkeypatch.delattr(target, "convert", raising=False)
    with pytest.raises(MissingExtraError, match=r"edgedistill\[tflite\]"):
        target.export(view_of(tiny_model(layers=1)), target.Config(), tmp_path)


def test_more_positions_than_the_model_has_are_refused(tmp_path):
    with pytest.raises(ExportError, match="max_length is 256; the model has only 128 positions"):
        target.export(view_of(tiny_model(layers=1)), target.Config(max_length=256), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fp32", "int8_dynamic"])
def test_four_buckets_weigh_and_answer_as_one(scheme, tmp_path):
    """Weights are stored once: four lengths cost at most a fifth more than one, and give the same answers."""
    model = lively("bert", layers=2, hidden=128, vocab_size=8000)
    sizes, answers = [], []
    inputs = batch_for(model)
    for lengths in ((64,), (16, 24, 32, 64)):
        folder = tmp_path / str(len(lengths))
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=64, lengths=lengths, scheme=scheme), folder)
        sizes.append((folder / "model.tflite").stat().st_size)
        manifest = manifest_of(written, tmp_path / f"manifest-{len(lengths)}", scheme)
        answers.append(target.runner(folder, manifest)(inputs))
    assert sizes[1] <= 1.2 * sizes[0]
    limit = 1e-5 if scheme == "fp32" else 0.02
    assert largest_difference(answers[1], answers[0], inputs["attention_mask"]) < limit


@pytest.mark.long
@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert", "roberta", "albert", "electra", "bilstm"])
def test_the_decomposition_that_is_left_out_changes_no_byte(family, tmp_path, monkeypatch):
    """litert-torch decomposes every graph twice; here once."""
    from edgedistill.targets.tflite import convert

    model = bilstm_of() if family == "bilstm" else lively(family, layers=1, hidden=32)
    files = {}
    for name, how in (("once", convert.taken_apart_once), ("twice", nullcontext)):
        monkeypatch.setattr(convert, "taken_apart_once", how)
        convert._convert(view_of(model.eval()).pieces, (8, 16), tmp_path / name)
        files[name] = (tmp_path / name).read_bytes()
    assert files["once"] == files["twice"]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "head"), FAMILIES_AND_HEADS)
def test_every_family_and_head_in_every_scheme(family, head, tmp_path):
    model = lively(family, head, layers=2, hidden=64)
    inputs = batch_for(model)
    theirs = torch_runner(model)(inputs)
    for scheme, limit in (("fp32", 1e-5), ("fp16", 2e-2), ("int8_weight", 0.2), ("int8_dynamic", 0.3)):
        folder = tmp_path / scheme
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=32, lengths=(32,), scheme=scheme), folder)
        ours = target.runner(folder, manifest_of(written, tmp_path / f"{scheme}-manifest", scheme))(inputs)
        assert largest_difference(ours, theirs, inputs["attention_mask"]) < limit, scheme
