"""ONNX Runtime Web out of the npm registry: one pinned version, known by its hash, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from edgedistill import files
from edgedistill.errors import ConfigError, DeviceError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
"""Of the registry's archive."""
MEMBERS = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""What of it a page needs that runs on the processor: the module, and the runtime itself."""
_SECONDS = 600


def write_runtime(folder: Path, archive: Path | None = None) -> None:
    """Write the runtime's files into `folder`.

    Args:
        folder: made if it is not there.
        archive: the archive, where it is at hand; else the cached one, or the registry's.

    Raises:
        ConfigError: `archive` is not the pinned one.
        DeviceError: the archive cannot be had, or is not the one that is pinned.
    """
    if archive is not None and (not archive.is_file() or files.sha256_of(archive) != SHA256):
        raise ConfigError(
            f"runtime: '{archive}' is not {PACKAGE}-{VERSION}.tgz with SHA-256 {SHA256}. Leave it out to have it "
            f"fetched, or run: npm pack {PACKAGE}@{VERSION}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive or _cached()) as opened:
        for name in MEMBERS:
            source = opened.extractfile(f"package/dist/{name}")
            assert source is not None, "the archive is known by its hash"
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _cached() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "edgedistill" / "npm" / SHA256[:16]
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if archive.is_file() and files.sha256_of(archive) == SHA256:
        return archive
    with files.atomic_folder(folder, overwrite=True) as part:
        _download(part)
        found = part / archive.name
        if not found.is_file() or files.sha256_of(found) != SHA256:
            raise DeviceError(
                f"the npm registry's {PACKAGE} {VERSION} is not the pinned file (SHA-256 {SHA256}). Do not use it; "
                "look at which registry npm asks: npm config get registry"
            )
    return archive


def _download(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DeviceError(
            f"the web package needs {PACKAGE} {VERSION}, and npm is not installed to fetch it. Install Node.js (make "
            "tools), or give the archive: --set runtime=PATH.tgz"
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"npm did not answer within {_SECONDS} s. Is there a network?") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-300:]
        raise DeviceError(f"cannot fetch {PACKAGE} {VERSION} from the npm registry: {said}")
