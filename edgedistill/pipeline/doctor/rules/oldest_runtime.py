"""Operators that the oldest supported runtime does not know: the file would not load there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Apps with an older runtime cannot load the file: export it again with edgedistill, or ship the newer runtime."
_NEWEST_OPSET = 20
"""Of ONNX Runtime 1.17, the oldest one edgedistill's own exports are for."""
_CUSTOM = {"CUSTOM", "unknown"}


def found(model: Model) -> Iterator[Found]:
    """Compare with a table measured on the oldest LiteRT, or with the opset of the oldest ONNX Runtime."""
    if model.format == "onnx":
        if (model.opset or 0) > _NEWEST_OPSET:
            yield Found("warning", f"opset {model.opset}; ONNX Runtime 1.17 knows up to {_NEWEST_OPSET}.")
        return
    table = oldest()
    known, runtime = table["newest_version"], table["runtime"]
    wanted = {(node.op, node.version) for net in model.nets for node in net.nodes if node.op not in _CUSTOM}
    for op, version in sorted(wanted):
        if version > known.get(op, 0):
            up_to = f"knows up to {known[op]}" if op in known else "does not know it"
            yield Found("warning", f"{op} version {version}; {runtime} {up_to}.")


@cache
def oldest() -> Any:
    """The measured table: operators of the oldest LiteRT with the newest version of each."""
    return json.loads(files(__package__).joinpath("oldest_operators.json").read_text(encoding="utf-8"))
