"""The ExecuTorch target: one program, any length, what XNNPACK takes of it."""

import numpy as np
import pytest

from edgedistill.errors import ArtifactError, DataError, ExportError, MissingExtraError
from edgedistill.models.answers import torch_runner
from edgedistill.models.views import view_of
from edgedistill.targets import executorch as target
from tests.support import tiny_model
from tests.targets.test_onnx import batch_for, largest_difference, lively, manifest_of


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A MobileBERT tagger (per-token outputs) of any length."""
    pytest.importorskip("executorch", reason="the extra executorch is not installed")
    model = lively("mobilebert", "tokens", layers=1, hidden=32)
    folder = tmp_path_factory.mktemp("fp32")
    return model, folder, target.export(view_of(model), target.Config(max_length=32), folder)


@pytest.mark.slow
def test_answers_as_pytorch_text_by_text(exported, tmp_path):
    model, folder, written = exported
    inputs = batch_for(model)
    ours = target.runner(folder, manifest_of(written, tmp_path))(inputs)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


@pytest.mark.slow
def test_a_text_shorter_than_any_the_method_takes(exported, tmp_path):
    model, folder, written = exported
    inputs = {name: np.array([[2, 3]]) for name in ("input_ids", "token_type_ids")} | {
        "attention_mask": np.ones((1, 2))
    }
    inputs["token_type_ids"] = np.zeros((1, 2), np.int64)
    inputs["attention_mask"] = inputs["attention_mask"].astype(np.int64)
    ours = target.runner(folder, manifest_of(written, tmp_path))(inputs)
    assert ours["logits"].shape == (1, 2, 2)
    assert largest_difference(ours, torch_runner(model)(inputs), inputs["attention_mask"]) < 1e-5


@pytest.mark.slow
def test_graphs_say_what_the_file_holds(exported):
    _, _, written = exported
    assert [path.name for path in written.model_files] == ["model.pte"]
    (graph,) = written.graphs
    assert (graph.name, graph.signature, graph.length, graph.shortest) == ("model", "model", None, 4)
    assert [(t.name, t.dtype, t.shape) for t in graph.inputs] == [
        (name, "int64", (1, "length")) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(t.name, t.dtype, t.shape) for t in graph.outputs] == [("logits", "float32", (1, "length", 2))]
    found, *others = written.delegations
    assert [(each.accelerator, each.first_left) for each in others][:1] == [("Vulkan", "")]
    assert others[1].accelerator == "Qualcomm"
    assert others[1].delegated > 0.9 * others[1].nodes
    assert found.accelerator == "XNNPACK, model"
    assert 0.5 < found.delegated / found.nodes < 1
    assert found.partitions > 0
    assert any(left.startswith("aten::embedding (") for left in found.unsupported)
    counts = [int(left.rpartition("(")[2].removesuffix(")")) for left in found.unsupported]
    assert found.delegated + sum(counts) == found.nodes


@pytest.mark.slow
def test_too_long_a_text_is_refused(exported, tmp_path):
    _, folder, written = exported
    inputs = {name: np.ones((1, 33), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    with pytest.raises(DataError, match="refuses a text of 33 tokens"):
        target.runner(folder, manifest_of(written, tmp_path))(inputs)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "other", "cut"])
def test_damaged_file_is_refused(exported, tmp_path, damage):
    _, folder, written = exported
    manifest = manifest_of(written, tmp_path)
    whole = (folder / "model.pte").read_bytes()
    if damage != "missing":
        (tmp_path / "model.pte").write_bytes(b"no flatbuffer" * 50 if damage == "other" else whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"model\.pte"):
        target.runner(tmp_path, manifest)


def test_missing_package_names_its_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "edgedistill.targets.executorch.convert", None)
    monkeypatch.delattr(target, "convert", raising=False)
    with pytest.raises(MissingExtraError, match=r"edgedistill\[executorch\]"):
        target.export(view_of(tiny_model(layers=1)), target.Config(), tmp_path)


def test_more_positions_than_the_model_has_are_refused(tmp_path):
    pytest.importorskip("executorch", reason="the extra executorch is not installed")
    with pytest.raises(ExportError, match="max_length is 256; the model has only 128 positions"):
        target.export(view_of(tiny_model(layers=1)), target.Config(max_length=256), tmp_path)


@pytest.mark.long
def test_fixed_lengths_share_their_weights(tmp_path):
    pytest.importorskip("executorch", reason="the extra executorch is not installed")
    model = lively("bert", layers=1, hidden=128, vocab_size=8000)
    sizes, answers, inputs = [], [], batch_for(model)
    for lengths in ((), (16, 64)):
        folder = tmp_path / str(len(lengths))
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=64, lengths=lengths), folder)
        assert [graph.length for graph in written.graphs] == list(lengths or (None,))
        sizes.append((folder / "model.pte").stat().st_size)
        manifest = manifest_of(written, tmp_path / f"manifest-{len(lengths)}")
        answers.append(target.runner(folder, manifest)(inputs))
    assert sizes[1] <= 1.1 * sizes[0]
    assert largest_difference(answers[1], answers[0], inputs["attention_mask"]) < 1e-5


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "head"),
    [("bert", "sequence"), ("bert", "span"), ("distilbert", "sequence"), ("mobilebert", "bare"), ("roberta", "tokens")],
)
def test_families_and_heads_in_every_scheme(family, head, tmp_path):
    pytest.importorskip("executorch", reason="the extra executorch is not installed")
    model = lively(family, head, layers=1, hidden=64, vocab_size=2000)
    inputs = batch_for(model)
    theirs = torch_runner(model)(inputs)
    sizes = {}
    for scheme, limit in (("fp32", 1e-5), ("int8_dynamic", 0.3)):
        folder = tmp_path / scheme
        folder.mkdir()
        written = target.export(view_of(model), target.Config(max_length=32, scheme=scheme), folder)
        ours = target.runner(folder, manifest_of(written, tmp_path / f"{scheme}-manifest", scheme))(inputs)
        assert largest_difference(ours, theirs, inputs["attention_mask"]) < limit, scheme
        sizes[scheme] = (folder / "model.pte").stat().st_size
    assert sizes["int8_dynamic"] < 0.6 * sizes["fp32"]
    assert model.training is False
