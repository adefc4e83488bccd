"""Core ML: iPhones, iPads and Macs; one .mlpackage, any length or one function per length; written on any system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgedistill.errors import MissingExtraError, NoRuntimeError
from edgedistill.progress import hushed
from edgedistill.targets import ExportConfig, Exported, Structure

if TYPE_CHECKING:
    from edgedistill.artifacts import Manifest
    from edgedistill.models.views.pieces import View
    from edgedistill.quant.calibration import Calibration
    from edgedistill.runner import Runner

SCHEMES = ("fp32", "fp16", "int8_weight")
CALIBRATED: tuple[str, ...] = ()


class Config(ExportConfig):
    """Settings of the Core ML target. Without `lengths` there is one program for any length up to max_length."""

    target: str = "coreml"
    arithmetic: Literal["fp16", "fp32"] = "fp16"
    """What int8_weight computes in: fp16, the only one of the Neural Engine, or fp32 on processor and GPU."""


def export(view: View, cfg: Config, folder: Path, calibration: Calibration | None = None) -> Exported:
    """Write `model.mlpackage`, a folder.

    Raises:
        ExportError: a shape the model has no positions for, or a model Core ML's converter does not take.
        MissingExtraError: coremltools is not installed.
    """
    try:
        with hushed():  # it says what of itself is for Macs only
            from edgedistill.targets.coreml import convert
    except ModuleNotFoundError as error:
        raise _missing("target 'coreml'", error) from error
    return convert.export(view, cfg, folder)


def refuse_elsewhere() -> None:
    """Make sure that Core ML is there.

    Raises:
        NoRuntimeError: this is no Mac.
    """
    if sys.platform != "darwin":
        raise NoRuntimeError(
            f"Core ML runs on Apple's systems only, and this is {sys.platform}: nothing here can ask the model. Run "
            "this on a Mac, or the app's self-test on an iPhone."
        )


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact in Core ML, which chooses processor, GPU or Neural Engine itself.

    Raises:
        ArtifactError: a file is missing or Core ML refuses it.
        MissingExtraError: coremltools is not installed.
        NoRuntimeError: this is no Mac.
    """
    refuse_elsewhere()
    try:
        with hushed():
            from edgedistill.targets.coreml import runtime
    except ModuleNotFoundError as error:
        raise _missing("running a Core ML model", error) from error
    return runtime.runner(folder, manifest)


def structure(folder: Path, manifest: Manifest) -> Structure:
    """Read the package back: functions, inputs, outputs, operators and the types its weights are stored in.

    Raises:
        ArtifactError: it is missing or cannot be parsed.
        MissingExtraError: coremltools is not installed.
    """
    try:
        with hushed():
            from edgedistill.targets.coreml import package
    except ModuleNotFoundError as error:
        raise _missing("reading a Core ML model", error) from error
    return package.structure(folder, manifest)


def _missing(wanted_by: str, error: ModuleNotFoundError) -> MissingExtraError:
    return MissingExtraError(wanted_by, error.name or "coremltools", "coreml")
