"""What a target says of a model file without running it, as a rung of the gate."""

from __future__ import annotations

from pathlib import Path

from edgedistill import plugins
from edgedistill.artifacts import Manifest
from edgedistill.gate.rungs import judged
from edgedistill.reports import Rung

NAME, TITLE = "structure", "The model file holds what the manifest says"


def structure_rungs(folder: Path, manifest: Manifest) -> tuple[Rung, ...]:
    """One rung where the target reads its files back; none for a target whose runtime tells it all by running them.

    Raises:
        ArtifactError: a file that is missing or cannot be parsed.
        MissingExtraError: what reads it is not installed.
    """
    if manifest.target not in plugins.names("targets"):
        return ()
    read_back = getattr(plugins.load("targets", manifest.target), "structure", None)
    if read_back is None:
        return ()
    found = read_back(folder, manifest)
    return (judged(NAME, TITLE, found.measures, found.findings, rows=len(manifest.graphs)),)
