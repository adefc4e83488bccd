"""Integer products: tokens with known floors, scales worked by hand."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from scipy.special import erf

from edgedistill.quant.grids import in_pairs
from edgedistill.quant.onnx_integer import floors
from edgedistill.quant.onnx_weights import apply_scheme, per_channel

TOKENS, WIDTH = 6, 64


def graph(activation):
    """x (1, S, H) -> activation -> product."""
    weight = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32) / 8
    nodes = [helper.make_node(activation, ["x"], ["a"]), helper.make_node("MatMul", ["a", "weight"], ["y"])]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, TOKENS, WIDTH]) for name in "xy"]
    tensors = [numpy_helper.from_array(weight, "weight")]
    model = helper.make_model(
        helper.make_graph(nodes, "small", sides[:1], sides[1:], tensors), opset_imports=[helper.make_opsetid("", 20)]
    )
    model.ir_version = 10
    return model, weight


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


ACTIVATIONS = {"Relu": lambda x: np.maximum(x, 0), "Gelu": gelu}


@pytest.mark.parametrize("activation", ["Relu", "Gelu"])
def test_a_known_floor_halves_the_error_of_the_activations(activation, monkeypatch):
    """255 steps from the floor up are twice as fine as 127 on each side of zero."""
    _, weight = graph(activation)
    stored = in_pairs(torch.from_numpy(weight.T)).numpy().T
    x = np.random.default_rng(1).normal(size=(1, TOKENS, WIDTH)).astype(np.float32) * 2
    wanted = ACTIVATIONS[activation](x) @ stored

    def error():
        found = run(apply_scheme(graph(activation)[0], "int8_dynamic").model, x)
        return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)

    with_it = error()
    monkeypatch.setattr("edgedistill.quant.onnx_weights.floors", lambda model: {})
    assert with_it < 0.006
    assert with_it < 0.65 * error()


def test_gelu_is_nowhere_below_its_floor():
    model, _ = graph("Gelu")
    x = np.linspace(-3, 0, 30_001)
    assert -gelu(x).min() < floors(model)["a"] < 0.1701


def test_answers_of_a_token_do_not_depend_on_its_batch():
    model, _ = graph("Gelu")
    quantized = apply_scheme(model, "int8_dynamic").model
    x = np.random.default_rng(1).normal(size=(1, TOKENS, WIDTH)).astype(np.float32)
    alone = run(quantized, x)
    x[0, -1] *= 1000
    np.testing.assert_array_equal(run(quantized, x)[0, :-1], alone[0, :-1])


def test_tokens_of_zeros_are_no_division_by_zero():
    for activation in ("Relu", "Tanh"):
        model, _ = graph(activation)
        assert not run(apply_scheme(model, "int8_dynamic").model, np.zeros((1, TOKENS, WIDTH), np.float32)).any()


@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel_worked_by_hand(axis):
    weight = np.array([[1.0, -0.5], [0.25, 2.0]], np.float32)
    integers, scale = per_channel(weight, axis)
    np.testing.assert_allclose(scale, np.array([1.0, 2.0]) / 127, rtol=1e-6)
    wanted = [[127, -64], [16, 127]] if axis == 0 else [[127, -32], [32, 127]]
    np.testing.assert_array_equal(integers, wanted)


def test_a_channel_of_zeros_stays_zero():
    integers, scale = per_channel(np.zeros((3, 2), np.float32), 1)
    assert not integers.any()
    assert (scale > 0).all()


@pytest.mark.parametrize("activation", ["Gelu", "Tanh"])
@pytest.mark.parametrize("value", [3.0, -3.0])
def test_no_processor_saturates_at_the_largest_values(activation, value):
    """Sums of two products stay within 16 bits even where every activation is 255, and the answer is right."""
    model, _ = graph(activation)
    weight = np.full((WIDTH, WIDTH), value, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "weight"))
    x = np.full((1, TOKENS, WIDTH), 9.0, np.float32)
    wanted = {"Gelu": gelu, "Tanh": np.tanh}[activation](x) @ weight
    quantized = apply_scheme(model, "int8_dynamic").model
    stored = next(t for t in quantized.graph.initializer if t.name == "weight_i8")
    integers = numpy_helper.to_array(stored).astype(int)
    assert stored.data_type == TensorProto.INT8
    assert 255 * np.abs(integers.reshape(WIDTH // 2, 2, WIDTH).sum(axis=1)).max() < 2**15
    np.testing.assert_allclose(run(quantized, x), wanted, rtol=1e-2)
