"""From raw times to the numbers that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgedistill.measure.modes import Mode
from edgedistill.reports import Latency

THROTTLED_RATIO = 1.10
"""A last third this much slower than the first one means the processor was slowed down meanwhile."""

_DECIMALS = 4
"""Digits kept of a millisecond: a tenth of a microsecond, finer than any clock call."""


def milliseconds(seconds: Sequence[float]) -> tuple[float, ...]:
    """Times in milliseconds, rounded to a tenth of a microsecond."""
    return tuple(round(1000.0 * value, _DECIMALS) for value in seconds)


def latency(samples_ms: Sequence[float], first_ms: float, load_ms: float) -> Latency:
    """Summarise measured times.

    Args:
        samples_ms: every measured time, milliseconds, warm-up left out; at least one.
        first_ms: the very first inference after loading.
        load_ms: reading the model and making it ready.

    Returns:
        Percentiles by linear interpolation, population standard deviation.
    """
    values = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p95, p99 = (round(float(p), _DECIMALS) for p in np.percentile(values, (50, 90, 95, 99)))
    return Latency(
        runs=len(values),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        min_ms=float(values.min()),
        max_ms=float(values.max()),
        mean_ms=round(float(values.mean()), _DECIMALS),
        std_ms=round(float(values.std()), _DECIMALS),
        first_ms=round(first_ms, _DECIMALS),
        load_ms=round(load_ms, _DECIMALS),
    )


def validity(runs: int, seconds: float, mode: Mode) -> Literal["valid", "semi", "invalid"]:
    """MLPerf's word for a measurement: both minimums met, the duration only, or not even that."""
    if mode.is_met(runs, seconds):
        return "valid"
    return "semi" if seconds >= mode.min_seconds else "invalid"


def is_throttled(samples_ms: Sequence[float]) -> bool:
    """Whether the last third's median is more than 10 % above the first third's."""
    third = len(samples_ms) // 3
    if not third:
        return False
    return float(np.median(samples_ms[-third:])) > THROTTLED_RATIO * float(np.median(samples_ms[:third]))
