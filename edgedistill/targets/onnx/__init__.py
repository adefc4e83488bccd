"""ONNX: ONNX Runtime on Android, iOS, the web and desktops; any batch and length, or fixed lengths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgedistill.errors import MissingExtraError
from edgedistill.targets import ExportConfig, Exported

if TYPE_CHECKING:
    from edgedistill.artifacts import Manifest
    from edgedistill.models.views import View
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.runner import Runner

SCHEMES = ("fp32", "fp16", "int8_dynamic", "int8_static", "int8_weight", "int4_weight", "w8a16", "auto")
CALIBRATED = ("int8_dynamic", "int8_static", "w8a16", "auto")


class Config(ExportConfig):
    """Settings of the ONNX target. Without `lengths` the model takes any batch and any length up to max_length."""

    target: str = "onnx"
    opset: int = Field(20, ge=18, le=23)
    """ONNX operator set; 20 is the first with GELU as one operator (ONNX Runtime 1.17 and later)."""
    form: Literal["cpu", "accelerator"] = "cpu"
    """accelerator: standard operators, one fixed length (max_length unless `lengths` has it), int32 inputs, batch 1."""
    format: Literal["onnx", "ort"] = "onnx"
    """ort: ONNX Runtime's own format, which its minimal builds for phones read; the graph as it optimises it here."""
    external_above: int = Field(1_900_000_000, ge=0)
    """Bytes of weights above which they go into a file of their own: a protobuf message holds 2 GB."""
    calibration_method: Literal["minmax", "percentile", "entropy"] = "minmax"
    """How int8_static and w8a16 make a range of the values they saw."""
    base: Literal["int8_dynamic", "int8_weight", "int4_weight"] = "int8_dynamic"
    """Of scheme auto: what weights become that are not left in float."""


def export(
    view: View, cfg: Config, folder: Path, calibration: Calibration | None = None, judge: Judge | None = None
) -> Exported:
    """Write `model.onnx`, or one file per fixed length over one file of shared weights.

    Raises:
        ExportError: a shape the model has no positions for, or an operator the exporter does not know.
        BudgetError: scheme auto found nothing that meets its budget.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    try:
        from edgedistill.targets.onnx import convert
    except ModuleNotFoundError as error:
        raise MissingExtraError("target 'onnx'", error.name or "onnx", "onnx") from error
    return convert.export(view, cfg, folder, calibration, judge)


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact in ONNX Runtime on the processor.

    Raises:
        ArtifactError: a file is missing or ONNX Runtime refuses it.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        from edgedistill.targets.onnx import runtime
    except ModuleNotFoundError as error:
        raise MissingExtraError("running an ONNX model", error.name or "onnxruntime", "onnx") from error
    return runtime.runner(folder, manifest, threads)
