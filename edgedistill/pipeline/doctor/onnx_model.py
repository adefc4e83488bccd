"""ONNX files for the rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference
from tokenizers import Tokenizer

from edgedistill.errors import ArtifactError
from edgedistill.pipeline.doctor.model import Array, Model, Net, Node, Value
from edgedistill.runner import Arrays

_STANDARD = {"", "ai.onnx"}
_ERRORS_ONLY = 3
_MOST_BYTES = 1_500_000_000


def read(path: Path, tokenizer: Tokenizer | None) -> Model:
    """Read a file with its shapes inferred.

    Raises:
        ArtifactError: no ONNX file.
    """
    try:
        model = onnx.load(path)
        if 0 < model.ByteSize() < _MOST_BYTES:
            model = shape_inference.infer_shapes(model)
    except Exception as error:  # errors of protobuf, of missing external data and of shapes share no base class
        raise ArtifactError(f"'{path}' is cut short or no ONNX file: {error}.") from error
    if not model.graph.node:
        raise ArtifactError(f"'{path}' is cut short or no ONNX file: it has no operators.")
    opset = next((entry.version for entry in model.opset_import if entry.domain in _STANDARD), None)
    return Model(path, "onnx", (_net(model),), _Watcher(path), opset, (), tokenizer)


def _net(model: onnx.ModelProto) -> Net:
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    constants = (node for node in graph.node if node.op_type == "Constant")
    stored |= {node.output[0]: a.t for node in constants for a in node.attribute if a.name == "value"}
    described = (*graph.input, *graph.value_info, *graph.output)
    values = {value.name: _value(value) for value in described if value.type.HasField("tensor_type")}
    values |= {name: Value(name, _dtype(tensor.data_type), tuple(tensor.dims)) for name, tensor in stored.items()}
    nodes = tuple(
        Node(
            op=node.op_type,
            name=node.name or (node.output[0] if node.output else node.op_type),
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            domain="" if node.domain in _STANDARD else node.domain,
        )
        for node in graph.node
        if node.op_type != "Constant"
    )

    def constant(name: str) -> Array | None:
        return numpy_helper.to_array(stored[name]) if name in stored else None

    inputs = tuple(value.name for value in graph.input if value.name not in stored)
    return Net(graph.name, nodes, values, inputs, tuple(value.name for value in graph.output), constant)


def _value(value: onnx.ValueInfoProto) -> Value:
    kind = value.type.tensor_type
    shape = tuple(axis.dim_param or (axis.dim_value if axis.HasField("dim_value") else "?") for axis in kind.shape.dim)
    return Value(value.name, _dtype(kind.elem_type), shape if kind.HasField("shape") else None)


def _dtype(number: int) -> str:
    try:
        return str(helper.tensor_dtype_to_np_dtype(number).name)
    except (KeyError, ValueError):
        return str(TensorProto.DataType.Name(number)).lower()


class _Watcher:
    """Runs a file as it stands, nothing fused, and gives every float tensor that is computed; loaded once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: onnxruntime.InferenceSession | None = None

    def __call__(self, net: Net, inputs: Arrays) -> Mapping[str, Array]:
        try:
            self._session = self._session or self._opened(net)
            answers = self._session.run(None, dict(inputs))
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise ArtifactError(f"ONNX Runtime refuses it: {(str(error).splitlines() or ['no reason'])[0]}") from error
        names = [value.name for value in self._session.get_outputs()]
        return {name: np.asarray(value) for name, value in zip(names, answers, strict=True) if value.dtype.kind == "f"}

    def _opened(self, net: Net) -> onnxruntime.InferenceSession:
        model = onnx.load(self._path, load_external_data=False)
        given = {value.name for value in model.graph.output}
        names = [
            name for node in net.nodes for name in node.outputs if name in net.values and net.values[name].is_float
        ]
        model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in given)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self._path.parent))
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
