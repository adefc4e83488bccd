"""The ONNX target: what it writes, and that it answers as PyTorch does."""

import numpy as np
import onnx
import pytest
import torch

from edgedistill.artifacts import Manifest
from edgedistill.config import build
from edgedistill.data.encoding import encode, pad
from edgedistill.errors import ArtifactError, ConfigError, DataError, ExportError
from edgedistill.models.answers import torch_runner
from edgedistill.models.views import view_of
from edgedistill.runner import is_per_token
from edgedistill.targets import onnx as target
from edgedistill.targets.onnx import convert
from tests.made import write_artifact
from tests.support import sentences, tiny_model, tiny_tokenizer

TEXTS = [text for text, _ in sentences(6)]


def manifest_of(exported, folder, scheme="fp32") -> Manifest:
    """A manifest that runs what was exported."""
    from edgedistill.artifacts import read_manifest

    made = read_manifest(write_artifact(folder))
    return made.model_copy(update={"graphs": exported.graphs, "driver": exported.driver, "scheme": scheme})


def lively(*args, **kwargs):
    """A tiny model whose parameters are all different, and whose answers are of a trained model's size.

    The random weights of `tiny_model` give MobileBERT, which normalises nothing, attention scores beyond any mask.
    """
    model = tiny_model(*args, **kwargs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = name.endswith("LayerNorm.weight") or "layer_norm.weight" in name
            parameter.copy_(1 + 0.1 * noise if is_gain else 0.15 * noise)
        # The stock MobileBERT, unlike the view, lets a PAD row that is not zero into the last token's trigram.
        model.get_input_embeddings().weight[model.config.pad_token_id] = 0
    return model


def batch_for(model):
    encodings = encode(tiny_tokenizer().backend_tokenizer, TEXTS)
    return pad(encodings, pad_id=model.config.pad_token_id)


def largest_difference(ours, theirs, mask):
    """Largest difference on real tokens, relative to the largest answer, over all outputs."""
    assert list(ours) == list(theirs)
    worst = 0.0
    for name in theirs:
        real = mask.astype(bool) if is_per_token(name, theirs[name]) else slice(None)
        a, b = ours[name][real], theirs[name][real]
        worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    return worst


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A MobileBERT classifier with dynamic axes."""
    model = lively("mobilebert", layers=2, hidden=64, heads=2)
    folder = tmp_path_factory.mktemp("dynamic")
    return model, folder, target.export(view_of(model), target.Config(max_length=64), folder)


def test_answers_as_pytorch_at_any_batch_and_length(exported, tmp_path):
    model, folder, written = exported
    run, inputs = target.runner(folder, manifest_of(written, tmp_path)), batch_for(model)
    for rows in (slice(0, 6), slice(2, 3)):
        cut = {name: value[rows] for name, value in inputs.items()}
        assert largest_difference(run(cut), torch_runner(model)(cut), cut["attention_mask"]) < 1e-5
    one = {name: value[:1, :1] for name, value in inputs.items()}
    assert largest_difference(run(one), torch_runner(model)(one), one["attention_mask"]) < 1e-5


def test_graph_says_what_the_file_holds(exported):
    _, folder, written = exported
    (graph,) = written.graphs
    assert [(t.name, t.dtype, t.shape) for t in graph.inputs] == [
        (name, "int64", ("batch", "length")) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(t.name, t.dtype, t.shape) for t in graph.outputs] == [("logits", "float32", ("batch", 2))]
    model = onnx.load(folder / graph.file)
    assert (model.opset_import[0].version, written.opset) == (20, 20)
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Where", "IsNaN", "Expand", "If", "Loop"}, "the clean graph the view is there for"
    assert {node.domain for node in model.graph.node} == {""}


def test_file_tells_nothing_of_the_machine_it_was_made_on(exported):
    _, folder, _ = exported
    content = (folder / "model.onnx").read_bytes()
    assert b"stack_trace" not in content
    assert b"/site-packages/" not in content
    assert str(folder).encode() not in content


def test_weights_have_names_that_people_know(exported):
    _, folder, _ = exported
    names = {tensor.name for tensor in onnx.load(folder / "model.onnx").graph.initializer}
    assert "body.layers.1.query.weight" in names


def test_too_long_a_batch_is_refused(exported, tmp_path):
    _, folder, written = exported
    manifest = manifest_of(written, tmp_path)
    short = manifest.model_copy(update={"tokenizer": manifest.tokenizer.model_copy(update={"max_length": 8})})
    inputs = {name: np.ones((1, 9), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    with pytest.raises(DataError, match="9 tokens long; the model takes 8"):
        target.runner(folder, short)(inputs)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_file_is_refused(exported, tmp_path, damage):
    _, folder, written = exported
    manifest = manifest_of(written, tmp_path)
    if damage == "missing":
        (tmp_path / "model.onnx").unlink()
    else:
        (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        target.runner(tmp_path, manifest)


@pytest.mark.slow
def test_fixed_lengths_share_their_weights_and_answer_alike(tmp_path):
    model = lively("bert", "span", layers=1, hidden=32)
    written = target.export(view_of(model), target.Config(max_length=64, lengths=(16, 32, 64)), tmp_path / "")
    assert [graph.length for graph in written.graphs] == [16, 32, 64]
    assert written.graphs[0].inputs[0].shape == (1, 16)
    assert written.graphs[2].outputs[0].shape == (1, 64)
    assert [path.name for path in written.model_files] == [
        "weights.bin",
        "model-16.onnx",
        "model-32.onnx",
        "model-64.onnx",
    ]
    inputs = batch_for(model)
    manifest = manifest_of(written, tmp_path / "manifest")
    ours = target.runner(tmp_path, manifest)(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5
    longest = {name: np.ones((1, 65), np.int64) for name in inputs}
    with pytest.raises(DataError, match="65 tokens; the model takes 64"):
        target.runner(tmp_path, manifest)(longest)


def test_more_positions_than_the_model_has_are_refused(tmp_path):
    with pytest.raises(ExportError, match="max_length is 256; the model has only 128 positions"):
        target.export(view_of(tiny_model(layers=1)), target.Config(max_length=256), tmp_path)


@pytest.mark.parametrize("longest", [32, 128])
def test_fixed_lengths_end_at_the_longest_input(longest):
    assert build(target.Config, {"target": "onnx", "lengths": [16, 64]}, "export").max_length == 64
    with pytest.raises(ConfigError, match=f"longest of lengths is 64, max_length {longest}: set them alike"):
        build(target.Config, {"target": "onnx", "lengths": [16, 64], "max_length": longest}, "export")


IN_CI = {("sequence", family) for family in ("albert", "distilbert", "mobilebert", "roberta")}
FAMILIES_AND_HEADS = [
    pytest.param(family, head, marks=() if family == "bert" or (head, family) in IN_CI else pytest.mark.long)
    for family in ("albert", "bert", "distilbert", "electra", "mobilebert", "roberta")
    for head in ("sequence", "span", "tokens", "bare")
]
"""Heads are one code for all families, and ELECTRA's layers are BERT's: every pair is tried in the long tests."""


@pytest.mark.slow
@pytest.mark.parametrize(("family", "head"), FAMILIES_AND_HEADS)
def test_every_family_and_head_in_every_scheme(family, head, tmp_path):
    model = lively(family, head, layers=2, hidden=64)
    inputs = batch_for(model)
    theirs = torch_runner(model)(inputs)
    for scheme, limit in (("fp32", 1e-5), ("fp16", 1e-2), ("int8_weight", 0.2), ("int8_dynamic", 0.3)):
        folder = tmp_path / scheme
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=64, scheme=scheme), folder)
        ours = target.runner(folder, manifest_of(written, tmp_path / f"{scheme}-manifest", scheme))(inputs)
        assert largest_difference(ours, theirs, inputs["attention_mask"]) < limit, scheme


@pytest.mark.slow
def test_older_opset_answers_alike(tmp_path):
    model = lively(layers=1)
    written = target.export(view_of(model), target.Config(max_length=64, opset=18), tmp_path)
    inputs = batch_for(model)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == written.opset == 18
    ours = target.runner(tmp_path, manifest_of(written, tmp_path / "manifest"))(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


@pytest.fixture(scope="module")
def for_accelerators(tmp_path_factory):
    model = lively("mobilebert", layers=1, hidden=64, heads=2)
    folder = tmp_path_factory.mktemp("accelerator")
    return model, folder, target.export(view_of(model), target.Config(max_length=32, form="accelerator"), folder)


def test_accelerator_form_has_fixed_shapes_and_standard_operators(for_accelerators, tmp_path):
    model, folder, written = for_accelerators
    graph = onnx.load(folder / "model.onnx")
    assert [opset.domain for opset in graph.opset_import] == [""]
    assert not {node.op_type for node in graph.graph.node} & {"Shape", "ConstantOfShape", "Range"}
    assert [(tensor.dtype, tensor.shape) for tensor in written.graphs[0].inputs] == [("int32", (1, 32))] * 3
    inputs = {name: value[:, :32] for name, value in batch_for(model).items()}
    ours = target.runner(folder, manifest_of(written, tmp_path))(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


def test_checker_tells_what_each_accelerator_takes(for_accelerators):
    _, _, written = for_accelerators
    found = {each.accelerator: each for each in written.delegations}
    assert set(found) == {"NNAPI", "Core ML, ML program", "Core ML, neural network", "QNN"}
    assert found["QNN"].unsupported == ()
    assert "documentation" in found["QNN"].source
    for each in found.values():
        assert 0 < each.delegated <= each.nodes
        assert (each.delegated == each.nodes) == (not each.unsupported)
        assert each.delegated + len(each.left) == each.nodes
        assert "usability checker" in each.source


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [("int8_dynamic", "does not do scheme 'int8_dynamic'"), ("w8a16", "Give --set opset=21")],
)
def test_accelerators_get_no_operators_of_onnx_runtimes_own(scheme, reason, tmp_path):
    with pytest.raises(ExportError, match=reason):
        target.export(view_of(tiny_model(layers=1)), target.Config(scheme=scheme, form="accelerator"), tmp_path)


def test_weights_too_large_for_one_message_lie_beside_the_model(exported, tmp_path):
    model, folder, written = exported
    paths, graphs = convert._written(
        onnx.load(folder / "model.onnx"), "model", target.Config(external_above=1000), tmp_path
    )
    assert [path.name for path in paths] == ["weights.bin", "model.onnx"]
    assert tuple(graphs) == written.graphs
    assert (tmp_path / "model.onnx").stat().st_size < 0.5 * (tmp_path / "weights.bin").stat().st_size
    inputs = batch_for(model)
    ours = target.runner(tmp_path, manifest_of(written, tmp_path / "manifest"))(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


def test_accelerator_form_has_one_length(tmp_path):
    cfg = target.Config(form="accelerator", lengths=(16, 32))
    with pytest.raises(ExportError, match="one length; lengths are \\(16, 32\\)"):
        target.export(view_of(tiny_model(layers=1)), cfg, tmp_path)


@pytest.mark.slow
def test_onnx_runtimes_own_format_answers_alike(exported, tmp_path):
    model = exported[0]
    for scheme, limit in (("fp32", 1e-5), ("int8_weight", 0.2)):
        folder = tmp_path / scheme
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=64, scheme=scheme, format="ort"), folder)
        assert [path.name for path in folder.iterdir()] == [path.name for path in written.model_files] == ["model.ort"]
        assert (folder / "model.ort").read_bytes()[4:8] == b"ORTM"
        inputs = batch_for(model)
        ours = target.runner(folder, manifest_of(written, tmp_path / f"{scheme}-manifest", scheme))(inputs)
        assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < limit


@pytest.mark.slow
def test_what_onnx_runtimes_own_format_cannot_hold_is_refused(exported, tmp_path):
    view = view_of(exported[0])
    with pytest.raises(ExportError, match=r"shares no weights between files; lengths are \(16, 64\)"):
        target.export(view, target.Config(max_length=64, lengths=(16, 64), format="ort"), tmp_path)
    with pytest.raises(ExportError, match="knows no such files"):
        target.export(view, target.Config(max_length=64, external_above=0, format="ort"), tmp_path)
