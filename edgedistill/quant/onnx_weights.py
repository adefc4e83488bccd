"""Schemes of ONNX graphs: which weight is stored and multiplied how.

Tables that are only stored small are widened by `Cast` and `Mul` over
constants, which a runtime folds when it loads the model: smaller files at the speed of the float model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from edgedistill.errors import ExportError
from edgedistill.quant import grids
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.onnx_blocks import block_matmul
from edgedistill.quant.onnx_graph import GraphEditor, gemm_as_matmul
from edgedistill.quant.onnx_integer import floors, integer_matmul
from edgedistill.quant.onnx_smoothing import smoothed
from edgedistill.quant.onnx_static import Method, with_ranges
from edgedistill.quant.schemes import LEAST_NUMBERS, LEAST_OUTPUTS, SCHEMES

_ALWAYS_FLOAT = {"norms, softmax, GELU, residuals, attention products": "cheap, and known to break when quantized"}
_FIXED_RANGES = frozenset({"int8_static", "w8a16"})
_FLOAT16_MAX = 65504.0


@dataclass
class Quantized:
    """A model after its scheme.

    Attributes:
        model: the edited model.
        kept_float: weights left in float, each with the reason.
    """

    model: onnx.ModelProto
    kept_float: dict[str, str] = field(default_factory=dict)


def apply_scheme(
    model: onnx.ModelProto,
    scheme: str,
    calibration: Calibration | None = None,
    method: Method = "minmax",
    keep: Mapping[str, str] | None = None,
) -> Quantized:
    """Apply a scheme to a float32 model, in place.

    Args:
        model: the float model.
        scheme: name of the scheme.
        calibration: text that schemes with integer activations are smoothed on, and that fixed ranges are watched on.
        method: how fixed ranges are made of what was seen.
        keep: names of weights to leave in float, each with the reason.

    Raises:
        ExportError: a scheme with fixed ranges and nothing to watch, or a graph that does not begin with tokens.
    """
    if scheme == "fp32":
        return Quantized(model)
    model = prepared(model, scheme, calibration)
    editor, positive = GraphEditor(model), floors(model)
    result = Quantized(model, {} if scheme == "fp16" else dict(_ALWAYS_FLOAT))
    for node in list(model.graph.node):
        if not _is_rewritten(editor, node, scheme, result.kept_float, positive, keep or {}):
            editor.nodes.append(node)
    result.model = editor.finish()
    if scheme in _FIXED_RANGES:
        result.model = _with_fixed_ranges(result, scheme, calibration, method)
    return result


def prepared(model: onnx.ModelProto, scheme: str, calibration: Calibration | None) -> onnx.ModelProto:
    """The float model with every linear a `MatMul`, smoothed where the scheme has integer activations; in place."""
    model = gemm_as_matmul(model)
    if SCHEMES[scheme].is_integer and SCHEMES[scheme].activations <= 16 and calibration is not None:
        model = smoothed(model, calibration)
    return model


def weights_of(model: onnx.ModelProto, scheme: str) -> dict[str, int]:
    """The weights that a scheme would make integers of, with their numbers, in the order they are read."""
    editor, found = GraphEditor(model), {}
    for node in model.graph.node:
        position, weight = _weight(editor, node)
        if weight is not None and _reason_for_float(node, weight, scheme) is None:
            found[str(node.input[position])] = weight.size
    return found


def _with_fixed_ranges(
    result: Quantized, scheme: str, calibration: Calibration | None, method: Method
) -> onnx.ModelProto:
    model = result.model
    editor = GraphEditor(model)
    inputs = {value.name for value in model.graph.input}
    if calibration is None or not inputs <= set(next(iter(calibration.inputs()), {})):
        raise ExportError(f"scheme '{scheme}' needs text to watch a graph that begins with tokens on.")
    nodes = [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and editor.constant(node.input[1]) is not None
        if node.input[1] not in result.kept_float
    ]
    return with_ranges(model, nodes, SCHEMES[scheme].activations, calibration, method)


def _is_rewritten(
    editor: GraphEditor,
    node: onnx.NodeProto,
    scheme: str,
    kept: dict[str, str],
    positive: dict[str, float],
    keep: Mapping[str, str],
) -> bool:
    """Write `node` in its scheme's form; False where it stays as it is."""
    if node.op_type == "LSTM":
        kept.update(dict.fromkeys((node.input[1], node.input[2]), "a recurrent network's: errors add up step by step"))
    position, weight = _weight(editor, node)
    if weight is None:
        return False
    name = node.input[position]
    reason = _reason_for_float(node, weight, scheme) or keep.get(name)
    if reason:
        kept[name] = reason
        return False
    if scheme == "fp16":
        _narrow_float(editor, node, position, weight)
    elif node.op_type in {"Gather", "Slice"}:
        _table_rows(editor, node, weight)
    elif scheme == "int8_weight":
        _widened_matmul(editor, node, weight)
    elif scheme == "int4_weight":
        block_matmul(editor, node, weight)
    elif scheme in _FIXED_RANGES:
        return False
    else:
        integer_matmul(editor, node, weight, positive.get(node.input[0]))
    return True


