"""From an export view to one Core ML package: an ML program of any length, or a function per fixed length."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coremltools
import numpy as np
import torch
from coremltools.optimize import coreml as optimize

from edgedistill.artifacts import Graph, Quantization, Tensor
from edgedistill.errors import ExportError
from edgedistill.models.views.pieces import Piece, View, graph_name
from edgedistill.progress import hushed
from edgedistill.quant.schemes import SCHEMES
from edgedistill.targets import Exported, refuse_too_long
from edgedistill.targets.coreml.package import LEAST_WEIGHTS, MAIN, graphs_of

if TYPE_CHECKING:
    from edgedistill.targets.coreml import Config

SHORTEST = 4
"""Fewest tokens of a program of any length: sizes below are singular for the exporter (a trigram's, say)."""
PACKAGE = "model.mlpackage"
_WITH_PROGRAMS, _WITH_FUNCTIONS = "iOS 16, macOS 13", "iOS 18, macOS 15"
_DEBUGGING = "executorch_debug_handle_mapping.json"
"""What the converter leaves in a package for a debugger; no program reads it."""


def export(view: View, cfg: Config, folder: Path) -> Exported:
    """Write the package; see the target's `export`."""
    refuse_too_long(view, cfg)
    _refuse_unfit(view)
    lengths: tuple[int | None, ...] = cfg.lengths or (None,)
    piece, path = view.pieces[0], folder / PACKAGE
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        parts = {length: Path(beside) / f"{graph_name(piece.name, length)}.mlpackage" for length in lengths}
        try:
            with hushed(f"converting {len(lengths)} graphs to Core ML"):
                for length, part in parts.items():
                    _program(piece, length, cfg, is_one_of_many=len(lengths) > 1).save(str(part))
                _joined(parts, piece.name, path)
        except OSError:
            raise
        except Exception as error:  # the converter's errors share no base class
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"the Core ML converter refused the model: {reason}") from error
    (path / _DEBUGGING).unlink(missing_ok=True)
    graphs = _graphs(path, piece, lengths)
    driver = view.driver([tuple(graph.name for graph in graphs)], is_fixed=bool(cfg.lengths))
    written = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    needs = _WITH_FUNCTIONS if len(lengths) > 1 else _WITH_PROGRAMS
    return Exported(written, graphs, driver, _quantization(cfg), needs=needs)


def _refuse_unfit(view: View) -> None:
    """Make sure that the model is one graph of matrix products.

    Raises:
        ExportError: it is not.
    """
    if view.kind == "generation":
        raise ExportError("encoder-decoders cannot be exported to Core ML yet. Use --target onnx.")
    if view.max_unrolled is not None:
        raise ExportError("BiLSTMs cannot be exported to Core ML yet. Use --target onnx.")
    if len(view.pieces) > 1:
        raise ExportError(
            f"a Core ML program is one graph; this model has {len(view.pieces)}. Of early exits --set exits=false "
            "makes one; otherwise use --target onnx."
        )


def _program(piece: Piece, length: int | None, cfg: Config, is_one_of_many: bool) -> Any:
    """One ML program in the scheme's precision, its weights not yet loaded by any Core ML."""
    example = piece.example_inputs(1, length or cfg.max_length // 2, "int32")
    free = None if length else [{1: torch.export.Dim("length", min=SHORTEST, max=cfg.max_length)} for _ in example]
    with torch.no_grad():
        program = torch.export.export(piece, tuple(example.values()), dynamic_shapes=free).run_decompositions({})
    size = length or coremltools.RangeDim(SHORTEST, cfg.max_length, cfg.max_length)
    model = coremltools.convert(
        program,
        inputs=[coremltools.TensorType(name=name, shape=(1, size), dtype=np.int32) for name in example],
        outputs=[coremltools.TensorType(name=name, dtype=np.float32) for name in piece.output_names],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS18 if is_one_of_many else coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT32 if _bits(cfg) == 32 else coremltools.precision.FLOAT16,
        skip_model_load=True,
    )
    if cfg.scheme != "int8_weight":
        return model
    how = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=LEAST_WEIGHTS)
    return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=how))


def _joined(parts: dict[int | None, Path], piece: str, path: Path) -> None:
    """One package: the only part as it is, or all as functions that share their weights."""
    if len(parts) == 1:
        shutil.move(next(iter(parts.values())), path)
        return
    names = coremltools.utils.MultiFunctionDescriptor()
    for length, part in parts.items():
        names.add_function(str(part), src_function_name=MAIN, target_function_name=graph_name(piece, length))
    names.default_function_name = graph_name(piece, max(length for length in parts if length))
    coremltools.utils.save_multifunction(names, str(path))


def _graphs(path: Path, piece: Piece, lengths: tuple[int | None, ...]) -> tuple[Graph, ...]:
    """What the package itself says of its functions, under the names of the lengths."""
    found = graphs_of(path)
    graphs = []
    for length in lengths:
        name = graph_name(piece.name, length)
        signature = name if len(lengths) > 1 else MAIN
        own = found[signature]
        outputs = own.outputs if length else tuple(_of_any_length(piece, output) for output in own.outputs)
        graphs.append(own.model_copy(update={"name": name, "length": length, "outputs": outputs}))
    return tuple(graphs)


def _of_any_length(piece: Piece, output: Tensor) -> Tensor:
    """An output of a program of any length: the package leaves its shape open, the model knows it."""
    if output.shape:
        return output
    with torch.no_grad():
        example = piece(*piece.example_inputs(1, SHORTEST + 1, "int32").values())
    sizes = dict(zip(piece.output_names, example, strict=True))[output.name].shape
    is_long = len(sizes) == 3 or sizes[1:] == (SHORTEST + 1,)
    return output.model_copy(update={"shape": (1, "length", *sizes[2:]) if is_long else tuple(sizes)})


def _quantization(cfg: Config) -> Quantization | None:
    if cfg.scheme == "fp32":
        return None
    kept = {"norms, biases, softmax, products of activations": "not weights of a product"}
    tool = f"coremltools {version('coremltools')}"
    return Quantization(scheme=cfg.scheme, tool=tool, kept_float=kept, activations=_bits(cfg))


def _bits(cfg: Config) -> int:
    """Bits the program computes in."""
    if cfg.scheme == "int8_weight":
        return 16 if cfg.arithmetic == "fp16" else 32
    return SCHEMES[cfg.scheme].activations
