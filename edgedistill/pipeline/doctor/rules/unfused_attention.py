"""Attention in single products: ONNX Runtime has it as one operator, which reads its inputs once."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model, Net, Node
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx",)
HINT = "It costs time on processors only; accelerators want the single products."
_FUSED = {"Attention", "MultiHeadAttention", "QAttention", "GroupQueryAttention", "PackedAttention"}
_BETWEEN = {"Where", "Cast", "Dropout", "Mul", "Identity"}
_DEPTH = 3


def found(model: Model) -> Iterator[Found]:
    """Count softmaxes that end in a product."""
    for net in model.nets:
        fused = sum(node.op in _FUSED for node in net.nodes)
        single = sum(node.op == "Softmax" and _meets_product(net, node, _DEPTH) for node in net.nodes)
        if single:
            yield Found("note", f"{single} of {single + fused} attentions are single products.")


def _meets_product(net: Net, node: Node, depth: int) -> bool:
    readers = net.outputs_of(node)
    if any(reader.op == "MatMul" for reader in readers):
        return True
    return depth > 1 and any(_meets_product(net, n, depth - 1) for n in readers if n.op in _BETWEEN)
