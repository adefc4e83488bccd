"""Products with fixed ranges: `QuantizeLinear` and `DequantizeLinear` around them, by ONNX Runtime's own quantizer."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from edgedistill.progress import hushed
from edgedistill.quant.calibration import Calibration

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
    has_signed_weights: bool,
) -> onnx.ModelProto:
    """Quantize the products of that name: activations with one range per tensor, weights per output channel.

    Args:
        model: the graph; its other nodes stay as they are.
        nodes: names of `MatMul` nodes with constant weights.
        bits: of the activations, 8 or 16.
        calibration: text that the ranges are watched on.
        method: how a range is made of what was seen.
        has_signed_weights: as accelerators want them; otherwise they are unsigned around 128, which x86 processors
            without VNNI multiply exactly.

    Returns:
        The quantized graph.
    """
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
            weight_type=QuantType.QInt8 if has_signed_weights else QuantType.QUInt8,
            calibrate_method=_METHODS[method],
            extra_options={"WeightSymmetric": True, "DedicatedQDQPair": False, "MatMulConstBOnly": True},
        )
        return onnx.load(path)
