"""A batch of one that was meant to be free: the exporter took the example's size for a constant."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model, Net
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx",)
HINT = "Export with an example batch of two or more: exporters take a size of 1 for a constant."


def found(model: Model) -> Iterator[Found]:
    """Look for free lengths beside a batch of one, and for shapes of one row behind a free batch."""
    for net in model.nets:
        for name in net.inputs:
            shape = net.values[name].shape or ()
            if len(shape) > 1 and shape[0] == 1 and any(isinstance(size, str) for size in shape[1:]):
                yield Found("warning", f"'{name}' has the shape ({', '.join(map(str, shape))}): one row at a time.")
        if _is_free(net):
            yield from _fixed_reshapes(net)


def _is_free(net: Net) -> bool:
    shapes = [net.values[name].shape or () for name in net.inputs]
    return bool(shapes) and all(shape and isinstance(shape[0], str) for shape in shapes)


def _fixed_reshapes(net: Net) -> Iterator[Found]:
    """Reshapes to a constant shape of one row of what comes from the inputs."""
    for node in net.nodes:
        shape = net.constant(node.inputs[1]) if node.op == "Reshape" and len(node.inputs) > 1 else None
        if shape is None or shape.size < 3 or int(shape.reshape(-1)[0]) != 1 or node.inputs[0] not in net.producers:
            continue
        given = net.values[node.inputs[0]].shape if node.inputs[0] in net.values else None
        if given and isinstance(given[0], str):
            yield Found("broken", f"Reshape '{node.name}' makes ({', '.join(map(str, shape))}) of a free batch.")
