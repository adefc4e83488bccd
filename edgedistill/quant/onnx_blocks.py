"""Four-bit weights in blocks, multiplied by ONNX Runtime's `MatMulNBits` in float arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from edgedistill.quant import grids
from edgedistill.quant.grids import BLOCK
from edgedistill.quant.onnx_graph import CONTRIB, GraphEditor

_MIDDLE = 8


def four_bits(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut a matrix into blocks of 32 along its inputs, each with a scale (`grids.blocks`).

    Args:
        weight: (in, out).

    Returns:
        (out, blocks, 16) uint8 with two numbers each, the first in the low half, and (out, blocks) scales: a weight is
        about (number - 8) x scale.
    """
    integers, scales = grids.blocks(torch.from_numpy(np.array(weight.T)))
    numbers: NDArray[np.uint8] = (integers.numpy() + _MIDDLE).astype(np.uint8)
    return numbers[..., 0::2] | numbers[..., 1::2] << np.uint8(4), scales.squeeze(2).numpy()


def block_matmul(editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any]) -> None:
    """Write a `MatMul` with its weights in blocks of four bits."""
    numbers, scale = four_bits(weight)
    table = editor.add_constant(f"{node.input[1]}_i4", numbers)
    scales = editor.add_constant(f"{node.input[1]}_scale", scale)
    sizes = {"K": weight.shape[0], "N": weight.shape[1], "bits": 4, "block_size": BLOCK}
    editor.add("MatMulNBits", [node.input[0], table, scales], node.output[0], domain=CONTRIB, **sizes)
