"""Smoothing: large channels of activations are scaled down, and the weights that read them up by as much.

A token's largest channel sets the scale of all its others. How much of a channel's reach its weights take over is the
rule of SmoothQuant (Xiao et al., 2023, arXiv:2211.10438, equation 4); how far each channel reaches is seen on text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STRENGTH = 0.5
"""Share of a channel's reach that moves to the weights: SmoothQuant's default."""
_TINY = 1e-5

Floats = NDArray[np.float32]


def channel_factors(reach: Floats, weights: Sequence[Floats]) -> Floats:
    """What each channel is divided by.

    Args:
        reach: (H,) largest absolute value of each channel.
        weights: (H, out) of every product that reads it.

    Returns:
        (H,) float32 with geometric mean 1.
    """
    strongest = np.maximum(np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0), _TINY)
    factors = np.maximum(reach, _TINY) ** STRENGTH / strongest ** (1 - STRENGTH)
    return np.asarray(factors / np.exp(np.log(factors).mean()), dtype=np.float32)
