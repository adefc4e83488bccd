"""How a fresh process gets a model ready: what `edgedistill.measure.probe` is told to call.

Each imports its runtime first and returns a function that only loads the model. Nothing else is imported, since
the process is weighed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgedistill.runner import Runner

ARTIFACT = f"{__name__}:artifact"
CHECKPOINT = f"{__name__}:checkpoint"


def artifact(folder: Path, threads: int) -> Callable[[], Runner]:
    """An exported artifact in its own runtime."""
    from edgedistill import plugins
    from edgedistill.artifacts import read_manifest
    from edgedistill.pipeline.runners import open_runner

    manifest = read_manifest(folder)
    target = plugins.load("targets", manifest.target)
    # A target that keeps its runtime apart from its exporter has it here; in others, loading includes importing.
    if find_spec(".runtime", target.__name__) if hasattr(target, "__path__") else None:
        import_module(".runtime", target.__name__)
    return lambda: open_runner(folder, manifest, threads)


def checkpoint(folder: Path, threads: int) -> Callable[[], Runner]:
    """A Hugging Face checkpoint in PyTorch, eager attention, fp32; loading is building the model from its weights."""
    import torch

    from edgedistill.models import answers, loading

    torch.set_num_threads(threads)
    build = loading.builder(folder)
    return lambda: answers.torch_runner(build())
