"""Scheme auto on ExecuTorch programs: what the search tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgedistill.artifacts import Graph
from edgedistill.models.views.pieces import Piece
from edgedistill.quant.executorch_weights import numbers_of, rounded
from edgedistill.quant.search import Kept
from edgedistill.runner import Arrays, Runner, answer_in_buckets, answer_one_by_one
from edgedistill.targets.executorch.runtime import Program, call_of, use_threads

TRIAL = "trial.pte"
Write = Callable[[Kept], Sequence[Graph]]


class Trials:
    """A piece in PyTorch, and the programs that are made of it.

    A conversion takes its time: sensitivity is measured on PyTorch modules that round the same weights, and what the
    metric judges are programs as they would be written.
    """

    def __init__(self, piece: Piece, path: Path, write: Write, base: str) -> None:
        """Take a piece.

        Args:
            piece: float32.
            path: where programs are written to, and taken away from again.
            write: writes one there, with some weights in float; its methods.
            base: scheme of what is not left in float.
        """
        self.base = base
        self.numbers: Mapping[str, int] = numbers_of(piece)
        self._piece, self._path, self._write = piece, path, write

    def watched(self, kept: Kept) -> Runner:
        """It in PyTorch, rounding as the program would."""
        piece = rounded(self._piece, kept)

        def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
            with torch.inference_mode():
                tensors = [torch.as_tensor(np.asarray(inputs[name])).long() for name in self._piece.input_names]
                answers: tuple[torch.Tensor, ...] = piece(*tensors)
            return {name: value.numpy() for name, value in zip(self._piece.output_names, answers, strict=True)}

        return run

    def made(self, kept: Kept) -> tuple[int, Runner]:
        """Bytes of its file, and it in ExecuTorch's runtime."""
        graphs = self._write(kept)
        use_threads(1)
        size, program = self._path.stat().st_size, Program(self._path)
        calls = {graph.length: call_of(program, graph) for graph in graphs}
        self._path.unlink()  # the runtime has read it, or holds it open
        if None in calls:
            return size, lambda inputs: answer_one_by_one(calls[None], graphs[0].shortest, inputs)
        fixed = {length: call for length, call in calls.items() if length is not None}
        return size, lambda inputs: answer_in_buckets(fixed, inputs)