def _weight(editor: GraphEditor, node: onnx.NodeProto) -> tuple[int, NDArray[Any] | None]:
    """The stored float matrix that a node multiplies or looks up, and its place among the inputs."""
    position = {"MatMul": 1, "Gather": 0, "Slice": 0}.get(node.op_type)
    weight = None if position is None else editor.constant(node.input[position])
    if weight is None or position is None or weight.dtype != np.float32 or weight.ndim != 2:
        return 0, None
    return position, weight


def _reason_for_float(node: onnx.NodeProto, weight: NDArray[Any], scheme: str) -> str | None:
    """Why this weight is better left alone; None for most."""
    if weight.size < LEAST_NUMBERS:
        return f"only {weight.size} numbers: nothing to gain"
    if scheme == "fp16":
        largest = float(np.abs(weight).max())
        return f"holds {largest:.3g}, beyond float16" if largest > _FLOAT16_MAX else None
    if node.op_type == "MatMul" and weight.shape[1] < LEAST_OUTPUTS:
        return f"gives the {weight.shape[1]} numbers of the answer itself"
    return None


def _narrow_float(editor: GraphEditor, node: onnx.NodeProto, position: int, weight: NDArray[Any]) -> None:
    """Store the weight as float16. Rows are looked up first, then widened; a matrix is widened when loaded."""
    table = editor.add_constant(f"{node.input[position]}_f16", weight.astype(np.float16))
    if position == 0:
        rows = _same_node(editor, node, table)
        editor.add("Cast", [rows], node.output[0], to=TensorProto.FLOAT)
    else:
        wide = editor.add("Cast", [table], to=TensorProto.FLOAT)
        editor.add("MatMul", [node.input[0], wide], node.output[0])


def per_channel(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 of a matrix with one scale per index of `axis`.

    Returns:
        The integers in [-127, 127], and the scales, 1-D: weight is about integers x scale.
    """
    integers, scales = grids.rows(torch.from_numpy(np.array(weight if axis == 0 else weight.T)))
    stored = integers.numpy()
    return stored if axis == 0 else stored.T, scales.numpy()[:, 0]


def _table_rows(editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any]) -> None:
    """An embedding table as int8 with one scale per row: one token's outlier costs no other token its digits."""
    integers, scale = per_channel(weight, axis=0)
    rows = _same_node(editor, node, editor.add_constant(f"{node.input[0]}_i8", integers))
    scales = _same_node(editor, node, editor.add_constant(f"{node.input[0]}_scale", scale[:, None]))
    editor.add("Mul", [editor.add("Cast", [rows], to=TensorProto.FLOAT), scales], node.output[0])


def _same_node(editor: GraphEditor, node: onnx.NodeProto, table: str) -> str:
    """The same look-up in another table."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[0], copy.name = table, editor.fresh(f"{node.op_type}_node")
    copy.output[0] = editor.fresh(f"{node.op_type.lower()}_out")
    editor.nodes.append(copy)
    return str(copy.output[0])


def _widened_matmul(editor: GraphEditor, node: onnx.NodeProto, weight: NDArray[Any]) -> None:
    integers, scale = per_channel(weight, axis=1)
    table = editor.add_constant(f"{node.input[1]}_i8", integers)
    wide = editor.add("Cast", [table], to=TensorProto.FLOAT)
    scaled = editor.add("Mul", [wide, editor.add_constant(f"{node.input[1]}_scale", scale)])
    editor.add("MatMul", [node.input[0], scaled], node.output[0])
