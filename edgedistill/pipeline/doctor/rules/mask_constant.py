"""Masks of -3.4e38 or -inf: beyond float16, where they become infinite and the softmax NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Export with an additive mask of -1e4, which every precision holds; edgedistill's own exports have it."
_FLOAT16_LOWEST = -65504.0


def found(model: Model) -> Iterator[Found]:
    """Look at every stored float tensor."""
    seen: set[str] = set()
    for net in model.nets:
        for value in net.values.values():
            numbers = net.constant(value.name) if value.is_float else None
            if numbers is None or numbers.size == 0:
                continue
            lowest = float(numbers.min())
            if lowest < _FLOAT16_LOWEST and value.name not in seen:
                seen.add(value.name)
                readers = ", ".join(sorted({node.op for node in net.readers[value.name]})) or "nothing"
                yield Found("warning", f"constant '{value.name}' holds {np.float32(lowest):.3g}, read by {readers}.")
