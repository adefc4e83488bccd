"""Rows of nothing but padding: a softmax or a mean over no token is NaN, and NaN spreads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found, NotLookedAt

FORMATS = ("onnx", "tflite")
HINT = (
    "An app that fills its batch with empty rows gets it. Mask with -1e4 instead of -inf, and divide means by "
    "max(count, 1)."
)


def found(model: Model) -> Iterator[Found]:
    """Run one row whose mask is 0 throughout."""
    net = model.nets[0]
    inputs = model.nothing_but_padding(net)
    if inputs is None:
        raise NotLookedAt("the graph has no attention mask among its inputs.")
    seen = model.watched(net, inputs)
    for name in net.outputs:
        if name in seen and not np.isfinite(seen[name]).all():
            first = next((n for n, value in seen.items() if not np.isfinite(value).all()), name)
            yield Found("broken", f"output '{name}' is not finite; the first tensor that is not is '{first}'.")
