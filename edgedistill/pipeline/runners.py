"""Artifacts as runners: the target that wrote an artifact also runs it."""

from __future__ import annotations

from pathlib import Path

from edgedistill import plugins
from edgedistill.artifacts import Manifest, read_manifest
from edgedistill.errors import ArtifactError
from edgedistill.runner import Runner

_RUNNABLE = ("single", "buckets")


def open_runner(folder: Path, manifest: Manifest | None = None, threads: int = 1) -> Runner:
    """Load an artifact in its runtime.

    Args:
        folder: the artifact.
        manifest: its manifest, where it was read already.
        threads: how many the runtime may use.

    Raises:
        ArtifactError: no artifact, a missing or refused file, or a driver this version cannot run.
        MissingExtraError: the runtime is not installed.
    """
    manifest = manifest or read_manifest(folder)
    if manifest.driver.kind not in _RUNNABLE:
        raise ArtifactError(
            f"'{folder}' has a '{manifest.driver.kind}' driver, which this version cannot run yet. "
            f"It runs: {', '.join(_RUNNABLE)}."
        )
    runner: Runner = plugins.load("targets", manifest.target).runner(folder, manifest, threads)
    return runner
