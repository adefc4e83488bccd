"""LiteRT files for the rules, read by the schema's own classes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from tokenizers import Tokenizer

from edgedistill.errors import ArtifactError
from edgedistill.pipeline.doctor.model import Array, Model, Net, Node, Value
from edgedistill.progress import hushed
from edgedistill.runner import Arrays

_MAGIC = b"TFL3"


def read(path: Path, tokenizer: Tokenizer | None) -> Model:
    """Read a file.

    Raises:
        ArtifactError: no LiteRT file.
    """
    with path.open("rb") as file:
        if file.read(8)[4:] != _MAGIC:
            raise ArtifactError(f"'{path}' is cut short or no LiteRT file: bytes 4 to 8 are not TFL3.")
    try:
        model = flatbuffer_utils.read_model(path)
        names = _signatures(model)
        nets = tuple(_net(model, graph, names.get(place, "")) for place, graph in enumerate(model.subgraphs))
    except Exception as error:  # the schema's classes check nothing: a damaged file fails anywhere
        raise ArtifactError(f"'{path}' is cut short or no LiteRT file: {error}.") from error
    return Model(path, "tflite", nets, partial(_watched, path, nets), None, _packed(path), tokenizer)


def _signatures(model: Any) -> dict[int, str]:
    return {entry.subgraphIndex: _text(entry.signatureKey) for entry in model.signatureDefs or ()}


def _net(model: Any, graph: Any, signature: str) -> Net:
    unique = [f"{_text(tensor.name)}#{place}" for place, tensor in enumerate(graph.tensors)]
    values = {name: _value(name, tensor) for name, tensor in zip(unique, graph.tensors, strict=True)}
    tensors = dict(zip(unique, graph.tensors, strict=True))

    def constant(name: str) -> Array | None:
        data = model.buffers[tensors[name].buffer].data if name in tensors else None
        known = values[name].dtype if name in values else ""
        if data is None or len(data) == 0 or known not in _NUMPY:
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.dtype(known))

    def named(places: Any) -> tuple[str, ...]:
        return tuple(unique[place] if place >= 0 else "" for place in (places if places is not None else ()))

    nodes = tuple(
        Node(
            op=flatbuffer_utils.opcode_to_name(model, op.opcodeIndex) or "unknown",
            name=_text(model.operatorCodes[op.opcodeIndex].customCode) or _short(named(op.outputs)[0]),
            inputs=named(op.inputs),
            outputs=named(op.outputs),
            version=model.operatorCodes[op.opcodeIndex].version,
        )
        for op in graph.operators
    )
    name = signature or _text(graph.name) or "main"
    return Net(name, nodes, values, named(graph.inputs), named(graph.outputs), constant)


_NUMPY = {"float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"}


def _value(name: str, tensor: Any) -> Value:
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    return Value(
        name=name,
        dtype=flatbuffer_utils.type_to_name(tensor.type).lower(),
        shape=None if shape is None else tuple(int(size) for size in shape),
        scales=0 if scales is None else len(scales),
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _short(name: str) -> str:
    """The last part of the modules that an exporter puts before a tensor's name, and its number."""
    path, _, number = name.rpartition("#")
    return f"{path.partition(';')[0].rpartition('/')[2]}#{number}"


def _packed(path: Path) -> tuple[str, ...]:
    """Names of the files in the archive that metadata writers append."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except zipfile.BadZipFile:
        return ()


def _watched(path: Path, nets: tuple[Net, ...], net: Net, inputs: Arrays) -> Mapping[str, Array]:
    """Every float tensor of a graph, computed by the reference operators: delegates keep theirs to themselves."""
    place = nets.index(net)
    try:
        with hushed():
            model = Interpreter(
                model_path=str(path),
                num_threads=1,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            if place:
                raise ArtifactError("only the first graph of a file can be watched.")
            model.allocate_tensors()
            for name, value in inputs.items():
                model.set_tensor(_place(name), value)
            model.invoke()
        return {name: model.get_tensor(_place(name)) for name in _computed(net)}
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"LiteRT refuses it: {(str(error).splitlines() or ['no reason'])[0]}") from error


def _place(name: str) -> int:
    return int(name.rpartition("#")[2])


def _computed(net: Net) -> list[str]:
    return [name for node in net.nodes for name in node.outputs if net.values[name].is_float]
