"""LayerNorm written out in means, differences and roots: slower, and ruined when quantized."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx",)
HINT = "Export with opset 17 or later, which has it as one operator, and leave it out of any quantizer's list."


def found(model: Model) -> Iterator[Found]:
    """Look for means that are taken off what they are the mean of, and then squared."""
    for net in model.nets:
        count = 0
        for mean in net.nodes:
            if mean.op != "ReduceMean":
                continue
            differences = [n for n in net.outputs_of(mean) if n.op == "Sub" and mean.inputs[0] in n.inputs]
            count += any(n.op in {"Pow", "Mul"} for difference in differences for n in net.outputs_of(difference))
        if count:
            yield Found("warning", f"{count} written out, opset {model.opset}.")
