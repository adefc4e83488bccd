"""Fixed ranges: what is quantized, and that text outside of the calibrated range is cut off."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistill.errors import ExportError
from edgedistill.quant.onnx_weights import apply_scheme

WIDTH = 64


def graph():
    """x (1, S, H) -> product with a constant, product of activations, classifier of two numbers."""
    draw = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "linear"], ["y"], name="linear_node"),
        helper.make_node("MatMul", ["y", "head"], ["z"], name="head_node"),
    ]
    tensors = {"linear": (WIDTH, WIDTH), "head": (WIDTH, 2)}
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, "s", w]) for n, w in (("x", WIDTH), ("z", 2))]
    made = [numpy_helper.from_array((draw.normal(size=size) / 8).astype(np.float32), n) for n, size in tensors.items()]
    return helper.make_model(
        helper.make_graph(nodes, "small", sides[:1], sides[1:], made),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def rows(seed, size=1.0):
    draw = np.random.default_rng(seed)
    found = [{"x": size * draw.normal(size=(1, 6, WIDTH)).astype(np.float32)} for _ in range(4)]
    return SimpleNamespace(inputs=lambda: iter(found))


def error(scheme, calibration, method="minmax"):
    x = next(rows(9).inputs())
    answers = [
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, x)[0]
        for model in (graph(), apply_scheme(graph(), scheme, calibration, method).model)
    ]
    return np.linalg.norm(answers[1] - answers[0]) / np.linalg.norm(answers[0])


@pytest.mark.parametrize(("scheme", "limit"), [("int8_static", 0.03), ("w8a16", 0.012)])
def test_answers_stay_within_the_schemes_error(scheme, limit):
    assert error(scheme, rows(1)) < limit


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_other_ways_to_a_range(method):
    assert error("int8_static", rows(1), method) < 0.2


def test_stale_calibration_costs_many_times_the_error():
    """Ranges watched on values a tenth of the real ones: everything beyond is cut off."""
    assert error("int8_static", rows(1, size=0.1)) > 10 * error("int8_static", rows(1))


def test_only_large_constant_products_are_quantized():
    model = apply_scheme(graph(), "int8_static", rows(1)).model
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("QuantizeLinear") <= 2
    assert "head" in {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}


@pytest.mark.parametrize(("scheme", "pairs_fit"), [("int8_static", True), ("w8a16", False)])
def test_weights_are_signed_and_no_pair_saturates_beside_8_bit_activations(scheme, pairs_fit):
    model = apply_scheme(graph(), scheme, rows(1)).model
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == "linear_quantized")
    assert stored.data_type == TensorProto.INT8
    sums = numpy_helper.to_array(stored).astype(int).reshape(WIDTH // 2, 2, WIDTH).sum(axis=1)
    assert bool(255 * np.abs(sums).max() < 2**15) is pairs_fit


def test_without_text_there_are_no_ranges():
    with pytest.raises(ExportError, match="'int8_static' needs text"):
        apply_scheme(graph(), "int8_static")
