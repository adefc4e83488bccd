"""LiteRT (TensorFlow Lite): Android and microcomputers; one file, one signature per length, shared weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgedistill.errors import MissingExtraError
from edgedistill.targets import ExportConfig, Exported

if TYPE_CHECKING:
    from edgedistill.artifacts import Manifest
    from edgedistill.models.views import View
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.runner import Runner

SCHEMES = ("fp32", "fp16", "int8_dynamic", "int8_weight", "auto")
CALIBRATED = ("int8_dynamic", "auto")


class Config(ExportConfig):
    """Settings of the LiteRT target. Without `lengths` the buckets are 32, 64, 128, 256 up to max_length."""

    target: str = "tflite"
    base: Literal["int8_dynamic", "int8_weight"] = "int8_dynamic"
    """Of scheme auto: what weights become that are not left in float."""


def export(
    view: View, cfg: Config, folder: Path, calibration: Calibration | None = None, judge: Judge | None = None
) -> Exported:
    """Write `model.tflite`.

    Raises:
        ExportError: a shape the model has no positions for, or an operator the converter does not know.
        BudgetError: scheme auto found nothing that meets its budget.
        MissingExtraError: litert-torch or ai-edge-quantizer is not installed.
    """
    try:
        from edgedistill.targets.tflite import convert
    except ModuleNotFoundError as error:
        raise MissingExtraError("target 'tflite'", error.name or "litert-torch", "tflite") from error
    return convert.export(view, cfg, folder, calibration, judge)


def finish(folder: Path, manifest: Manifest) -> Manifest:
    """Pack vocabulary and labels into a classifier's file, so that MediaPipe and TFLite Task Library read raw text.

    Both take files of one length (`--length 128`), and call the model's logits scores.
    """
    from edgedistill.targets.tflite import metadata

    return manifest.model_copy(update={"packed": metadata.pack(folder, manifest)})


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact in LiteRT, or in an installed tflite-runtime where there is no LiteRT.

    Raises:
        ArtifactError: a file is missing or the runtime refuses it.
        MissingExtraError: neither runtime is installed.
    """
    try:
        from edgedistill.targets.tflite import runtime
    except ModuleNotFoundError as error:
        raise MissingExtraError("running a LiteRT model", error.name or "ai-edge-litert", "tflite") from error
    return runtime.runner(folder, manifest, threads)
