"""From an export view to one LiteRT file with a signature per length."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import litert_torch
import torch
from torch import nn

from edgedistill.artifacts import Buckets, Graph, Quantization, Tensor
from edgedistill.errors import ExportError
from edgedistill.models.views import ExportView
from edgedistill.progress import hushed
from edgedistill.quant.litert_weights import quantized
from edgedistill.targets import Exported
from edgedistill.targets.tflite.runtime import interpreter

if TYPE_CHECKING:
    from edgedistill.targets.tflite import Config

_BUCKETS = (32, 64, 128, 256)


class _Named(nn.Module):
    """The view with its outputs in a dictionary, so that the file's signatures carry their names."""

    def __init__(self, view: ExportView) -> None:
        super().__init__()
        self.view = view

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(zip(self.view.output_names, self.view(**inputs), strict=True))


def export(view: ExportView, cfg: Config, folder: Path) -> Exported:
    """Write the model file; see the target's `export`."""
    if cfg.max_length > view.max_positions:
        raise ExportError(f"max_length is {cfg.max_length}; the model has only {view.max_positions} positions.")
    if view.max_unrolled is not None and cfg.max_length > view.max_unrolled:
        raise ExportError(
            f"LiteRT has no LSTM of variable length: it is written out step by step, up to {view.max_unrolled} tokens; "
            f"max_length is {cfg.max_length}. Use --target onnx, where it is one operator at any length, or cut text "
            f"there: --set max_length={view.max_unrolled}."
        )
    lengths = cfg.lengths or tuple(sorted({*(size for size in _BUCKETS if size < cfg.max_length), cfg.max_length}))
    if lengths[-1] > cfg.max_length:
        raise ExportError(f"the longest of lengths is {lengths[-1]}, above max_length, {cfg.max_length}.")
    path = folder / "model.tflite"
    _convert(view, lengths, path)
    quantization = None
    if cfg.scheme != "fp32":
        kept = quantized(path, cfg.scheme)
        tool = f"ai-edge-quantizer {version('ai-edge-quantizer')}"
        quantization = Quantization(scheme=cfg.scheme, tool=tool, kept_float=kept)
    graphs = _graphs(path, lengths)
    return Exported((path,), graphs, Buckets(graphs=tuple(graph.name for graph in graphs)), quantization)


def _convert(view: ExportView, lengths: tuple[int, ...], path: Path) -> None:
    try:
        with hushed():
            converter: Any = litert_torch
            for length in lengths:
                example = view.example_inputs(1, length, "int32")
                converter = converter.signature(_signature(length), _Named(view).eval(), sample_kwargs=example)
            converter.convert().export(str(path))
    except OSError:
        raise
    except Exception as error:  # the converter's errors share no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"the LiteRT converter refused the model: {reason}") from error


def _signature(length: int) -> str:
    return f"length_{length}"


def _graphs(path: Path, lengths: tuple[int, ...]) -> tuple[Graph, ...]:
    """What the file itself says of its signatures."""
    model = interpreter(path, threads=1)
    graphs = []
    for length in lengths:
        call = model.get_signature_runner(_signature(length))
        inputs, outputs = (_tensors(d) for d in (call.get_input_details(), call.get_output_details()))
        graphs.append(
            Graph(
                name=_signature(length),
                file=path.name,
                signature=_signature(length),
                length=length,
                inputs=inputs,
                outputs=outputs,
            )
        )
    return tuple(graphs)


def _tensors(details: dict[str, Any]) -> tuple[Tensor, ...]:
    in_order = sorted(details.items(), key=lambda item: int(item[1]["index"]))
    return tuple(
        Tensor(name=name, dtype=detail["dtype"].__name__, shape=tuple(int(size) for size in detail["shape"]))
        for name, detail in in_order
    )
