"""ONNX artifacts in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgedistill.artifacts import Buckets, Graph, Manifest, Single, resolve_inside
from edgedistill.errors import ArtifactError, DataError
from edgedistill.runner import Arrays, Runner, answer_in_buckets

_ERRORS_ONLY = 3
Call = Callable[[Arrays], dict[str, NDArray[np.float32]]]


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact; see the target's `runner`."""
    driver = manifest.driver
    if isinstance(driver, Single):
        call = _session(folder, manifest.graph(driver.graph), threads)
        longest = manifest.tokenizer.max_length

        def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
            length = inputs["input_ids"].shape[1]
            if length > longest:
                raise DataError(f"the batch is {length} tokens long; the model takes {longest}. Cut it first.")
            return call(inputs)

        return run
    if isinstance(driver, Buckets):
        graphs = [manifest.graph(name) for name in driver.graphs]
        calls = {graph.length or 0: _session(folder, graph, threads) for graph in graphs}
        return lambda inputs: answer_in_buckets(calls, inputs)
    raise ArtifactError(f"this edgedistill cannot run a '{driver.kind}' artifact in ONNX Runtime.")


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
    types = {value.name: np.int32 if "int32" in value.type else np.int64 for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]

    def call(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        feed = {name: np.ascontiguousarray(inputs[name], dtype=dtype) for name, dtype in types.items()}
        return dict(zip(names, session.run(names, feed), strict=True))

    return call
