"""8-bit products with a scale per channel: tflite-runtime 2.14 and the Task Library compute them wrongly, silently."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("tflite",)
HINT = "It loads there and answers wrongly. For those, export with --scheme int8_weight."
_FIRST_THAT_KNOWS = 12
"""Version of FULLY_CONNECTED from which a file says that its weights have a scale per channel."""


def found(model: Model) -> Iterator[Found]:
    """Look for products of float activations with 8-bit weights of many scales."""
    count = 0
    for net in model.nets:
        for node in net.nodes:
            if node.op != "FULLY_CONNECTED" or node.version >= _FIRST_THAT_KNOWS:
                continue
            activations, weights = (net.values[name] for name in node.inputs[:2])
            count += activations.is_float and weights.dtype == "int8" and weights.scales > 1
    if count:
        yield Found("warning", f"{count} products of float activations with int8 weights per channel.")
