"""Four-bit blocks, worked by hand and against ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedistill.quant.onnx_blocks import BLOCK, four_bits
from edgedistill.quant.onnx_weights import apply_scheme


def test_the_furthest_value_is_exact_and_two_numbers_share_a_byte():
    weight = np.zeros((BLOCK, 1), np.float32)
    weight[[0, 1, 2], 0] = [4.0, -1.0, 0.5]  # scale -0.5: levels 0, 10 and 7; zeros are 8
    numbers, scale = four_bits(weight)
    assert numbers.shape == (1, 1, BLOCK // 2)
    np.testing.assert_array_equal(scale, [[-0.5]])
    np.testing.assert_array_equal(numbers[0, 0, :3], [0 | 10 << 4, 7 | 8 << 4, 8 | 8 << 4])


@pytest.mark.parametrize("size", [64, 72])
def test_products_are_those_of_the_rounded_weights_whatever_the_width(size):
    draw = np.random.default_rng(0)
    weight, x = draw.normal(size=(size, 48)).astype(np.float32), draw.normal(size=(1, 5, size)).astype(np.float32)
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 5, w]) for n, w in (("x", size), ("y", 48))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one",
        sides[:1],
        sides[1:],
        [numpy_helper.from_array(weight, "w")],
    )
    model = apply_scheme(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "int4_weight"
    )
    session = onnxruntime.InferenceSession(model.model.SerializeToString(), providers=["CPUExecutionProvider"])
    numbers, scale = four_bits(weight)
    levels = np.stack([numbers & 15, numbers >> 4], axis=-1).reshape(48, -1, BLOCK).astype(np.float32) - 8
    rounded = (levels * scale[..., None]).reshape(48, -1)[:, :size].T
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ rounded, rtol=1e-4, atol=1e-4)
    assert np.linalg.norm(rounded - weight) / np.linalg.norm(weight) < 0.1


def test_a_block_of_zeros_stays_zero():
    numbers, scale = four_bits(np.zeros((BLOCK, 2), np.float32))
    assert (numbers == 8 | 8 << 4).all()
    assert np.isfinite(scale).all()
