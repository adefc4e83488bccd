"""From an export view to ONNX files."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch
from onnx.external_data_helper import convert_model_to_external_data, write_external_data_tensors

from edgedistill.artifacts import Graph, Quantization, Tensor
from edgedistill.errors import ExportError
from edgedistill.models.views.pieces import MODEL, Piece, View, graph_name
from edgedistill.progress import hushed
from edgedistill.quant.onnx_weights import apply_scheme
from edgedistill.targets import Exported, refuse_too_long
from edgedistill.targets.onnx import auto
from edgedistill.targets.onnx.accelerators import delegations, folded
from edgedistill.targets.onnx.ort_format import converted

if TYPE_CHECKING:
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.targets.onnx import Config

_EXAMPLE = (2, 16)
"""Batch and length of the example input. A size of 1 would be taken for a constant by the exporter."""
_WEIGHTS = "weights.bin"
_FOR_ACCELERATORS = ("fp32", "int8_static", "w8a16")
_OPSET_OF_16_BITS = 21


def export(
    view: View, cfg: Config, folder: Path, calibration: Calibration | None = None, judge: Judge | None = None
) -> Exported:
    """Write the model files; see the target's `export`."""
    refuse_too_long(view, cfg)
    if cfg.format == "ort" and len(cfg.lengths) > 1:
        raise ExportError(
            f"ONNX Runtime's own format shares no weights between files; lengths are {cfg.lengths}. Export one length "
            "or any length, or set format=onnx."
        )
    written = (
        _onnx(view, cfg, folder, calibration) if judge is None else _searched(view, cfg, folder, calibration, judge)
    )
    return _as_ort(written, cfg.scheme) if cfg.format == "ort" else written


def _as_ort(written: Exported, scheme: str) -> Exported:
    """The same in ONNX Runtime's own format.

    Raises:
        ExportError: weights are in a file of their own, which that format does not know.
    """
    beside = [path.name for path in written.model_files if path.suffix != ".onnx"]
    if beside:
        raise ExportError(f"the weights are in '{beside[0]}'; ONNX Runtime's own format knows no such files.")
    paths = {path.name: converted(path, scheme) for path in written.model_files}
    graphs = tuple(graph.model_copy(update={"file": paths[graph.file].name}) for graph in written.graphs)
    return replace(written, model_files=tuple(paths.values()), graphs=graphs)


def _onnx(view: View, cfg: Config, folder: Path, calibration: Calibration | None) -> Exported:
    if cfg.form == "accelerator":
        return _for_accelerators(view, cfg, folder, calibration)
    files: list[Path] = []
    graphs: list[list[Graph]] = []
    kept: dict[str, str] = {}
    for piece in view.pieces:
        model = _float_model(piece, cfg.opset)
        quantized = apply_scheme(model, cfg.scheme, calibration, cfg.calibration_method)
        paths, own = _written(quantized.model, piece.name, cfg, folder)
        files += paths
        graphs.append([graph.model_copy(update={"state": piece.state}) for graph in own])
        kept |= quantized.kept_float
    driver = view.driver([tuple(graph.name for graph in own) for own in graphs], bool(cfg.lengths))
    return Exported(tuple(files), tuple(chain(*graphs)), driver, _quantization(cfg, kept), cfg.opset)


def _searched(view: View, cfg: Config, folder: Path, calibration: Calibration | None, judge: Judge) -> Exported:
    """The files of scheme auto, and how it was found.

    Raises:
        ExportError: a model of several graphs, or the accelerator form.
        BudgetError: nothing meets the budget.
    """
    if cfg.form == "accelerator" or len(view.pieces) > 1 or calibration is None:
        raise ExportError("scheme 'auto' searches one graph of the cpu form. Choose another scheme for this model.")
    piece = view.pieces[0]
    found, report = auto.search(_float_model(piece, cfg.opset), cfg.base, calibration, judge)
    paths, graphs = _written(found.model, piece.name, cfg, folder)
    driver = view.driver([tuple(graph.name for graph in graphs)], bool(cfg.lengths))
    quantization = _quantization(cfg, found.kept_float)
    assert quantization is not None
    quantization = quantization.model_copy(update={"search": report})
    return Exported(tuple(paths), tuple(graphs), driver, quantization, cfg.opset)


def _for_accelerators(view: View, cfg: Config, folder: Path, calibration: Calibration | None) -> Exported:
    """One file of one length, and what the checker says of it.

    Raises:
        ExportError: a scheme whose operators accelerators do not have, several lengths, or a model of several graphs.
    """
    if cfg.scheme not in _FOR_ACCELERATORS:
        raise ExportError(
            f"the accelerator form does not do scheme '{cfg.scheme}', it does: {', '.join(_FOR_ACCELERATORS)}."
        )
    if cfg.scheme == "w8a16" and cfg.opset < _OPSET_OF_16_BITS:
        raise ExportError(
            f"opset {cfg.opset} has no 16-bit ranges of its own; accelerators read standard operators only. "
            f"Give --set opset={_OPSET_OF_16_BITS}."
        )
    if len(cfg.lengths) > 1:
        raise ExportError(f"the accelerator form has one length; lengths are {cfg.lengths}. Export each by itself.")
    if len(view.pieces) > 1:
        raise ExportError(
            f"the accelerator form is one graph; this model has {len(view.pieces)}. Of early exits --set exits=false "
            "makes one; otherwise use the cpu form."
        )
    length, piece = cfg.lengths[0] if cfg.lengths else cfg.max_length, view.pieces[0]
    model = _float_model(piece, cfg.opset)
    quantized = apply_scheme(model, cfg.scheme, calibration, cfg.calibration_method)
    _fix_axes(quantized.model, {"batch": 1, "length": length})
    model = folded(quantized.model)
    _strip(model)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = _graph(model, graph_name(piece.name, length), path.name, length)
    driver, found = view.driver([(graph.name,)], is_fixed=True), delegations(model)
    return Exported((path,), (graph,), driver, _quantization(cfg, quantized.kept_float), cfg.opset, found)


