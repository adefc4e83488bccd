"""GELU written out with Erf or Tanh: five passes over the widest tensor of every layer instead of one."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model, Net, Node
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Export to ONNX with opset 20 or later, or through litert-torch, which both have it as one operator."
_CUBES = {"Pow", "POW"}
_DEPTH = 4


def found(model: Model) -> Iterator[Found]:
    """Look for Erf, and for Tanh of a third power."""
    for net in model.nets:
        erf = sum(node.op == "Erf" for node in net.nodes)
        tanh = sum(node.op in {"Tanh", "TANH"} and _has_cube(net, node, _DEPTH) for node in net.nodes)
        if erf:
            yield Found("warning", f"{erf} written out with Erf.")
        if tanh:
            yield Found("warning", f"{tanh} written out with Tanh.")


def _has_cube(net: Net, node: Node, depth: int) -> bool:
    sources = net.inputs_of(node)
    return any(source.op in _CUBES or (depth > 1 and _has_cube(net, source, depth - 1)) for source in sources)
