"""What training costs: seconds of each phase of a step, and the most memory it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function

from edgedistill.memory import peak_rss_bytes


class Meter:
    """Adds up seconds by phase, and marks the phases in a profile.

    On a GPU the processor runs ahead: what it waits for is charged to the phase that waits, so that only the sum and
    the share of `data` mean something there. A profile tells the rest apart.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Charge a block to a phase."""
        began = time.monotonic()
        with record_function(phase):
            yield
        self._seconds[phase] = self._seconds.get(phase, 0.0) + time.monotonic() - began

    def taken(self) -> dict[str, float]:
        """Seconds of each phase since this was last asked."""
        found, self._seconds = self._seconds, {}
        return found


def peak_memory_bytes(device: torch.device) -> int | None:
    """Most memory that tensors took on a GPU, or that this process held where there is none; none: nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return peak_rss_bytes()
