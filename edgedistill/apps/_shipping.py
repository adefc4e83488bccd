"""What a phone's package ships: the artifact's files that are read there, and those of the tokenizer kit."""

from __future__ import annotations

from pathlib import Path

from edgedistill import reports
from edgedistill.apps import STAYS_HOME, ship
from edgedistill.apps._tokenizer import CHARACTERS, SPECIFICATION, VOCABULARY, write_kit
from edgedistill.artifacts import Manifest, file_entry

_UNREAD = ("tokenizer", "config")
"""Roles of files that the kit's own stand for, or that only PyTorch reads."""


def ship_with_kit(artifact: Path, manifest: Manifest, folder: Path) -> Path:
    """Copy what ships into `folder`, the tokenizer as its kit wants it, and write the manifest of just that.

    Returns:
        The manifest, which lists the kit's files too: an app compares every file with its hash.

    Raises:
        ConfigError: a tokenizer that the kit cannot rebuild.
    """
    read = tuple(entry for entry in manifest.files if entry.role not in _UNREAD)
    path = ship(artifact, manifest.model_copy(update={"files": read}), folder)
    write_kit(artifact, manifest, folder)
    kit = tuple(file_entry(folder, folder / name, "tokenizer") for name in (SPECIFICATION, VOCABULARY, CHARACTERS))
    shipped = tuple(entry for entry in read if entry.role not in STAYS_HOME)
    files = tuple(sorted((*shipped, *kit), key=lambda entry: entry.path))
    return reports.save(manifest.model_copy(update={"files": files}), path)
