"""ExecuTorch: PyTorch's own runtime for phones; one .pte file, any length, XNNPACK delegate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgedistill.errors import MissingExtraError
from edgedistill.progress import hushed
from edgedistill.targets import ExportConfig, Exported

if TYPE_CHECKING:
    from edgedistill.artifacts import Manifest
    from edgedistill.models.views.pieces import View
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.runner import Runner

SCHEMES = ("fp32", "int8_dynamic", "auto")
CALIBRATED = ("auto",)


class Config(ExportConfig):
    """Settings of the ExecuTorch target. Without `lengths` there is one method for any length up to max_length."""

    target: str = "executorch"
    base: Literal["int8_dynamic"] = "int8_dynamic"
    """Of scheme auto: what weights become that are not left in float."""


def export(
    view: View, cfg: Config, folder: Path, calibration: Calibration | None = None, judge: Judge | None = None
) -> Exported:
    """Write `model.pte`.

    Raises:
        ExportError: a shape the model has no positions for, or an operator ExecuTorch does not know.
        BudgetError: scheme auto found nothing that meets its budget.
        MissingExtraError: executorch is not installed.
    """
    try:
        with hushed():  # its packages introduce themselves
            from edgedistill.targets.executorch import convert
    except ModuleNotFoundError as error:
        raise MissingExtraError("target 'executorch'", error.name or "executorch", "executorch") from error
    return convert.export(view, cfg, folder, calibration, judge)


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact in ExecuTorch's runtime.

    Raises:
        ArtifactError: a file is missing or the runtime refuses it.
        MissingExtraError: executorch is not installed.
    """
    try:
        with hushed():
            from edgedistill.targets.executorch import runtime
    except ModuleNotFoundError as error:
        raise MissingExtraError("running an ExecuTorch model", error.name or "executorch", "executorch") from error
    return runtime.runner(folder, manifest, threads)
