"""Scheme auto on ONNX graphs: what of a graph is left in float, and the search on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgedistill.quant import search as searches
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.onnx_weights import Quantized, apply_scheme, prepared, weights_of
from edgedistill.quant.search import NEEDED, Judge, Kept
from edgedistill.runner import Arrays, Runner
from edgedistill.searches import SearchReport

_ERRORS_ONLY = 3


class MixedGraph:
    """A prepared float graph, with some of its weights in a scheme and others as they are."""

    def __init__(self, model: onnx.ModelProto, base: str) -> None:
        self.base = base
        self.numbers: Mapping[str, int] = weights_of(model, base)
        self._model = model

    def watched(self, kept: Kept) -> Runner:
        """It in ONNX Runtime."""
        return runner_of(self.quantized(kept).model)

    def made(self, kept: Kept) -> tuple[int, Runner]:
        """Its bytes, and it in ONNX Runtime."""
        tried = self.quantized(kept).model
        return tried.ByteSize(), runner_of(tried)

    def quantized(self, kept: Kept) -> Quantized:
        """The graph with some weights left in float."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self._model)
        return apply_scheme(copy, self.base, keep=dict.fromkeys(kept, NEEDED))


def search(model: onnx.ModelProto, base: str, calibration: Calibration, judge: Judge) -> tuple[Quantized, SearchReport]:
    """Find the fewest weights to keep in float.

    Args:
        model: the float model; it is edited.
        base: scheme of all other weights.
        calibration: text that activations are smoothed on and sensitivity is measured on.
        judge: rows and budget.

    Raises:
        ExportError: there is nothing to quantize.
        BudgetError: nothing meets the budget.
    """
    mixed = MixedGraph(prepared(model, base, calibration), base)
    kept, report = searches.search(mixed, calibration, judge)
    return mixed.quantized(kept), report


def runner_of(model: onnx.ModelProto) -> Runner:
    """A graph in ONNX Runtime, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, _ERRORS_ONLY
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    given = [value.name for value in session.get_inputs()]

    def run(inputs: Arrays) -> dict[str, NDArray[Any]]:
        answers = session.run(names, {name: np.asarray(inputs[name], np.int64) for name in given})
        return dict(zip(names, answers, strict=True))

    return run
