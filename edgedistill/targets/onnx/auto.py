"""Scheme auto on ONNX graphs: sensitivity weight by weight, then the search."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgedistill.errors import ExportError
from edgedistill.progress import progress, say
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.onnx_weights import Quantized, apply_scheme, prepared, weights_of
from edgedistill.quant.search import Judge, Kept, fewest_in_float, measured, refuse_over_budget
from edgedistill.reports import Rung
from edgedistill.runner import Arrays, Runner
from edgedistill.searches import SearchPart, SearchReport, SearchTrial

_TEXTS = 32
"""Calibration texts that sensitivity is measured on."""
_ERRORS_ONLY = 3
_RECALL = "recall_change_points/"


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
    model = prepared(model, base, calibration)
    numbers = weights_of(model, base)
    if not numbers:
        raise ExportError(f"scheme '{base}' finds no weight to make integers of in this model.")
    errors = _errors(model, base, list(numbers), calibration)
    ordered = sorted(numbers, key=lambda name: (-errors[name], name))
    trials: dict[Kept, tuple[SearchTrial, Rung]] = {}

    def try_with(kept: Kept) -> SearchTrial:
        if kept not in trials:
            tried = _quantized(model, base, kept).model
            trials[kept] = judge.trial(len(kept), tried.ByteSize(), runner_of(tried))
            trial = trials[kept][0]
            say(f"{len(kept)} weights in float: {trial.drop_points:.2f} points lost, {trial.status}")
        return trials[kept][0]

    kept = fewest_in_float(ordered, try_with)
    chosen, rung = trials[kept]
    refuse_over_budget(chosen, judge)
    report = SearchReport(
        base=base, metric=judge.metric, rows=rung.rows, source=judge.source,
        student_score=measured(rung, f"student_{judge.metric}").value or 0.0,
        max_drop=judge.max_drop, max_bytes=judge.max_bytes, max_p90_ms=judge.max_p90_ms,
        parts=tuple(
            SearchPart(name=name, numbers=numbers[name], error=float(f"{errors[name]:.3g}"), is_kept=name in kept)
            for name in ordered
        ),
        trials=tuple(trial for trial, _ in trials.values()),
        chosen=chosen,
        recall_change_points={
            one.name.removeprefix(_RECALL): one.value or 0.0 for one in rung.measures if one.name.startswith(_RECALL)
        },
    )  # fmt: skip
    return _quantized(model, base, kept), report


def runner_of(model: onnx.ModelProto) -> Runner:
    """A graph in ONNX Runtime, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, _ERRORS_ONLY
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    given = [value.name for value in session.get_inputs()]

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        answers = session.run(names, {name: np.asarray(inputs[name], np.int64) for name in given})
        return dict(zip(names, answers, strict=True))

    return run


def _errors(model: onnx.ModelProto, base: str, names: list[str], calibration: Calibration) -> dict[str, float]:
    """Relative error of the outputs with one weight quantized, by its name."""
    texts = list(islice(calibration.inputs(), _TEXTS))
    right = _outputs(model, texts)
    errors = {}
    with progress(f"sensitivity of {len(names)} weights", len(names)) as tracker:
        for name in names:
            found = _outputs(_quantized(model, base, Kept(names) - {name}).model, texts)
            errors[name] = float(np.linalg.norm(found - right) / max(float(np.linalg.norm(right)), 1e-12))
            tracker.advance()
    return errors


def _outputs(model: onnx.ModelProto, texts: list[Arrays]) -> NDArray[Any]:
    run = runner_of(model)
    return np.concatenate([np.ravel(value) for text in texts for value in run(text).values()])


def _quantized(model: onnx.ModelProto, base: str, kept: Kept) -> Quantized:
    """The prepared model in its scheme with some weights left in float."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    reasons: Mapping[str, str] = dict.fromkeys(kept, "the metric needs it: see the search's table")
    return apply_scheme(copy, base, keep=reasons)
