"""A model that writes at the gate: good ones pass, a cache one place off is named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgedistill import plugins
from edgedistill.artifacts import Graph, Tensor, read_manifest
from edgedistill.drivers import run_by_driver
from edgedistill.gate.ladder import overall
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.models.loading import save
from edgedistill.models.seq2seq import without_token_types
from edgedistill.models.views import cut_view_of
from edgedistill.pipeline import check, export
from edgedistill.targets import ExportConfig, Exported
from tests.drivers.test_seq2seq import lively
from tests.support import tiny_tokenizer

pytestmark = pytest.mark.slow

CACHE = ("keys", "values")


@pytest.fixture(scope="module")
def model():
    return lively(end=1.0, beams=2)


def opened(model, manifest, spoilt=lambda inputs: inputs):
    """The artifact with PyTorch for a runtime."""
    pieces = {piece.name: piece for piece in cut_view_of(model).pieces}

    def open_graph(graph):
        piece = pieces[graph.name]

        def call(inputs):
            inputs = spoilt(inputs) if graph.name == "decoder" else inputs
            given = [torch.as_tensor(np.asarray(inputs[name])) for name in piece.input_names]
            with torch.no_grad():
                return {n: v.numpy() for n, v in zip(piece.output_names, piece(*given), strict=True)}

        return call

    return run_by_driver(manifest, open_graph)


@pytest.fixture(scope="module")
def artifact(model, tmp_path_factory):
    """A folder as `export` writes it, but that no converter was asked."""
    folder, tokenizer = tmp_path_factory.mktemp("writes"), tiny_tokenizer()
    with without_token_types(tokenizer, model):
        save(folder / "student", model, tokenizer)

    def exported(view, cfg, out, calibration=None):
        (out / "model.onnx").write_bytes(b"graphs")
        graphs = [
            Graph(
                name=piece.name, file="model.onnx", outputs=(), state=piece.state,
                inputs=tuple(Tensor(name=n, dtype="float32", shape=tuple(v.shape))
                             for n, v in piece.example_inputs(1, 5).items()),
            )
            for piece in view.pieces
        ]  # fmt: skip
        return Exported((out / "model.onnx",), tuple(graphs), view.driver([("encoder",), ("decoder",)], False))

    def runner(_folder, manifest, _threads=1):
        return opened(model, manifest)

    pretended = SimpleNamespace(Config=ExportConfig, SCHEMES=("fp32",), CALIBRATED=(), export=exported, runner=runner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "load", lambda kind, name: pretended)
        return export.export(folder / "student", out=folder / "artifact", settings=["max_length=64"])


def judged(artifact, model, spoilt=lambda inputs: inputs):
    rungs = check.judge(
        artifact,
        read_manifest(artifact),
        read_tolerances()[0],
        opener=lambda _folder, manifest: opened(model, manifest, spoilt),
    )
    return {rung.name: rung for rung in rungs}


def test_a_good_one_passes(artifact, model):
    rungs = judged(artifact, model)
    rung = rungs["student_to_artifact"]
    assert rung.status == "passed", rung
    assert overall(list(rungs.values())) == "passed"
    numbers = {one.name: one.value for one in rung.measures}
    assert numbers["greedy_equal"] == numbers["written_equal"] == numbers["padded_equal"] == 1.0
    assert numbers["different_texts"] > 10
    assert rungs["reference"].status == "not_run"
    driver = read_manifest(artifact).driver
    assert (driver.beams, driver.max_new_tokens, driver.asks_all) == (2, 12, False)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda given: {n: np.roll(v, 1, axis=2) if n in CACHE else v for n, v in given.items()},
        lambda given: given | {"keys": given["values"], "values": given["keys"]},
        lambda given: given | {n: np.zeros_like(given[n]) for n in CACHE},
    ],
    ids=["one place off", "keys for values", "forgotten"],
)
def test_a_misaligned_cache_is_named(artifact, model, spoilt):
    rungs = judged(artifact, model, spoilt)
    assert {fault.name for fault in rungs["student_to_artifact"].findings} == {"cache_misaligned"}
    assert overall(list(rungs.values())) == "failed"


def test_another_models_words_are_told_from_that(artifact):
    rungs = judged(artifact, lively(seed=4, end=1.0, beams=2))
    assert {fault.name for fault in rungs["student_to_artifact"].findings} == {"writes_differently"}
