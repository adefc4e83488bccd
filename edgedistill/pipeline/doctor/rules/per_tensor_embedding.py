"""Embedding tables with one scale for all rows: one token's outlier costs every other token its digits."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model, Net, Node
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Quantize tables with a scale for every row, or leave them in float; edgedistill's schemes have one per row."
_LOOK_UPS = {"Gather", "GatherND", "GATHER", "EMBEDDING_LOOKUP"}
_SMALL = {"int8", "uint8", "int4", "uint4"}


def found(model: Model) -> Iterator[Found]:
    """Look at the scales of what is looked up by row."""
    for net in model.nets:
        for node in net.nodes:
            if node.op not in _LOOK_UPS:
                continue
            for table in _tables(net, node):
                value = net.values[table]
                rows = value.shape[0] if value.shape and len(value.shape) > 1 else 1
                if rows != 1 and _scales(net, node, table) == 1:
                    yield Found("warning", f"'{table}' of {rows} rows has one scale.")


def _tables(net: Net, node: Node) -> list[str]:
    """The stored integers that a look-up reads, itself or through what widens them."""
    direct = [name for name in node.inputs if name in net.values and net.values[name].dtype in _SMALL]
    wide = [source.inputs[0] for source in net.inputs_of(node) if source.op in {"DequantizeLinear", "DEQUANTIZE"}]
    return [name for name in (*direct, *wide) if name in net.values and net.constant(name) is not None]


def _scales(net: Net, node: Node, table: str) -> int:
    """How many scales a table has; 0 where that cannot be told."""
    if net.values[table].scales:
        return net.values[table].scales
    widening = [n for n in (*net.inputs_of(node), *net.outputs_of(node)) if n.op in {"DequantizeLinear", "Cast"}]
    for one in widening:
        factors = one if one.op == "DequantizeLinear" else next(iter(net.outputs_of(one)), None)
        scale = None if factors is None or len(factors.inputs) < 2 else net.constant(factors.inputs[1])
        if scale is not None:
            return int(scale.size)
    return 0
