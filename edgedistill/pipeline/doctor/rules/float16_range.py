"""Float16's range, layer by layer: real text is run, and values that float16 does not hold are named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgedistill.pipeline.doctor.model import Model, Net
from edgedistill.pipeline.doctor.rules import Found, NotLookedAt

FORMATS = ("onnx", "tflite")
HINT = (
    "What leaves the range becomes infinite in float16, and NaN soon after. Keep such operators in float32, or export "
    "int8; GPUs and neural engines compute in float16 without being asked."
)
_LARGEST = 65504.0
_NEAR = 0.5
"""Share of the range from which other text may well leave it."""
_NORMS = {"LayerNormalization", "SkipLayerNormalization", "RMSNormalization"}


def found(model: Model) -> Iterator[Found]:
    """Run a few texts and look at the largest value of every tensor, and at the squares inside norms."""
    net = model.nets[0]
    texts = model.texts(net)
    if not texts:
        raise NotLookedAt("it runs real text, and there is no tokenizer.json beside the file.")
    reach: dict[str, float] = {}
    for inputs in texts:
        for name, values in model.watched(net, inputs).items():
            if values.size and values.dtype != np.float16 and not _is_sum_of_integers(net, name):
                reach[name] = max(reach.get(name, 0.0), float(np.abs(values).max()))
    over = {name: value for name, value in reach.items() if not value <= _LARGEST}
    for name in over:
        if not any(source in over for source in (net.producers[name].inputs if name in net.producers else ())):
            yield Found("warning", f"'{_place(net, name)}' reaches {over[name]:.3g} on real text.")
    for name, value in _squares(net, reach).items():
        yield Found("warning", f"the norm '{name}' squares {value:.0f}: {value**2:.3g}.")
    if not over and reach:
        name = max(reach, key=lambda one: reach[one])
        yield Found(
            "note" if reach[name] > _NEAR * _LARGEST else "ok",
            f"{len(texts)} texts: largest of {len(reach)} tensors is {reach[name]:.4g} in '{_place(net, name)}', "
            f"{100 * reach[name] / _LARGEST:.2g} % of {_LARGEST:.0f}.",
        )


def _is_sum_of_integers(net: Net, name: str) -> bool:
    """Whether a tensor holds integers of a quantized product before they get their scale."""
    node = net.producers.get(name)
    source = net.values.get(node.inputs[0]) if node is not None and node.op in {"Cast", "CAST"} else None
    return source is not None and not source.is_float


def _squares(net: Net, reach: dict[str, float]) -> dict[str, float]:
    """What norms read that is beyond float16 once squared: an upper bound, as the mean is taken off first."""
    read = {node.name: reach.get(node.inputs[0], 0.0) for node in net.nodes if node.op in _NORMS}
    return {name: value for name, value in read.items() if _LARGEST < value**2 < np.inf}


def _place(net: Net, name: str) -> str:
    node = net.producers.get(name)
    return f"{node.op} {node.name}" if node is not None else name
