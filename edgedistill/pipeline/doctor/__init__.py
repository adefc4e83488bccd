"""`edgedistill doctor`: known faults of an artifact, a checkpoint, a model file or this installation."""

from __future__ import annotations

from pathlib import Path

from edgedistill.artifacts import MANIFEST
from edgedistill.errors import ArtifactError, ConfigError
from edgedistill.pipeline.doctor import app_archive
from edgedistill.pipeline.doctor.signs import Checkup, Sign

__all__ = ["Checkup", "Sign", "doctor"]


def doctor(path: Path | str | None = None, device: str | None = None, bundle: Path | None = None) -> Checkup:
    """Look at an artifact, a checkpoint, an app, a model file, a phone or, without any, at this installation.

    Args:
        path: what to look at.
        device: `adb`, or `adb:SERIAL` of one phone among several.
        bundle: the program for the phone; the cached one when not given.

    Raises:
        ArtifactError: `path` is none of them, or a model file that cannot be read.
        ConfigError: both are given, or `device` is no phone.
        MissingExtraError: the package that reads a model file is not installed.
    """
    if device is not None:
        kind, _, serial = device.partition(":")
        if kind != "adb" or path is not None:
            raise ConfigError("doctor looks at one thing: a PATH, or --device adb[:SERIAL].")
        from edgedistill.pipeline.doctor import phone

        return Checkup(subject=f"phone {serial}".strip(), signs=tuple(phone.signs(serial or None, bundle)))
    if path is None:
        from edgedistill.pipeline.doctor import environment

        return Checkup(subject="this installation", signs=tuple(environment.signs()))
    folder = Path(path)
    if folder.is_file() and folder.suffix.lower() in app_archive.SUFFIXES:
        return Checkup(subject=f"app archive {folder}", signs=tuple(app_archive.signs(folder)))
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
