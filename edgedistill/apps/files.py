"""The plain bundle: an artifact's shipping files, a manifest of just those, and the proof that they passed.

Every other platform's package is built from this one. The same artifact always gives the same bytes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from edgedistill import files, reports
from edgedistill.artifacts import MANIFEST, Manifest, resolve_inside
from edgedistill.config import Settings
from edgedistill.reports import Verdict

PROOF = "PROOF.json"


class Proof(Settings):
    """Why the files beside it may be trusted."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    judged_manifest_sha256: str
    """Of the artifact's own manifest, which the verdict is about."""
    packaged_manifest_sha256: str
    """Of the manifest beside this file, which lists only what ships."""
    left_out: tuple[str, ...]
    """Files of the artifact that do not ship."""
    verdict: Verdict
    """What the gate said."""


def bundle(artifact: Path, manifest: Manifest, verdict: Verdict, folder: Path) -> Proof:
    """Copy what ships of `artifact` into `folder`, with its manifest and proof.

    Args:
        artifact: folder whose files were compared with `manifest`.
        manifest: of the artifact.
        verdict: a passed verdict on that manifest.
        folder: an empty folder.
    """
    shipping = tuple(entry for entry in manifest.files if entry.role not in {"reference", "calibration"})
    for entry in shipping:
        destination = folder / entry.path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resolve_inside(artifact, entry.path), destination)
    reports.save(manifest.model_copy(update={"files": shipping}), folder / MANIFEST)
    proof = Proof(
        judged_manifest_sha256=verdict.manifest_sha256,
        packaged_manifest_sha256=files.sha256_of(folder / MANIFEST),
        left_out=tuple(entry.path for entry in manifest.files if entry not in shipping),
        verdict=verdict,
    )
    reports.save(proof, folder / PROOF)
    return proof
