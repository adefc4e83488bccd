"""`edgedistill doctor`: known faults of an artifact, a checkpoint, a model file or this installation."""

from __future__ import annotations

from pathlib import Path

from edgedistill.artifacts import MANIFEST
from edgedistill.errors import ArtifactError
from edgedistill.pipeline.doctor.signs import Checkup, Sign

__all__ = ["Checkup", "Sign", "doctor"]


def doctor(path: Path | str | None = None) -> Checkup:
    """Look at an artifact, a checkpoint, a model file or, without `path`, at this installation.

    Raises:
        ArtifactError: `path` is none of them, or a model file that cannot be read.
        MissingExtraError: the package that reads a model file is not installed.
    """
    if path is None:
        from edgedistill.pipeline.doctor import environment

        return Checkup(subject="this installation", signs=tuple(environment.signs()))
    folder = Path(path)
    if folder.is_file():
        from edgedistill.pipeline.doctor import model_file

        return Checkup(subject=f"model file {folder}", signs=tuple(model_file.signs(folder)))
    if (folder / MANIFEST).is_file():
        from edgedistill.pipeline.doctor import artifact

        return Checkup(subject=f"artifact {folder}", signs=tuple(artifact.signs(folder)))
    if (folder / "config.json").is_file():
        from edgedistill.pipeline.doctor import checkpoint

        return Checkup(subject=f"checkpoint {folder}", signs=tuple(checkpoint.signs(folder)))
    there = "is not there" if not folder.exists() else "is neither an artifact nor a checkpoint"
    raise ArtifactError(
        f"'{folder}' {there}. doctor takes a folder with a {MANIFEST} or a config.json, or a .onnx or .tflite file."
    )
