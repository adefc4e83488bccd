"""Rounding in training: on the exports' own grids, unseen by gradients, and gone when the stage is."""

from contextlib import suppress

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from torch import nn

from edgedistill.errors import TrainingError
from edgedistill.quant.grids import BLOCK, in_blocks, in_rows
from edgedistill.quant.onnx_weights import apply_scheme
from edgedistill.training.loop import fit
from edgedistill.training.quantization_aware import rounded, straight
from edgedistill.training.stage import OptimConfig, Stage
from tests.support import TinyRows
from tests.training.stages import OPTIM, Stop, lines, same, stage, stop_at, weights

ROWS, WIDTH, OUT, CLASSES = 64, 72, 48, 4
SCHEMES = ("int8_dynamic", "int8_weight", "int4_weight")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(ROWS, WIDTH), nn.Linear(WIDTH, OUT, bias=False), nn.Linear(OUT, CLASSES))


def rounding(model, scheme):
    optim = OptimConfig(quantization_aware=scheme)
    return rounded(Stage("last", model, TinyRows(8), lambda batch: {}, optim))


def exported(model, scheme):
    """The same network as the ONNX target writes it: ids (N,) -> (N, OUT)."""
    table, linear = (module.weight.detach().numpy() for module in model[:2])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["words"]), helper.make_node("MatMul", ["words", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [ROWS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [ROWS, OUT])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(linear.T.copy(), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return apply_scheme(model, scheme).model


def stored(model, name):
    return next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == name)


def test_eight_bits_are_the_exports_bit_for_bit():
    model = network()
    onnx = exported(model, "int8_weight")
    table = stored(onnx, "table_i8").astype(np.float32) * stored(onnx, "table_scale")
    linear = stored(onnx, "w_i8").astype(np.float32) * stored(onnx, "w_scale")
    np.testing.assert_array_equal(in_rows(model[0].weight.detach()).numpy(), table)
    np.testing.assert_array_equal(in_rows(model[1].weight.detach()).numpy(), linear.T)
    with rounding(model, "int8_weight"):
        np.testing.assert_array_equal(model[0](torch.arange(ROWS)).detach().numpy(), table)


def test_four_bits_are_the_exports_bit_for_bit():
    model = network()
    onnx = exported(model, "int4_weight")
    packed = stored(onnx, "w_i4")
    levels = np.stack([packed & 15, packed >> 4], axis=-1).reshape(OUT, -1, BLOCK).astype(np.float32) - 8
    wanted = (levels * stored(onnx, "w_scale")[..., None]).reshape(OUT, -1)[:, :WIDTH]
    np.testing.assert_array_equal(in_blocks(model[1].weight.detach()).numpy(), wanted)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_answers_as_the_export_will(scheme):
    model, ids = network(), torch.arange(ROWS)
    session = onnxruntime.InferenceSession(exported(model, scheme).SerializeToString())
    plain = model[:2](ids).detach().numpy()
    with rounding(model, scheme):
        found = model[:2](ids).detach().numpy()
    np.testing.assert_allclose(found, session.run(None, {"ids": ids.numpy()})[0], rtol=1e-3, atol=1e-3)
    assert np.linalg.norm(found - plain) > 1e-3 * np.linalg.norm(plain)


@pytest.mark.parametrize("grid", [in_rows, in_blocks])
def test_gradients_do_not_see_the_grid(grid):
    values = torch.randn(4, BLOCK, requires_grad=True)
    weights = torch.randn(4, BLOCK)
    (straight(values, grid) * weights).sum().backward()
    assert torch.equal(values.grad, weights)


def test_small_weights_and_those_of_the_answer_stay_float():
    model, hidden = network(), torch.randn(2, OUT)
    with rounding(model, "int4_weight"):
        assert torch.equal(model[2](hidden), nn.Linear.forward(model[2], hidden))
    with (
        pytest.raises(TrainingError, match="'int4_weight' rounds nothing of this model"),
        rounding(model[2:], SCHEMES[2]),
    ):
        pass


def test_the_model_is_as_before_when_the_stage_is_over():
    model = network()
    before, answers = weights(model), model(torch.arange(ROWS))
    with suppress(KeyboardInterrupt), rounding(model, "int4_weight"):
        assert not torch.equal(model(torch.arange(ROWS)), answers)
        raise KeyboardInterrupt
    assert same(before, weights(model))
    assert torch.equal(model(torch.arange(ROWS)), answers)
    with rounding(model, None):
        assert torch.equal(model(torch.arange(ROWS)), answers)


def test_a_stage_learns_rounded_and_resumes_bit_equal(tmp_path):
    optim = OPTIM.model_copy(update={"quantization_aware": "int4_weight"})
    plain, whole = stage(), stage(optim)
    fit(plain, tmp_path / "plain", seed=0)
    fit(whole, tmp_path / "whole", seed=0)
    losses = [line["loss"] for line in lines(tmp_path / "whole")]
    assert losses[-1] < losses[0]
    assert losses != [line["loss"] for line in lines(tmp_path / "plain")]
    assert weights(whole.model).keys() == weights(plain.model).keys()
    with pytest.raises(Stop):
        fit(stage(optim, hook=stop_at(5)), tmp_path / "cut", seed=0, save_every_s=0.0)
    resumed = stage(optim)
    fit(resumed, tmp_path / "cut", seed=0)
    assert same(weights(resumed.model), weights(whole.model))


def test_not_with_torch_compile():
    with pytest.raises(ValidationError, match="do not go together"):
        OptimConfig(compile=True, quantization_aware="int4_weight")
