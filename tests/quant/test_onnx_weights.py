"""Weight schemes of ONNX graphs, on a graph small enough to work out in NumPy."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistill.quant.onnx_weights import apply_scheme

ROWS, WIDTH, CLASSES = 200, 64, 4
ALL = ("fp32", "fp16", "int8_weight", "int8_dynamic")


@pytest.fixture
def weights():
    draw = np.random.default_rng(0)
    return {
        "table": draw.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "positions": draw.normal(size=(32, WIDTH)).astype(np.float32),
        "linear": (draw.normal(size=(WIDTH, WIDTH)) / 8).astype(np.float32),
        "gemm": (draw.normal(size=(WIDTH, WIDTH)) / 8).astype(np.float32),
        "bias": draw.normal(size=WIDTH).astype(np.float32),
        "head": (draw.normal(size=(WIDTH, CLASSES)) / 8).astype(np.float32),
    }


def graph(weights):
    """ids (N,) -> logits (N, C): embedding + positions, linear, transposed Gemm with bias, classifier."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"], axis=0),
        helper.make_node("Slice", ["positions", "zero", "size", "zero"], ["places"]),
        helper.make_node("Add", ["words", "places"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "linear"], ["once"]),
        helper.make_node("Gemm", ["once", "gemm", "bias"], ["twice"], transB=1),
        helper.make_node("MatMul", ["twice", "head"], ["logits"]),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    tensors += [
        numpy_helper.from_array(np.array([number], np.int64), name) for name, number in (("zero", 0), ("size", 8))
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, [8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [8, CLASSES])],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    model.ir_version = 10
    return model


def worked_out(w, ids):
    return ((w["table"][ids] + w["positions"][:8]) @ w["linear"] @ w["gemm"].T + w["bias"]) @ w["head"]


def run(model, ids):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": ids})[0]


@pytest.mark.parametrize(
    ("scheme", "error"), [("fp32", 1e-6), ("fp16", 1e-3), ("int8_weight", 0.02), ("int8_dynamic", 0.03)]
)
def test_answers_stay_within_the_schemes_error(weights, scheme, error):
    ids = np.arange(8) * 20
    wanted = worked_out(weights, ids)
    found = run(apply_scheme(graph(weights), scheme).model, ids)
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < error


@pytest.mark.parametrize(("scheme", "ratio"), [("fp16", 0.52), ("int8_weight", 0.30), ("int8_dynamic", 0.31)])
def test_bytes_shrink(weights, scheme, ratio):
    whole = apply_scheme(graph(weights), "fp32").model.ByteSize()
    assert apply_scheme(graph(weights), scheme).model.ByteSize() / whole < ratio


@pytest.mark.parametrize("scheme", ALL)
def test_inputs_and_outputs_stay_as_they_are(weights, scheme):
    before, after = graph(weights), apply_scheme(graph(weights), scheme).model
    assert list(before.graph.input) == list(after.graph.input)
    assert list(before.graph.output) == list(after.graph.output)
    contrib = {node.op_type for node in after.graph.node if node.domain}
    assert contrib == ({"MatMulIntegerToFloat"} if scheme == "int8_dynamic" else set())
    assert len(after.opset_import) == 1 + bool(contrib)


def test_small_weights_and_the_classifier_stay_float_with_their_reason(weights):
    result = apply_scheme(graph(weights), "int8_dynamic")
    assert "nothing to gain" in result.kept_float["head"]
    assert "head" in {tensor.name for tensor in result.model.graph.initializer}
    draw = np.random.default_rng(1)
    weights["gemm"], weights["bias"] = draw.normal(size=(128, WIDTH)).astype(np.float32), np.zeros(128, np.float32)
    weights["head"] = draw.normal(size=(128, 15)).astype(np.float32)
    kept = apply_scheme(graph(weights), "int8_weight").kept_float
    assert kept["head"] == "gives the 15 numbers of the answer itself"


def test_numbers_beyond_float16_stay_float(weights):
    weights["linear"][3, 3] = 1e6
    result = apply_scheme(graph(weights), "fp16")
    assert "beyond float16" in result.kept_float["linear"]
    ids = np.arange(8)
    np.testing.assert_allclose(run(result.model, ids), worked_out(weights, ids), rtol=5e-3)


def test_largest_products_do_not_saturate(weights):
    """Every activation and weight at its extreme: where 16-bit sums saturate, the answer is half of the right one."""
    weights["table"][:], weights["positions"][:] = 1.0, 0.0
    weights["linear"][:], weights["gemm"][:] = 1.0, np.eye(WIDTH)
    ids = np.arange(8)
    found = run(apply_scheme(graph(weights), "int8_dynamic").model, ids)
    np.testing.assert_allclose(found, worked_out(weights, ids), rtol=1e-3)


def test_one_tokens_outlier_costs_other_tokens_nothing(weights):
    """A scale per token: the error of the other rows is the same with and without a huge row beside them."""
    ids = np.arange(8)
    calm = run(apply_scheme(graph(weights), "int8_dynamic").model, ids)
    weights["table"][7] *= 1000
    wild = run(apply_scheme(graph(weights), "int8_dynamic").model, ids)
    np.testing.assert_array_equal(calm[:7], wild[:7])


def test_a_row_of_zeros_is_no_division_by_zero(weights):
    weights["table"][5], weights["positions"][:] = 0.0, 0.0
    ids = np.full(8, 5)
    found = run(apply_scheme(graph(weights), "int8_dynamic").model, ids)
    np.testing.assert_allclose(found, worked_out(weights, ids), rtol=2e-2, atol=2e-2)


def test_readers_of_one_tensor_share_its_quantization(weights):
    model = graph(weights)
    model.graph.node.insert(4, helper.make_node("MatMul", ["hidden", "gemm"], ["beside"]))
    model.graph.node.insert(5, helper.make_node("Add", ["once", "beside"], ["both"]))
    model.graph.node[6].input[0] = "both"
    operators = [node.op_type for node in apply_scheme(model, "int8_dynamic").model.graph.node]
    assert (operators.count("MatMulIntegerToFloat"), operators.count("QuantizeLinear")) == (3, 2)
