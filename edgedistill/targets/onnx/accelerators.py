"""The accelerator form: fixed shapes, standard operators, 32-bit inputs; and what ONNX Runtime's checker says of it."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto, shape_inference
from onnxruntime.tools.mobile_helpers import usability_checker

from edgedistill.artifacts import Delegation
from edgedistill.errors import ExportError

_ERRORS_ONLY = 3
_CORE_ML = {
    "Core ML, ML program": "coreml_supported_mlprogram_ops.md",
    "Core ML, neural network": "coreml_supported_neuralnetwork_ops.md",
}


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of fixed shapes with everything computed that follows from them, and int32 inputs.

    NNAPI looks up rows by 32-bit numbers only, and takes no shape that is computed while it runs.

    Raises:
        ExportError: an operator that is not of the ONNX standard is in it.
    """
    for value in model.graph.input:
        value.type.tensor_type.elem_type = TensorProto.INT32
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        result = onnx.load(options.optimized_model_filepath)
    foreign = sorted(
        {f"{node.domain}.{node.op_type}" for node in result.graph.node if node.domain not in {"", "ai.onnx"}}
    )
    if foreign:
        raise ExportError(f"the accelerator form holds {', '.join(foreign)}, which are not of the ONNX standard.")
    standard = [opset for opset in result.opset_import if opset.domain in {"", "ai.onnx"}]
    del result.opset_import[:]
    result.opset_import.extend(standard)
    return result


def delegations(model: onnx.ModelProto) -> tuple[Delegation, ...]:
    """What ONNX Runtime's mobile usability checker says of NNAPI and Core ML, from its lists of operators."""
    shaped = shape_inference.infer_shapes(model)
    found = {"NNAPI": usability_checker.check_nnapi_partitions(shaped, True)}
    found |= {name: usability_checker.check_coreml_partitions(shaped, True, file) for name, file in _CORE_ML.items()}
    return tuple(_delegation(name, info) for name, info in found.items())


def _delegation(name: str, info: Any) -> Delegation:
    return Delegation(
        accelerator=name,
        nodes=info.num_nodes,
        delegated=info.num_supported_nodes,
        partitions=info.num_partitions,
        unsupported=tuple(sorted(info.unsupported_ops)),
        advice=info.suitability().name.lower(),
        source=f"onnxruntime {version('onnxruntime')}, mobile usability checker",
    )
