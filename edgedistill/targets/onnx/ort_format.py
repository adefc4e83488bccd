"""ONNX Runtime's own format: what its minimal builds for phones read."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from edgedistill.errors import ExportError

SUFFIX = ".ort"
_ERRORS_ONLY = 3
_WIDENED = ("fp16", "int8_weight", "int4_weight")
"""Schemes whose weights are widened in the graph: optimising would store the wide ones instead."""


def converted(path: Path, scheme: str) -> Path:
    """Replace an .onnx file by an .ort file that holds its weights too.

    Raises:
        ExportError: ONNX Runtime refuses the model.
    """
    levels, made = onnxruntime.GraphOptimizationLevel, path.with_suffix(SUFFIX)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(made)
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if scheme in _WIDENED else levels.ORT_ENABLE_EXTENDED
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors derive from Exception and share no other base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"ONNX Runtime cannot write the model in its own format: {reason}") from error
    path.unlink()
    return made
