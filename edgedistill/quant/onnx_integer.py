"""Integer matrix products in ONNX graphs: 8-bit activations with a scale for every token, 8-bit weights per channel.

Both sides are unsigned or both signed, which every processor multiplies exactly (docs/adr/0004). The product itself is
ONNX Runtime's `MatMulIntegerToFloat`, which scales the sums while they are in registers; the rest is plain ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Integers:
    """The 256 integers that both sides of a product are made of.

    Attributes:
        middle: the one that stands for 0 where values have both signs.
        bottom: the lowest one.
    """

    middle: np.uint8 | np.int8
    bottom: np.uint8 | np.int8


UNSIGNED = Integers(np.uint8(128), np.uint8(0))
SIGNED = Integers(np.int8(0), np.int8(-128))


def per_channel(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 of a matrix with one scale per index of `axis`.

    Returns:
        The integers in [-127, 127], and the scales, 1-D: weight is about integers x scale.
    """
    integers, scales = grids.rows(torch.from_numpy(np.array(weight if axis == 0 else weight.T)))
    stored = integers.numpy()
    return stored if axis == 0 else stored.T, scales.numpy()[:, 0]


def floors(model: onnx.ModelProto) -> dict[str, float]:
    """What is added to a tensor to make it positive, by name, where its operator says how low its values can be."""
    known = {"Relu": 0.0, "Gelu": _GELU_FLOOR}
    return {node.output[0]: known[node.op_type] for node in model.graph.node if node.op_type in known}


def integer_matmul(
    editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any], floor: float | None, kind: Integers = UNSIGNED
) -> None:
    """Write a `MatMul` as an integer product.

    Values with a known floor take all 256 levels from there upwards; others take 127 on each side of zero. What
    the raised floor adds to the product is a constant of the weights and is taken off again.

    Args:
        editor: the graph.
        node: the product.
        weight: (in, out) float32.
        floor: what to add to the activations to make them positive; None where they have both signs.
        kind: of integers on both sides.
    """
    integers, scale = per_channel(weight, axis=1)
    tokens, scales, zero = _rows_of_both_signs(editor, node.input[0], kind) if floor is None else _positive_rows(
        editor, node.input[0], floor, kind
    )  # fmt: skip
    stored = (integers.astype(np.int16) + int(kind.middle)).astype(kind.middle.dtype)
    table = editor.add_constant(f"{node.input[1]}_{stored.dtype.kind}8", stored)
    channels = editor.add_constant(f"{node.input[1]}_scale", scale)
    one, middle = editor.scalar("unit_scale", np.float32(1)), editor.scalar("middle", kind.middle)
    product = editor.add("MatMulIntegerToFloat", [tokens, table, one, channels, zero, middle], domain=CONTRIB)
    if not floor:
        editor.add("Mul", [product, scales], node.output[0])
        return
    raised = np.float32(floor) * integers.sum(axis=0, dtype=np.int32).astype(np.float32) * scale
    whole = editor.add("Mul", [product, scales])
    editor.add("Sub", [whole, editor.add_constant(f"{node.input[1]}_raised", raised)], node.output[0])


def _rows_of_both_signs(editor: GraphEditor, name: str, kind: Integers) -> tuple[str, str, str]:
    """Names of the tokens as integers around the middle, of their scales (..., 1), and of the zero point."""
    middle = editor.scalar("middle", kind.middle)
    known = editor.shared(("tokens", name)), editor.shared(("scales", name))
    if known[0] and known[1]:
        return known[0], known[1], middle
    axis = editor.scalar("last_axis", np.array([-1], np.int64))
    largest = editor.add("ReduceMax", [editor.add("Abs", [name]), axis], keepdims=1)
    scales, flat = _scales(editor, largest, 127)
    tokens = _rounded(editor, name, [flat, _for_every_row(editor, middle, flat)])
    return editor.share(("tokens", name), tokens), editor.share(("scales", name), scales), middle


def _positive_rows(editor: GraphEditor, name: str, floor: float, kind: Integers) -> tuple[str, str, str]:
    """The same for values whose floor is known: integers from the lowest."""
    zero = editor.scalar("bottom", kind.bottom)
    known = editor.shared(("tokens", name)), editor.shared(("scales", name))
    if known[0] and known[1]:
        return known[0], known[1], zero
    raised = editor.add("Add", [name, editor.scalar(f"floor_{floor}", np.float32(floor))]) if floor else name
    axis = editor.scalar("last_axis", np.array([-1], np.int64))
    scales, flat = _scales(editor, editor.add("ReduceMax", [raised, axis], keepdims=1), 255)
    # uint8 from 0 is what `QuantizeLinear` does by itself.
    zeros = [] if kind is UNSIGNED else [_for_every_row(editor, zero, flat)]
    tokens = _rounded(editor, raised, [flat, *zeros])
    return editor.share(("tokens", name), tokens), editor.share(("scales", name), scales), zero


def _scales(editor: GraphEditor, largest: str, levels: int) -> tuple[str, str]:
    """A scale for every token, (..., 1) and in one row."""
    largest = editor.add("Max", [largest, editor.scalar("tiny", np.float32(TINY))])
    scales = editor.add("Mul", [largest, editor.scalar(f"one_of_{levels}", np.float32(1 / levels))])
    return scales, editor.add("Reshape", [scales, editor.scalar("in_one_row", np.array([-1], np.int64))])


def _for_every_row(editor: GraphEditor, zero: str, scales: str) -> str:
    return editor.add("Expand", [zero, editor.add("Shape", [scales])])


def _rounded(editor: GraphEditor, name: str, scales: list[str]) -> str:
    """Divide every token by its scale and round: batch and length are laid into the one axis that may have scales."""
    rows = editor.add("Flatten", [name], axis=-1)
    tokens = editor.add("QuantizeLinear", [rows, *scales], axis=0)
    return editor.add("Reshape", [tokens, editor.add("Shape", [name])])
