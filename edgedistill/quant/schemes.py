"""The schemes: what is stored in how many bits, and what that may cost (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """One precision.

    Attributes:
        name: what the user types.
        summary: one line for `edgedistill ls schemes`.
        weights: bits a weight takes in the file.
        activations: bits an activation takes inside a matrix product.
        is_calibrated: whether it needs calibration text.
        is_searched: whether a search decides what is stored how, on labelled rows.
    """

    name: str
    summary: str
    weights: int
    activations: int
    is_calibrated: bool = False
    is_searched: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether weights are integers, so that answers are compared by agreement and metric."""
        return self.weights <= 8


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("fp32", "32-bit floats throughout: the reference", 32, 32),
        Scheme("fp16", "16-bit float weights: half the size, the same answers to three digits", 16, 16),
        Scheme("int8_dynamic", "8-bit weights and products: a quarter of the size", 8, 8),
        Scheme("int8_static", "8-bit weights and products, ranges fixed on calibration text", 8, 8, True),
        Scheme("w8a16", "8-bit weights, 16-bit activations in fixed ranges: for NPUs", 8, 16, True),
        Scheme("int8_weight", "8-bit weights, float arithmetic: small, exact enough for old runtimes", 8, 32),
        Scheme("int4_weight", "4-bit weights in blocks of 32, float arithmetic: the smallest file", 4, 32),
        Scheme("auto", "an integer scheme with the fewest weights in float that meet a budget", 8, 8, is_searched=True),
    )
}

LEAST_NUMBERS = 1024
"""Smaller weights stay in float in every scheme of integers: nothing is gained."""
LEAST_OUTPUTS = 16
"""Products with fewer outputs stay in float too: they give the numbers of the answer itself."""

SEARCHED = frozenset(name for name, scheme in SCHEMES.items() if scheme.is_searched)
"""Schemes that need labelled rows to be made."""
