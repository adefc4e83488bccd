"""From raw times to the numbers that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgedistill.measure.modes import Mode
from edgedistill.reports import Latency
from edgedistill.spread import DECIMALS, spread


def milliseconds(seconds: Sequence[float]) -> tuple[float, ...]:
    """Times in milliseconds, rounded to a tenth of a microsecond."""
    return tuple(round(1000.0 * value, DECIMALS) for value in seconds)


def latency(samples_ms: Sequence[float], first_ms: float, load_ms: float) -> Latency:
    """Summarise measured times.

    Args:
        samples_ms: every measured time, milliseconds, warm-up left out; at least one.
        first_ms: the very first inference after loading.
        load_ms: reading the model and making it ready.

    Returns:
        The figures of `spread`, and those two.
    """
    return Latency(
        **spread(samples_ms),
        first_ms=round(first_ms, DECIMALS),
        load_ms=round(load_ms, DECIMALS),
    )


def validity(runs: int, seconds: float, mode: Mode) -> Literal["valid", "semi", "invalid"]:
    """MLPerf's word for a measurement: both minimums met, the duration only, or not even that."""
    if mode.is_met(runs, seconds):
        return "valid"
    return "semi" if seconds >= mode.min_seconds else "invalid"
