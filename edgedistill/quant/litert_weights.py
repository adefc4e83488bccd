"""Weight schemes of LiteRT files, by ai-edge-quantizer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager

from edgedistill.progress import hushed

DYNAMIC = "int8_dynamic"
"""The scheme whose products are of integers; activations become some when it runs."""
NOT_WEIGHTS = {
    "position embeddings, norms, biases, softmax, products of activations": "not weights of a matrix product"
}


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
        model = read(tool.quantize().quantized_model)
        share_scales(model)
        flatbuffer_utils.write_model(model, str(path))
    return dict(NOT_WEIGHTS)


def read(content: bytes | bytearray) -> Any:
    """A file's tables, every buffer of them an array: what is not one is written byte by byte in Python."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(buffer.data, dtype=np.uint8)
    return model


def _recipe(scheme: str) -> Any:
    if scheme == DYNAMIC:
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


def share_weights(model: Any) -> None:
    """Let tensors of equal content refer to one buffer.

    The quantizer stores what it leaves in float once for every length.
    """
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    contents = {place: model.buffers[place].data for place in {tensor.buffer for tensor in tensors}}
    first: dict[bytes, int] = {}
    same = {
        place: first.setdefault(hashlib.sha256(data).digest(), place)
        for place, data in sorted(contents.items())
        if data is not None
    }
    for tensor in tensors:
        tensor.buffer = same.get(tensor.buffer, tensor.buffer)
    for place in same.keys() - set(same.values()):
        model.buffers[place].data = None


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
