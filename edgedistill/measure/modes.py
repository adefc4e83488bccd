"""How long to measure: MLPerf Mobile's three modes, and the warm-up before each of them.

Reference:
    MLPerf Mobile app, `flutter/assets/tasks.pbtxt`: minimum queries, minimum and maximum duration per mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgedistill.errors import UnknownNameError

ModeName = Literal["submission", "quick", "rapid"]

WARM_UP_RUNS = 5
"""Inferences thrown away before measuring, at least."""
WARM_UP_SECONDS = 2.0
"""Seconds of inferences thrown away before measuring, at least; clocks and caches settle in them."""


@dataclass(frozen=True)
class Mode:
    """How long one row is measured. Both minimums must be met; the maximum ends it in any case.

    Attributes:
        name: what the user types.
        min_runs: inferences.
        min_seconds: time spent in this row's own inferences.
        max_seconds: likewise.
    """

    name: ModeName
    min_runs: int
    min_seconds: float
    max_seconds: float

    def is_met(self, runs: int, seconds: float) -> bool:
        """Whether both minimums are reached."""
        return runs >= self.min_runs and seconds >= self.min_seconds


MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("submission", 1024, 60.0, 600.0),
        Mode("quick", 128, 10.0, 60.0),
        Mode("rapid", 64, 6.0, 60.0),
    )
}


def find_mode(name: str) -> Mode:
    """The mode of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in MODES:
        raise UnknownNameError("mode", name, MODES)
    return MODES[name]
