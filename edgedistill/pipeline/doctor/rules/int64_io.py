"""64-bit integers in and out: phones' interfaces and accelerators take 32-bit ones."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Export with int32 inputs: --target tflite, or --target onnx --set form=accelerator."


def found(model: Model) -> Iterator[Found]:
    """Look at the types of inputs and outputs."""
    for net in model.nets:
        wide = [name for name in (*net.inputs, *net.outputs) if net.values[name].dtype == "int64"]
        if not wide:
            continue
        text = f"{', '.join(wide)}: int64;"
        if model.format == "tflite":
            yield Found("broken", f"{text} LiteRT clients feed int32, and half of every number is lost.")
        elif all(isinstance(size, int) for name in wide for size in net.values[name].shape or ()):
            yield Found("warning", f"{text} of fixed shape, as for accelerators: but NNAPI and QNN take int32.")
        else:
            yield Found("note", f"{text} well on processors; NNAPI and QNN take int32.")