def _quantization(cfg: Config, kept: dict[str, str]) -> Quantization | None:
    if cfg.scheme == "fp32":
        return None
    tool = f"edgedistill {version('edgedistill')}, onnx {version('onnx')}"
    return Quantization(scheme=cfg.scheme, tool=tool, kept_float=kept)


def _float_model(piece: Piece, opset: int) -> onnx.ModelProto:
    """The float32 graph with free axes `batch` and `length`, int64 inputs, and nothing about this machine in it."""
    example = tuple(piece.example_inputs(*_EXAMPLE).values())
    free = torch.export.Dim.DYNAMIC
    try:
        with hushed("converting to ONNX"):
            program = torch.onnx.export(
                piece,
                example,
                dynamo=True,
                input_names=list(piece.input_names),
                output_names=list(piece.output_names),
                dynamic_shapes={name: dict.fromkeys(axes, free) for name, axes in piece.free_axes.items()},
                opset_version=opset,
                verbose=False,
            )
            assert program is not None
            model = program.model_proto
    except OSError:
        raise
    except Exception as error:  # the exporter's errors share no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"the ONNX exporter refused the model: {reason}") from error
    _name_axes(model)
    _name_weights(model)
    _strip(model)
    return model


def _name_axes(model: onnx.ModelProto) -> None:
    """Call the free axes `batch` and `length` instead of by the exporter's symbols.

    Raises:
        ExportError: the exporter took one for a constant.
    """
    first = model.graph.input[0].type.tensor_type.shape.dim
    names = {first[0].dim_param: "batch", first[1].dim_param: "length"}
    if "" in names:
        raise ExportError("the ONNX exporter fixed the batch size or the length. Please report this model's config.")
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = names.get(axis.dim_param, axis.dim_param)


def _name_weights(model: onnx.ModelProto) -> None:
    """Name the matrices of linears after their biases: the exporter transposes them and forgets their names."""
    products = {node.output[0]: node for node in model.graph.node if node.op_type == "MatMul"}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        product = next((products[name] for name in node.input if name in products), None)
        bias = next((name for name in node.input if name.endswith(".bias")), None)
        if node.op_type != "Add" or product is None or bias is None:
            continue
        tensor = tensors.get(product.input[1])
        name = f"{bias.removesuffix('.bias')}.weight"
        if tensor is not None and name not in tensors:
            tensors[name] = tensor
            tensor.name = product.input[1] = name


def _strip(model: onnx.ModelProto) -> None:
    """Remove stack traces, module paths and the like: they hold this machine's paths and half of a small file."""
    model.producer_name, model.producer_version = "edgedistill", version("edgedistill")
    model.doc_string = ""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    graph.name, graph.doc_string = "model", ""
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        item.doc_string = ""
        del item.metadata_props[:]


def _written(model: onnx.ModelProto, piece: str, cfg: Config, folder: Path) -> tuple[list[Path], list[Graph]]:
    """One file of any length, or one per length with batch 1; several share a file of weights they all point to.

    A single file has its weights beside it where they are more than `external_above` bytes.
    """
    stem, lengths = piece.replace("_", "-"), cfg.lengths
    weights = folder / (_WEIGHTS if piece == MODEL else f"{stem}-{_WEIGHTS}")
    is_large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > cfg.external_above
    paths: list[Path] = []
    if len(lengths) > 1 or is_large:
        convert_model_to_external_data(model, location=weights.name)
        model = write_external_data_tensors(model, str(folder))
        paths.append(weights)
    if not lengths:
        path = folder / f"{stem}.onnx"
        path.write_bytes(model.SerializeToString())
        return [*paths, path], [_graph(model, graph_name(piece, None), path.name, None)]
    graphs = []
    for length in lengths:
        path = folder / (f"{stem}-{length}.onnx" if len(lengths) > 1 else f"{stem}.onnx")
        fixed = onnx.ModelProto()
        fixed.CopyFrom(model)
        _fix_axes(fixed, {"batch": 1, "length": length})
        path.write_bytes(fixed.SerializeToString())
        paths.append(path)
        graphs.append(_graph(fixed, graph_name(piece, length), path.name, length))
    return paths, graphs


def _fix_axes(model: onnx.ModelProto, sizes: dict[str, int]) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in sizes:
                axis.dim_value = sizes[axis.dim_param]


def _graph(model: onnx.ModelProto, name: str, file: str, length: int | None) -> Graph:
    inputs, outputs = (tuple(map(_tensor, values)) for values in (model.graph.input, model.graph.output))
    return Graph(name=name, file=file, length=length, inputs=inputs, outputs=outputs)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_param or axis.dim_value for axis in kind.shape.dim)
    return Tensor(name=value.name, dtype=onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape=shape)
