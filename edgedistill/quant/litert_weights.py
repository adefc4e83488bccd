"""Weight schemes of LiteRT files, by ai-edge-quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager

from edgedistill.progress import hushed


def quantized(path: Path, scheme: str) -> dict[str, str]:
    """Replace a float32 file by its quantized form.

    Args:
        path: the .tflite file.
        scheme: fp16, int8_weight or int8_dynamic.

    Returns:
        What was left in float, each with the reason.
    """
    with hushed():
        tool = quantizer.Quantizer(str(path))
        tool.load_quantization_recipe(_recipe(scheme))
        model = flatbuffer_utils.read_model_from_bytearray(tool.quantize().quantized_model)
        share_scales(model)
        flatbuffer_utils.write_model(model, str(path))
    return {"position embeddings, norms, biases, softmax, products of activations": "not weights of a matrix product"}


def _recipe(scheme: str) -> Any:
    if scheme == "int8_dynamic":
        return recipe.dynamic_wi8_afp32()
    if scheme == "int8_weight":
        return recipe.weight_only_wi8_afp32()
    manager = recipe_manager.RecipeManager()
    for operation in (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.EMBEDDING_LOOKUP):
        manager.add_quantization_config(
            regex=".*",
            operation_name=operation,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key=recipe.AlgorithmName.FLOAT_CASTING,
        )
    return manager.get_quantization_recipe()


def share_scales(model: Any) -> None:
    """Let the graphs of several lengths refer to one copy of a tensor's scales, as they do to one of its weights.

    Every graph otherwise brings 12 bytes for each row and channel: four lengths of a small student would weigh 1.35
    times one.
    """
    known: dict[tuple[bytes, ...], _Once] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            scales = tensor.quantization
            if scales is not None and scales.scale is not None:
                content = tuple(np.asarray(getattr(scales, name)).tobytes() for name in _CONTENT)
                tensor.quantization = known.setdefault(content, _Once(scales))


_CONTENT = ("scale", "zeroPoint", "min", "max", "quantizedDimension")


class _Once:
    """A part of a flatbuffer that is written once and then referred to."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self._place: int | None = None

    def Pack(self, builder: Any) -> int:  # the name that the schema's classes call
        if self._place is None:
            self._place = int(self._part.Pack(builder))
        return self._place
