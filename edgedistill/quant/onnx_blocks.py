"""Four-bit weights in blocks, multiplied by ONNX Runtime's `MatMulNBits` in float arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgedistill.quant.onnx_graph import CONTRIB, GraphEditor
from edgedistill.quant.onnx_integer import TINY

BLOCK = 32
"""Numbers that share a scale: the smallest block that pays on processors."""
_MIDDLE, _LEVELS = 8, 15


def four_bits(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut a matrix into blocks of 32 along its inputs, each with a scale.

    The value furthest from zero becomes exactly -8, so that all 16 levels are used.

    Args:
        weight: (in, out).

    Returns:
        (out, blocks, 16) uint8 with two numbers each, the first in the low half, and (out, blocks) scales: a weight is
        about (number - 8) x scale.
    """
    size, out = weight.shape
    count = -(-size // BLOCK)
    blocks = np.zeros((out, count * BLOCK), np.float32)
    blocks[:, :size] = weight.T
    blocks = blocks.reshape(out, count, BLOCK)
    furthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)[..., 0]
    scale = np.where(np.abs(furthest) < TINY, np.float32(TINY), furthest / np.float32(-_MIDDLE)).astype(np.float32)
    numbers = np.clip(np.rint(blocks / scale[..., None]) + _MIDDLE, 0, _LEVELS).astype(np.uint8)
    return numbers[..., 0::2] | numbers[..., 1::2] << 4, scale


def block_matmul(editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any]) -> None:
    """Write a `MatMul` with its weights in blocks of four bits."""
    numbers, scale = four_bits(weight)
    table = editor.add_constant(f"{node.input[1]}_i4", numbers)
    scales = editor.add_constant(f"{node.input[1]}_scale", scale)
    sizes = {"K": weight.shape[0], "N": weight.shape[1], "bits": 4, "block_size": BLOCK}
    editor.add("MatMulNBits", [node.input[0], table, scales], node.output[0], domain=CONTRIB, **sizes)
