"""ONNX artifacts in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgedistill.artifacts import Graph, Manifest, resolve_inside
from edgedistill.drivers import run_by_driver
from edgedistill.errors import ArtifactError
from edgedistill.runner import Arrays, Call, Runner

_ERRORS_ONLY = 3
_TYPES = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact; see the target's `runner`."""
    return run_by_driver(manifest, lambda graph: _session(folder, graph, threads))


def _session(folder: Path, graph: Graph, threads: int) -> Call:
    path = resolve_inside(folder, graph.file)
    if not path.is_file():
        raise ArtifactError(f"'{folder}' has no file '{graph.file}', which its manifest names. Export it again.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors derive from Exception and share no other base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"ONNX Runtime refuses '{path}': {reason}") from error
    types = {value.name: _TYPES[value.type] for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]

    def call(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        feed = {name: np.ascontiguousarray(inputs[name], dtype=dtype) for name, dtype in types.items()}
        return dict(zip(names, session.run(names, feed), strict=True))

    return call
