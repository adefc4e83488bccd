"""Integer products on an emulated x86 processor without 8-bit dot products: ours are exact there, plain int8 is not."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from edgedistill.quant.grids import paired, rows

EMULATOR = "qemu-x86_64"
PRODUCTS = """
import sys
import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

def product(tokens, weights, zero):
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])], "product",
        [helper.make_tensor_value_info("x", 2, tokens.shape)], [helper.make_tensor_value_info("y", 6, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.uint8(zero), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": tokens})[0]

draw = np.random.default_rng(0)
for weights in np.load(sys.argv[1]).values():
    for count in (1, 2, 5, 64):
        tokens = draw.choice([0, 1, 254, 255], size=(count, len(weights))).astype(np.uint8)
        for zero in (0, 128):
            found = product(tokens, weights, zero)
            print(int((found == (tokens.astype(int) - zero) @ weights.astype(int)).all()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"{EMULATOR} is not installed: make tools")
@pytest.mark.parametrize(("grid", "is_exact"), [(paired, True), (rows, False)])
def test_pairs_are_exact_where_plain_rows_saturate(grid, is_exact, tmp_path):
    draw = np.random.default_rng(0)
    sizes = (3, 16, 30, 64, 129, 384)
    extremes = [draw.choice([-1.0, -0.5, 0.5, 1.0], size=(33, size)).astype(np.float32) for size in sizes]
    weights = [np.ascontiguousarray(grid(torch.from_numpy(weight))[0].numpy().T) for weight in extremes]
    np.savez(tmp_path / "weights.npz", *weights)
    command = [EMULATOR, "-cpu", "Haswell-noTSX", sys.executable, "-c", PRODUCTS, str(tmp_path / "weights.npz")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert len(found) == len(sizes) * 4 * 2
    assert ("0" not in found) is is_exact
