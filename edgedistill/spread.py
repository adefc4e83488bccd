"""The figures of single times, whoever measured them: percentiles, deviation, and whether they rose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

DECIMALS = 4
"""Digits kept of a millisecond: a tenth of a microsecond, finer than any clock call."""
THROTTLED_RATIO = 1.10
"""A last third this much slower than the first one means the processor was slowed down meanwhile."""


def spread(samples_ms: Sequence[float]) -> dict[str, Any]:
    """The fields that `Latency` and `StatedLatency` share.

    Args:
        samples_ms: single times in milliseconds; at least one.

    Returns:
        Percentiles by linear interpolation, population standard deviation.
    """
    values = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p95, p99 = np.percentile(values, (50, 90, 95, 99))
    found = {
        "p50_ms": p50, "p90_ms": p90, "p95_ms": p95, "p99_ms": p99,
        "min_ms": values.min(), "max_ms": values.max(), "mean_ms": values.mean(), "std_ms": values.std(),
    }  # fmt: skip
    return {"runs": len(values), **{name: round(float(value), DECIMALS) for name, value in found.items()}}


def is_throttled(samples_ms: Sequence[float]) -> bool:
    """Whether the last third's median is more than 10 % above the first third's."""
    third = len(samples_ms) // 3
    if not third:
        return False
    return float(np.median(samples_ms[-third:])) > THROTTLED_RATIO * float(np.median(samples_ms[:third]))
