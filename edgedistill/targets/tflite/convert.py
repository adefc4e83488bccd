"""From an export view to one LiteRT file with a signature per length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import litert_torch
import torch
from litert_torch._convert import core
from torch import nn

from edgedistill.artifacts import Graph, Quantization, State, Tensor
from edgedistill.errors import ExportError
from edgedistill.models.views.pieces import Piece, View, graph_name
from edgedistill.progress import hushed
from edgedistill.quant.litert_weights import DYNAMIC, NOT_WEIGHTS, quantized
from edgedistill.quant.schemes import SEARCHED
from edgedistill.quant.search import NEEDED
from edgedistill.quant.torch_smoothing import smoothed
from edgedistill.targets import Exported, buckets_of
from edgedistill.targets.tflite import auto
from edgedistill.targets.tflite.accelerators import delegations
from edgedistill.targets.tflite.runtime import interpreter

if TYPE_CHECKING:
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.targets.tflite import Config


class _Named(nn.Module):
    """A piece with its outputs in a dictionary, so that the file's signatures carry their names."""

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self.piece = piece

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.piece.output_names, self.piece(**inputs), strict=True))


def export(view: View, cfg: Config, folder: Path, calibration: Calibration | None, judge: Judge | None) -> Exported:
    """Write the model file; see the target's `export`."""
    lengths = buckets_of(view, cfg)
    _refuse(view, cfg)
    path = folder / "model.tflite"
    pieces = view.pieces
    if cfg.of_weights == DYNAMIC and calibration is not None:
        pieces = tuple(smoothed(piece, calibration.inputs()) for piece in pieces)
    _convert(pieces, lengths, path)
    quantization = _quantized(path, view, lengths, cfg, calibration, judge)
    graphs = _graphs(path, view, lengths)
    driver = view.driver([tuple(graph.name for graph in own) for own in graphs], is_fixed=True)
    return Exported((path,), tuple(chain(*graphs)), driver, quantization, delegations=delegations(path))


def _refuse(view: View, cfg: Config) -> None:
    """Say before the conversion what cannot be.

    Raises:
        ExportError: a recurrent network at too long an input, or a search on a model of several graphs.
    """
    if view.max_unrolled is not None and cfg.max_length > view.max_unrolled:
        raise ExportError(
            f"LiteRT has no LSTM of variable length: it is written out step by step, up to {view.max_unrolled} tokens; "
            f"max_length is {cfg.max_length}. Use --target onnx, where it is one operator at any length, or cut text "
            f"there: --set max_length={view.max_unrolled}."
        )
    if cfg.scheme in SEARCHED and len(view.pieces) > 1:
        raise ExportError(
            f"scheme '{cfg.scheme}' searches one graph; this model has {len(view.pieces)}. Choose another scheme, or "
            "of early exits --set exits=false."
        )


def _quantized(
    path: Path,
    view: View,
    lengths: tuple[int, ...],
    cfg: Config,
    calibration: Calibration | None,
    judge: Judge | None,
) -> Quantization | None:
    """Replace the float file by its scheme's; what was done."""
    if cfg.scheme == "fp32":
        return None
    tool = f"ai-edge-quantizer {version('ai-edge-quantizer')}"
    if cfg.scheme not in SEARCHED:
        return Quantization(scheme=cfg.scheme, tool=tool, kept_float=quantized(path, cfg.scheme))
    assert calibration is not None
    assert judge is not None
    kept, report = auto.search(path, _graphs(path, view, lengths)[0], cfg.base, calibration, judge)
    left = NOT_WEIGHTS | dict.fromkeys(sorted(kept), NEEDED)
    return Quantization(scheme=cfg.scheme, tool=tool, kept_float=left, search=report)


def _convert(pieces: tuple[Piece, ...], lengths: tuple[int, ...], path: Path) -> None:
    try:
        with hushed(f"converting {len(pieces) * len(lengths)} graphs to LiteRT"), taken_apart_once():
            converter: Any = litert_torch
            for piece in pieces:
                for length in lengths:
                    example = piece.example_inputs(1, length, "int32")
                    name = graph_name(piece.name, length)
                    converter = converter.signature(name, _Named(piece).eval(), sample_kwargs=example)
            converter.convert().export(str(path))
    except OSError:
        raise
    except Exception as error:  # the converter's errors share no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"the LiteRT converter refused the model: {reason}") from error


@contextmanager
def taken_apart_once() -> Iterator[None]:
    """Let litert-torch leave out the first of its two decompositions of every graph.

    Most of a conversion's time is spent in the two. The lowering decomposes the graph again, by the same table: the
    file has the same bytes without the first (a test compares them). Its own next converter leaves it out too, by
    this very argument.
    """
    own = core.export_torch_signature
    core.export_torch_signature = partial(own, run_decompositions=False)
    try:
        yield
    finally:
        core.export_torch_signature = own


def _graphs(path: Path, view: View, lengths: tuple[int, ...]) -> list[list[Graph]]:
    """What the file itself says of its signatures, those of each piece together."""
    model = interpreter(path, threads=1)
    return [
        [_graph(model, path, graph_name(one.name, length), length, one.state) for length in lengths]
        for one in view.pieces
    ]


def _graph(model: Any, path: Path, name: str, length: int, state: tuple[State, ...]) -> Graph:
    call = model.get_signature_runner(name)
    inputs, outputs = (_tensors(details) for details in (call.get_input_details(), call.get_output_details()))
    return Graph(name=name, file=path.name, signature=name, length=length, inputs=inputs, outputs=outputs, state=state)


def _tensors(details: dict[str, Any]) -> tuple[Tensor, ...]:
    in_order = sorted(details.items(), key=lambda item: int(item[1]["index"]))
    return tuple(
        Tensor(name=name, dtype=detail["dtype"].__name__, shape=tuple(int(size) for size in detail["shape"]))
        for name, detail in in_order
    )
