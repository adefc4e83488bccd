"""Targets: one file per runtime. This file holds only the protocol they keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import Field, field_validator, model_validator

from edgedistill.config import Settings
from edgedistill.errors import ExportError
from edgedistill.quant.schemes import SEARCHED

if TYPE_CHECKING:
    from edgedistill.artifacts import Delegation, Driver, Graph, Manifest, Quantization
    from edgedistill.models.views import View
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.reports import Finding, Measure
    from edgedistill.runner import Runner

_BUCKETS = (32, 64, 128, 256)


class ExportConfig(Settings):
    """What every target can be told."""

    target: str
    """Runtime; see: edgedistill ls targets."""
    scheme: str = "fp32"
    """Precision; see: edgedistill ls schemes."""
    max_length: int = Field(default=128, ge=8, le=512)
    """Longest input in tokens; where only `lengths` are given, the longest of them."""
    calibration_rows: int = Field(default=128, ge=16, le=4096)
    """Texts that schemes with calibration watch activations on: of the train split where --task names one."""
    max_drop: float = Field(default=0.5, ge=0)
    """Of scheme auto: most points of the task's metric (100 x score) that may be lost."""
    max_bytes: int | None = Field(default=None, ge=1)
    """Of scheme auto: most bytes of the model file."""
    max_p90_ms: float | None = Field(default=None, gt=0)
    """Of scheme auto: longest p90 latency at max_length on this computer, one thread."""
    search_rows: int = Field(default=1000, ge=50, le=20_000)
    """Of scheme auto: labelled rows of the train split that the search judges on; none of them calibrates."""
    exits: bool = True
    """Whether a student with early exits leaves early in the artifact too: a graph for every layer with its exit.
    false: all layers in one graph, which the last classifier answers."""
    lengths: tuple[int, ...] = ()
    """Fixed lengths (buckets), the longest of them max_length; empty: the target's own default."""

    @property
    def of_weights(self) -> str:
        """Scheme of the weights that are not left in float: the base of a scheme that is searched for."""
        return str(getattr(self, "base", self.scheme)) if self.scheme in SEARCHED else self.scheme

    @model_validator(mode="before")
    @classmethod
    def _as_long_as_lengths(cls, values: Any) -> Any:
        lengths = values.get("lengths") if isinstance(values, dict) else None
        is_plain = isinstance(lengths, list | tuple) and all(isinstance(length, int) for length in lengths)
        return {"max_length": max(lengths), **values} if lengths and is_plain else values

    @field_validator("lengths")
    @classmethod
    def _ascending(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        if list(lengths) != sorted(set(lengths)) or any(length < 8 or length > 512 for length in lengths):
            raise ValueError("lengths must rise from at least 8 to at most 512 tokens, without repeats")
        return lengths

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if self.lengths and self.lengths[-1] != self.max_length:
            raise ValueError(
                f"the longest of lengths is {self.lengths[-1]}, max_length {self.max_length}: set them alike"
            )
        return self


@dataclass(frozen=True)
class Exported:
    """What a target wrote.

    Attributes:
        model_files: paths of the model files within the output folder.
        graphs: the executable pieces.
        driver: how to run them.
        quantization: what was done to the numbers.
        opset: ONNX operator set, where it has one.
        delegations: what accelerators take of it, where it was made for them.
        needs: oldest systems it loads on, where the target knows: "iOS 16, macOS 13".
    """

    model_files: tuple[Path, ...]
    graphs: tuple[Graph, ...]
    driver: Driver
    quantization: Quantization | None = None
    opset: int | None = None
    delegations: tuple[Delegation, ...] = ()
    needs: str | None = None


@dataclass(frozen=True)
class Structure:
    """What a model file holds, read back without running it.

    Attributes:
        measures: its numbers, with limits where there are some.
        findings: what is not as the manifest says.
    """

    measures: tuple[Measure, ...]
    findings: tuple[Finding, ...] = ()


def buckets_of(view: View, cfg: ExportConfig) -> tuple[int, ...]:
    """The fixed lengths of a target that needs some, shortest first.

    Raises:
        ExportError: a length the model has no positions for.
    """
    refuse_too_long(view, cfg)
    return cfg.lengths or tuple(sorted({*(size for size in _BUCKETS if size < cfg.max_length), cfg.max_length}))


def refuse_too_long(view: View, cfg: ExportConfig) -> None:
    """Make sure that there are positions for every length.

    Raises:
        ExportError: there are not.
    """
    if cfg.max_length > view.max_positions:
        raise ExportError(f"max_length is {cfg.max_length}; the model has only {view.max_positions} positions.")


class Target(Protocol):
    """What a target's module has. Its docstring's first line is what `edgedistill ls targets` prints.

    One whose runtime is not on every computer also has `structure(folder, manifest) -> Structure`, what the gate can
    say of the file without running it, and may have `refuse_elsewhere()`, which says so before anything is made. One
    whose model file holds tokenizer or labels too has `finish(folder, manifest) -> Manifest`, called when those are
    written.
    """

    @property
    def Config(self) -> type[ExportConfig]:
        """Its settings."""
        ...

    @property
    def SCHEMES(self) -> tuple[str, ...]:
        """Schemes it honours."""
        ...

    @property
    def CALIBRATED(self) -> tuple[str, ...]:
        """Those of them that watch activations on calibration text."""
        ...

    def export(
        self,
        view: View,
        cfg: ExportConfig,
        folder: Path,
        calibration: Calibration | None = None,
        judge: Judge | None = None,
    ) -> Exported:
        """Write the model files into `folder`.

        `calibration` is given for the `CALIBRATED` schemes of a view of one piece, `judge` for a scheme that is
        searched for.

        Raises:
            ExportError: an operator or shape the runtime cannot take.
        """
        ...

    def runner(self, folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
        """Load an artifact of this target.

        Raises:
            ArtifactError: a file is missing or the runtime refuses it.
            NoRuntimeError: the runtime does not exist for this kind of computer.
        """
        ...
