"""Products with fixed ranges: `QuantizeLinear` and `DequantizeLinear` around them, by ONNX Runtime's own quantizer."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edgedistill.progress import hushed
from edgedistill.quant.calibration import Calibration
from edgedistill.quant.onnx_integer import paired_channels

Method = Literal["minmax", "percentile", "entropy"]
_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
_ACTIVATIONS = {8: QuantType.QUInt8, 16: QuantType.QUInt16}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The calibration texts as ONNX Runtime's quantizer asks for them."""

    def __init__(self, calibration: Calibration, names: Collection[str]) -> None:
        self._left = ({name: inputs[name] for name in names} for inputs in calibration.inputs())

    def get_next(self) -> Mapping[str, Any] | None:
        return next(self._left, None)


def with_ranges(
    model: onnx.ModelProto,
    nodes: list[str],
    bits: int,
    calibration: Calibration,
    method: Method,
) -> onnx.ModelProto:
    """Quantize the products of that name: activations with one range per tensor, weights per output channel.

    Weights are signed, as accelerators want them, and where they meet 8-bit activations no pair of them saturates.

    Args:
        model: the graph; its other nodes stay as they are.
        nodes: names of `MatMul` nodes with constant weights.
        bits: of the activations, 8 or 16.
        calibration: text that the ranges are watched on.
        method: how a range is made of what was seen.

    Returns:
        The quantized graph.
    """
    weights = {node.input[1] for node in model.graph.node if node.name in nodes}
    floats = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name in weights}
    with tempfile.TemporaryDirectory() as folder, hushed():
        path = Path(folder) / "quantized.onnx"
        quantize_static(
            model,
            path,
            _Reader(calibration, [value.name for value in model.graph.input]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=_ACTIVATIONS[bits],
            weight_type=QuantType.QInt8,
            calibrate_method=_METHODS[method],
            extra_options={"WeightSymmetric": True, "DedicatedQDQPair": False, "MatMulConstBOnly": True},
        )
        quantized = onnx.load(path)
    if bits == 8:
        _pair_weights(quantized, floats)
    return quantized


def _pair_weights(model: onnx.ModelProto, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put weights on the grid of `paired` in place of the quantizer's own."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, weight in weights.items():
        for suffix, values in zip(("_quantized", "_scale"), paired_channels(weight), strict=True):
            tensor = stored[f"{name}{suffix}"]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
