"""Integer matrix products in ONNX graphs: 8-bit activations with a scale for every token, 8-bit weights per channel.

Activations are unsigned and weights signed, no pair of which is so large that any processor would saturate
(docs/adr/0004). The product itself is ONNX Runtime's `MatMulIntegerToFloat`, which scales the sums while they are in
registers; the rest is plain ONNX.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from edgedistill.quant import grids
from edgedistill.quant.grids import TINY
from edgedistill.quant.onnx_graph import CONTRIB, GraphEditor

_GELU_FLOOR = 0.17
"""GELU is nowhere below -0.16998."""
_MIDDLE, _BOTTOM = np.uint8(128), np.uint8(0)
"""What stands for 0 in activations of both signs, and in those with a known floor."""


def floors(model: onnx.ModelProto) -> dict[str, float]:
    """What is added to a tensor to make it positive, by name, where its operator says how low its values can be."""
    known = {"Relu": 0.0, "Gelu": _GELU_FLOOR}
    return {node.output[0]: known[node.op_type] for node in model.graph.node if node.op_type in known}


def integer_matmul(editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any], floor: float | None) -> None:
    """Write a `MatMul` as an integer product.

    Values with a known floor take all 256 levels from there upwards; others take 127 on each side of zero. What
    the raised floor adds to the product is a constant of the weights and is taken off again.

    Args:
        editor: the graph.
        node: the product.
        weight: (in, out) float32.
        floor: what to add to the activations to make them positive; None where they have both signs.
    """
    integers, scale = paired_channels(weight)
    name = node.input[0]
    tokens, scales, zero = _rows_of_both_signs(editor, name) if floor is None else _positive_rows(editor, name, floor)
    table = editor.add_constant(f"{node.input[1]}_i8", integers)
    channels = editor.add_constant(f"{node.input[1]}_scale", scale)
    one = editor.scalar("unit_scale", np.float32(1))
    product = editor.add("MatMulIntegerToFloat", [tokens, table, one, channels, zero], domain=CONTRIB)
    if not floor:
        editor.add("Mul", [product, scales], node.output[0])
        return
    raised = np.float32(floor) * integers.sum(axis=0, dtype=np.int32).astype(np.float32) * scale
    whole = editor.add("Mul", [product, scales])
    editor.add("Sub", [whole, editor.add_constant(f"{node.input[1]}_raised", raised)], node.output[0])


def paired_channels(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix on the grid of `paired`.

    Args:
        weight: (in, out) float32.

    Returns:
        (in, out) integers, and the scale of every output channel.
    """
    integers, scales = grids.paired(torch.from_numpy(np.array(weight.T)))
    return integers.numpy().T, scales.numpy()[:, 0]


def _rows_of_both_signs(editor: GraphEditor, name: str) -> tuple[str, str, str]:
    """Names of the tokens as integers around the middle, of their scales (..., 1), and of the zero point."""
    middle = editor.scalar("middle", _MIDDLE)
    known = editor.shared(("tokens", name)), editor.shared(("scales", name))
    if known[0] and known[1]:
        return known[0], known[1], middle
    axis = editor.scalar("last_axis", np.array([-1], np.int64))
    largest = editor.add("ReduceMax", [editor.add("Abs", [name]), axis], keepdims=1)
    scales, flat = _scales(editor, largest, 127)
    middles = editor.add("Expand", [middle, editor.add("Shape", [flat])])
    tokens = _rounded(editor, name, [flat, middles])
    return editor.share(("tokens", name), tokens), editor.share(("scales", name), scales), middle


def _positive_rows(editor: GraphEditor, name: str, floor: float) -> tuple[str, str, str]:
    """The same for values whose floor is known: integers from the lowest."""
    zero = editor.scalar("bottom", _BOTTOM)
    known = editor.shared(("tokens", name)), editor.shared(("scales", name))
    if known[0] and known[1]:
        return known[0], known[1], zero
    raised = editor.add("Add", [name, editor.scalar(f"floor_{floor}", np.float32(floor))]) if floor else name
    axis = editor.scalar("last_axis", np.array([-1], np.int64))
    scales, flat = _scales(editor, editor.add("ReduceMax", [raised, axis], keepdims=1), 255)
    tokens = _rounded(editor, raised, [flat])
    return editor.share(("tokens", name), tokens), editor.share(("scales", name), scales), zero


def _scales(editor: GraphEditor, largest: str, levels: int) -> tuple[str, str]:
    """A scale for every token, (..., 1) and in one row."""
    largest = editor.add("Clip", [largest, editor.scalar("tiny", np.float32(TINY))])
    scales = editor.add("Mul", [largest, editor.scalar(f"one_of_{levels}", np.float32(1 / levels))])
    return scales, editor.add("Reshape", [scales, editor.scalar("in_one_row", np.array([-1], np.int64))])


def _rounded(editor: GraphEditor, name: str, scales: list[str]) -> str:
    """Divide every token by its scale and round: batch and length are laid into the one axis that may have scales."""
    rows = editor.add("Flatten", [name], axis=-1)
    tokens = editor.add("QuantizeLinear", [rows, *scales], axis=0)
    return editor.add("Reshape", [tokens, editor.add("Shape", [name])])
