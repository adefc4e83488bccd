"""Core ML artifacts in Core ML, which is there on Macs only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools
import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Graph, Manifest, resolve_inside
from edgedistill.drivers import run_by_driver
from edgedistill.errors import ArtifactError
from edgedistill.progress import hushed
from edgedistill.runner import Arrays, Call, Runner


def runner(folder: Path, manifest: Manifest) -> Runner:
    """Load an artifact; see the target's `runner`."""
    has_several = len(manifest.graphs) > 1
    return run_by_driver(manifest, lambda graph: _call(resolve_inside(folder, graph.file), graph, has_several))


def _call(path: Path, graph: Graph, has_several: bool) -> Call:
    """One function of the package as a function of named arrays."""
    if not path.is_dir():
        raise ArtifactError(f"'{path.parent}' has no '{path.name}', which its manifest names. Export it again.")
    try:
        with hushed():
            model: Any = coremltools.models.MLModel(str(path), function_name=graph.signature if has_several else None)
    except Exception as error:  # Core ML's errors derive from Exception and share no other base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"Core ML refuses '{path}': {reason}") from error
    names = [tensor.name for tensor in graph.outputs]
    wanted = [tensor.name for tensor in graph.inputs]

    def call(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        answers = model.predict({name: np.ascontiguousarray(inputs[name], dtype=np.int32) for name in wanted})
        return {name: np.asarray(answers[name], dtype=np.float32) for name in names}

    return call
