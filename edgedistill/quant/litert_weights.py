"""Weight schemes of LiteRT files, by ai-edge-quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        tool.quantize().export_model(str(path), overwrite=True)
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
