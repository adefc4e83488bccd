"""Tensors of five axes or more: GPUs and NPUs stop at four."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Reshape to (batch, heads, length, size) before the transposition instead of splitting one axis in three."
_MOST = 4


def found(model: Model) -> Iterator[Found]:
    """Look at the shapes of everything that is computed."""
    for net in model.nets:
        for node in net.nodes:
            for name in node.outputs:
                shape = net.values[name].shape if name in net.values else None
                if shape is not None and len(shape) > _MOST:
                    yield Found("warning", f"{node.op} '{node.name}' gives ({', '.join(map(str, shape))}).")
