"""Smoothing of ONNX graphs; see `smoothing`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from edgedistill.quant.calibration import Calibration
from edgedistill.quant.onnx_graph import GraphEditor
from edgedistill.quant.smoothing import Floats, channel_factors

_ERRORS_ONLY = 3


def smoothed(model: onnx.ModelProto, calibration: Calibration) -> onnx.ModelProto:
    """Divide what products with constant weights read from a LayerNorm by channel, and multiply the weights, in place.

    In exact arithmetic nothing changes. The LayerNorm itself stays: the residual reads it too.
    """
    editor = GraphEditor(model)
    readers = _products(editor, model)
    norms = [n.output[0] for n in model.graph.node if n.op_type == "LayerNormalization" and readers[n.output[0]]]
    reach = channel_reach(model, norms, calibration)
    for node in list(model.graph.node):
        editor.nodes.append(node)
        if node.output[0] in reach:
            _smooth(editor, node.output[0], reach[node.output[0]], readers[node.output[0]])
    return editor.finish()


def channel_reach(model: onnx.ModelProto, names: Sequence[str], calibration: Calibration) -> dict[str, Floats]:
    """Largest absolute value of every channel, (H,) by the tensor's name, over all texts.

    A graph that does not begin with tokens, such as a later segment of an early-exit model, is not watched.
    """
    given = {value.name for value in model.graph.input}
    if not names or not given <= set(next(iter(calibration.inputs()))):
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, _ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )  # fmt: skip
    reach: dict[str, Floats] = {}
    for inputs in calibration.inputs():
        seen = session.run(list(names), {name: inputs[name] for name in given})
        for name, values in zip(names, seen, strict=True):
            largest = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
            reach[name] = np.maximum(reach.get(name, largest), largest)
    return reach


def _products(editor: GraphEditor, model: onnx.ModelProto) -> Mapping[str, list[onnx.NodeProto]]:
    """The products with constant matrices, by the name of what they read."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        weight = editor.constant(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and weight.ndim == 2:
            found[node.input[0]].append(node)
    return found


def _smooth(editor: GraphEditor, name: str, reach: Floats, readers: list[onnx.NodeProto]) -> None:
    """Put one division after a tensor for all products that read it."""
    weights = [weight for node in readers if (weight := editor.constant(node.input[1])) is not None]
    factors = channel_factors(reach, weights)
    divided = editor.add("Mul", [name, editor.add_constant(f"{name}_smooth", 1 / factors)])
    for node, weight in zip(readers, weights, strict=True):
        node.input[1] = editor.add_constant(f"{node.input[1]}_smooth", weight * factors[:, None])
        node.input[0] = divided
