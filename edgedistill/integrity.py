"""Whether an artifact's files are still the ones its manifest was written for."""

from __future__ import annotations

from pathlib import Path

from edgedistill import files
from edgedistill.artifacts import MANIFEST, FileEntry, Manifest, resolve_inside
from edgedistill.reports import BENCH, VERDICT, Finding

_REPORTS = {MANIFEST, VERDICT, BENCH}


def faults(folder: Path, manifest: Manifest) -> tuple[Finding, ...]:
    """Every listed file that is missing, cut short or changed.

    Raises:
        ArtifactError: the manifest names a file outside the folder.
    """
    return tuple(fault for entry in manifest.files if (fault := _fault(folder, entry)))


def unlisted(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Files in the folder that the manifest does not know, hidden ones and reports left out."""
    listed = {entry.path for entry in manifest.files} | _REPORTS
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return tuple(sorted(name for name in found - listed if not name.rpartition("/")[2].startswith(".")))


def manifest_sha256(folder: Path) -> str:
    """Hex SHA-256 of the manifest's bytes: what verdicts and benches are tied to."""
    return files.sha256_of(folder / MANIFEST)


def _fault(folder: Path, entry: FileEntry) -> Finding | None:
    path = resolve_inside(folder, entry.path)
    if not path.is_file():
        return Finding(name="missing_file", message=f"'{entry.path}' is not there.")
    size = path.stat().st_size
    if size != entry.size_bytes:
        name = "truncated_file" if size < entry.size_bytes else "changed_file"
        return Finding(name=name, message=f"'{entry.path}' has {size} bytes; the manifest says {entry.size_bytes}.")
    if files.sha256_of(path) != entry.sha256:
        return Finding(name="changed_file", message=f"'{entry.path}' is not the file the manifest was written for.")
    return None
