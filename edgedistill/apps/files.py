"""The plain bundle: an artifact's shipping files and a manifest of just those, for an app that has its own code."""

from __future__ import annotations

from pathlib import Path

from edgedistill.apps import AppConfig, Built, GoldenCheck, ship
from edgedistill.artifacts import Manifest

TARGETS = ()


class Config(AppConfig):
    """The plain bundle has no settings."""


def build(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Built:
    """Copy what ships; nothing in it can be run."""
    reason = "a bundle of files has no code to run them with; an app that takes it in compares its own answers"
    check = GoldenCheck(name="answers", where="the app", status="not_run", reason=reason)
    return Built(ship(artifact, manifest, folder).relative_to(folder), (check,))
