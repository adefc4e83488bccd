"""Tiny model files, each with one thing in it that a rule looks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32


def write_onnx(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 20,
) -> Path:
    """An ONNX file; every output is float32 of any shape."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    domains = sorted({node.domain for node in nodes} - {""})
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def write_tflite(
    path: Path,
    operators: Sequence[tuple[str, int, list[int], list[int]]],
    tensors: Sequence[tuple[str, str, list[int], np.ndarray | None, int]],
    inputs: list[int],
    outputs: list[int],
) -> Path:
    """A LiteRT file of one graph.

    Args:
        path: where to.
        operators: kind, version, and the places of the tensors it reads and writes.
        tensors: name, type (FLOAT32), shape, stored values, and how many scales they have.
        inputs, outputs: places of tensors.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph = schema.SubGraphT()
    graph.name, graph.tensors, graph.operators = b"tiny", [], []
    graph.inputs, graph.outputs = inputs, outputs
    for name, kind, shape, values, scales in tensors:
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name.encode(), getattr(schema.TensorType, kind), shape
        tensor.buffer = 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.ones(scales, np.float32)
            tensor.quantization.zeroPoint = np.zeros(scales, np.int64)
        graph.tensors.append(tensor)
    for kind, version, read, written in operators:
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = read, written
        graph.operators.append(operator)
    model.subgraphs = [graph]
    flatbuffer_utils.write_model(model, str(path))
    return path
