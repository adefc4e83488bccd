"""Smoothing: nothing changes in exact arithmetic, and large channels no longer take the digits of the others."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistill.quant.onnx_smoothing import channel_reach, smoothed
from edgedistill.quant.onnx_weights import apply_scheme
from edgedistill.quant.smoothing import channel_factors

TOKENS, WIDTH = 16, 64


def graph():
    """x (1, S, H) -> LayerNorm with two large channels -> two products, added up with the LayerNorm's own answer."""
    draw = np.random.default_rng(0)
    gain, bias = np.ones(WIDTH, np.float32), draw.normal(size=WIDTH).astype(np.float32) / 10
    gain[[3, 40]] = 30.0
    tensors = {
        "gain": gain,
        "bias": bias,
        "one": (draw.normal(size=(WIDTH, WIDTH)) / 8).astype(np.float32),
        "two": (draw.normal(size=(WIDTH, WIDTH)) / 8).astype(np.float32),
    }
    for name in ("one", "two"):
        tensors[name][[3, 40]] /= 30.0  # as in a trained model: what is large is not what matters most
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gain", "bias"], ["normed"]),
        helper.make_node("MatMul", ["normed", "one"], ["y1"]),
        helper.make_node("MatMul", ["normed", "two"], ["y2"]),
        helper.make_node("Add", ["y1", "y2"], ["y"]),
        helper.make_node("Identity", ["normed"], ["residual"]),
    ]
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, TOKENS, WIDTH]) for n in ("x", "y", "residual")]
    initializers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "small", sides[:1], sides[1:], initializers),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    model.ir_version = 10
    return model


def texts(seed, count=4):
    """What stands for calibration text here: the graph's input itself."""
    draw = np.random.default_rng(seed)
    rows = [{"x": draw.normal(size=(1, TOKENS, WIDTH)).astype(np.float32)} for _ in range(count)]
    return SimpleNamespace(inputs=lambda: iter(rows))


def run(model):
    x = next(texts(1).inputs())["x"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def error(found, wanted):
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_exact_arithmetic_gives_the_same_and_the_residual_is_untouched():
    wanted, residual = run(graph())
    found, other = run(smoothed(graph(), texts(0)))
    assert error(found, wanted) < 1e-6
    np.testing.assert_array_equal(other, residual)


def test_integer_products_lose_several_times_less():
    wanted = run(graph())[0]
    with_it = error(run(apply_scheme(graph(), "int8_dynamic", texts(0)).model)[0], wanted)
    without = error(run(apply_scheme(graph(), "int8_dynamic").model)[0], wanted)
    assert with_it < 0.02 < 3 * with_it < without


def test_all_readers_share_one_division():
    operators = [node.op_type for node in smoothed(graph(), texts(0)).graph.node]
    assert operators.count("Mul") == 1


def test_reach_is_the_largest_value_of_each_channel_over_all_texts():
    model, rows = graph(), list(texts(0).inputs())
    found = channel_reach(model, ["x", "normed"], texts(0))
    wanted = np.abs(np.concatenate([row["x"] for row in rows])).max(axis=(0, 1))
    np.testing.assert_array_equal(found["x"], wanted)
    assert found["normed"].argmax() in {3, 40}
    assert [value.name for value in model.graph.output] == ["y", "residual"], "the model itself is not changed"


def test_a_graph_that_does_not_begin_with_tokens_is_left_alone():
    other = SimpleNamespace(inputs=lambda: iter([{"input_ids": np.ones((1, 4), np.int64)}]))
    assert smoothed(graph(), other) == graph()


def test_factors_worked_by_hand():
    """Reach 3 and 12; strongest weights 1 and 4, whose roots cancel, or 1 and 1."""
    reach, weight = np.array([3.0, 12.0], np.float32), np.array([[1.0, 0.5], [-4.0, 0.2]], np.float32)
    np.testing.assert_allclose(channel_factors(reach, [weight]), [1, 1], rtol=1e-6)
    weight[1] /= 4
    np.testing.assert_allclose(channel_factors(reach, [weight]), [0.5**0.5, 2**0.5], rtol=1e-6)


@pytest.mark.parametrize("reach", [0.0, 1.0])
def test_dead_channels_have_factors(reach):
    factors = channel_factors(np.full(4, reach, np.float32), [np.zeros((4, 4), np.float32)])
    assert np.isfinite(factors).all()
    assert (factors > 0).all()
