"""What accelerators take of it, node by node: as their own checker says, or the list that their makers publish."""

from __future__ import annotations

from collections.abc import Iterator

from edgedistill.artifacts import Delegation
from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "What is left runs on the processor, and every border costs a copy."
MOST = 8


def found(model: Model) -> Iterator[Found]:
    """Ask the checkers that run on this computer."""
    told = set()
    for each in delegations(model):
        outcome = (each.source, each.nodes, each.delegated, each.partitions)
        if outcome in told:  # the graphs of several lengths, which are alike
            continue
        told.add(outcome)
        yield Found("ok" if each.delegated == each.nodes else "note", each.sentence)


def delegations(model: Model) -> tuple[Delegation, ...]:
    """Every accelerator of the file's runtime."""
    if model.format == "onnx":
        from edgedistill.targets.onnx.accelerators import delegations_of_file as of_onnx

        return of_onnx(model.path)
    from edgedistill.targets.tflite.accelerators import delegations as of_tflite

    return of_tflite(model.path)
