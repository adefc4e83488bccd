"""LiteRT artifacts in LiteRT's interpreter, or in tflite-runtime, its predecessor."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Graph, Manifest, resolve_inside
from edgedistill.clients import CLIENTS
from edgedistill.drivers import run_by_driver
from edgedistill.errors import ArtifactError
from edgedistill.progress import hushed
from edgedistill.runner import Arrays, Call, Runner

try:
    from ai_edge_litert.interpreter import Interpreter

    RUNTIME = "ai-edge-litert"
except ModuleNotFoundError:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("no LiteRT interpreter", name="ai-edge-litert") from error
    RUNTIME = "tflite-runtime"


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact; see the target's `runner`."""
    known = CLIENTS[RUNTIME].fails.get(manifest.of_weights)
    if known:
        warnings.warn(f"{manifest.of_weights} on {RUNTIME} {version(RUNTIME)}: {known}", stacklevel=2)
    models: dict[str, Any] = {}

    def open_graph(graph: Graph) -> Call:
        if graph.file not in models:
            models[graph.file] = interpreter(resolve_inside(folder, graph.file), threads)
        return call_of(models[graph.file], graph)

    return run_by_driver(manifest, open_graph)


def interpreter(path: Path, threads: int) -> Any:
    """The file in the runtime.

    Raises:
        ArtifactError: it is missing, cut short, or has operators the runtime does not know.
    """
    if not path.is_file():
        raise ArtifactError(f"'{path.parent}' has no file '{path.name}', which its manifest names. Export it again.")
    try:
        with hushed():
            return Interpreter(model_path=str(path), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"{RUNTIME} refuses '{path}': {(str(error).splitlines() or ['no reason'])[0]}") from error


def call_of(model: Any, graph: Graph) -> Call:
    """One signature as a function; its memory is set up at its first call."""
    types = {tensor.name: np.dtype(tensor.dtype) for tensor in graph.inputs}
    names = [tensor.name for tensor in graph.outputs]
    ready: list[Any] = []

    def call(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        feed = {name: np.asarray(inputs[name], dtype=dtype) for name, dtype in types.items()}
        if ready:
            answers = ready[0](**feed)
        else:
            with hushed():  # the delegate introduces itself
                ready.append(model.get_signature_runner(graph.signature))
                answers = ready[0](**feed)
        return {name: answers[name] for name in names}

    return call
