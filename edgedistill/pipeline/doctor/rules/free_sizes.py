"""Sizes that are free: NNAPI, QNN and LiteRT's delegates take fixed ones only."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "For accelerators fix them: --set lengths=[32,64,128], or --set form=accelerator for ONNX."


def found(model: Model) -> Iterator[Found]:
    """Look at the shapes of inputs."""
    for net in model.nets:
        free = [text for name in net.inputs if (text := _free(name, net.values[name].shape))]
        if free and model.format == "tflite":
            yield Found("warning", f"{', '.join(free)}: delegates refuse tensors of dynamic size.")
        elif free:
            yield Found("note", f"{', '.join(free)}: well on processors.")


def _free(name: str, shape: tuple[int | str, ...] | None) -> str:
    """An input and its shape; empty where every size is fixed."""
    if shape is None:
        return f"{name} of any shape"
    is_fixed = all(isinstance(size, int) and size >= 0 for size in shape)
    return "" if is_fixed else f"{name} ({', '.join(map(str, shape))})"
