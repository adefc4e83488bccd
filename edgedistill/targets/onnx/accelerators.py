"""The accelerator form: fixed shapes, standard operators, 32-bit inputs; and what ONNX Runtime's checker says of it."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnx import TensorProto, shape_inference
from onnxruntime.tools.mobile_helpers import usability_checker

from edgedistill.artifacts import Delegation
from edgedistill.errors import ArtifactError, ExportError

_ERRORS_ONLY = 3
_CORE_ML = {
    "Core ML, ML program": "coreml_supported_mlprogram_ops.md",
    "Core ML, neural network": "coreml_supported_neuralnetwork_ops.md",
}
_QNN = "qnn_supported_ops.md"
_FIXED_LENGTH = 128


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of fixed shapes with everything computed that follows from them, and int32 inputs.

    NNAPI looks up rows by 32-bit numbers only, and takes no shape that is computed while it runs.

    Raises:
        ExportError: an operator that is not of the ONNX standard is in it.
    """
    for value in model.graph.input:
        value.type.tensor_type.elem_type = TensorProto.INT32
    result = _computed_ahead(model)
    foreign = sorted(
        {f"{node.domain}.{node.op_type}" for node in result.graph.node if node.domain not in {"", "ai.onnx"}}
    )
    if foreign:
        raise ExportError(f"the accelerator form holds {', '.join(foreign)}, which are not of the ONNX standard.")
    standard = [opset for opset in result.opset_import if opset.domain in {"", "ai.onnx"}]
    del result.opset_import[:]
    result.opset_import.extend(standard)
    return result


def _computed_ahead(model: onnx.ModelProto, beside: Path | None = None) -> onnx.ModelProto:
    """The graph without what follows from constants and fixed shapes; weights may lie `beside` it."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        if beside is not None:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(beside))
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def delegations(model: onnx.ModelProto) -> tuple[Delegation, ...]:
    """What ONNX Runtime's mobile usability checker says of NNAPI, Core ML and QNN, from lists of operators.

    The checker brings its own lists of the first two; QNN's is the one ONNX Runtime's documentation publishes.
    """
    shaped, checker = shape_inference.infer_shapes(model), f"onnxruntime {version('onnxruntime')}, usability checker"
    found = {"NNAPI": usability_checker.check_nnapi_partitions(shaped, True)}
    found |= {name: usability_checker.check_coreml_partitions(shaped, True, file) for name, file in _CORE_ML.items()}
    made = [_delegation(shaped, name, info, f"{checker}, its list for {name}") for name, info in found.items()]
    with as_file(files(__package__).joinpath(_QNN)) as path:
        info = usability_checker._check_ep_partitioning(shaped, path, True)
    return (*made, _delegation(shaped, "QNN", info, f"{checker} over the operators in ONNX Runtime's documentation"))


def delegations_of_file(path: Path) -> tuple[Delegation, ...]:
    """The same of any file, with free sizes fixed (batch 1, everything else 128), as an app would fix them.

    Raises:
        ArtifactError: ONNX Runtime refuses it so.
    """
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for place, axis in enumerate(value.type.tensor_type.shape.dim):
            if axis.dim_param or not axis.dim_value:
                axis.dim_value = _FIXED_LENGTH if place else 1
    del model.graph.value_info[:]  # the free sizes are in there too
    try:
        return delegations(_computed_ahead(model, path.parent))
    except Exception as error:  # ONNX Runtime's errors share no base class
        reason = (str(error).splitlines() or ["no reason"])[0]
        raise ArtifactError(f"with fixed sizes ONNX Runtime refuses it: {reason}") from error


def _delegation(model: onnx.ModelProto, name: str, info: Any, source: str) -> Delegation:
    taken = {id(node) for group in info.supported_groups for node in group}
    return Delegation(
        accelerator=name,
        nodes=info.num_nodes,
        delegated=info.num_supported_nodes,
        partitions=info.num_partitions,
        unsupported=tuple(sorted(info.unsupported_ops)),
        left=tuple(f"{node.op_type} '{node.name}'" for node in model.graph.node if id(node) not in taken),
        advice=info.suitability().name.lower(),
        source=source,
    )
