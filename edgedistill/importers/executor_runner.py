"""ExecuTorch's executor_runner: what it prints.

It has no warm-up: the first runs are left out here. Older builds print the total alone, which gives a mean with the
warm-up in it and no percentile.
"""

from __future__ import annotations

import re

from edgedistill.errors import DataError
from edgedistill.importers._text import NUMBER, find, is_throttled, last_part, of_samples
from edgedistill.reports import StatedLatency, StatedRow

WARM_UP_RUNS = 5
"""Left out of ten runs or more; of fewer only the first one."""

_ITERATION = re.compile(rf"Iteration (\d+) of (\d+): {NUMBER} ms")
_TOTAL = re.compile(rf"Model executed successfully (\d+) time\(s\) in {NUMBER} ms")


def recognises(text: str) -> bool:
    """Whether one of its own lines is there."""
    return bool(_ITERATION.search(text) or _TOTAL.search(text) or "executor_runner.cpp" in text)


def rows(text: str) -> list[StatedRow]:
    """The one run that a file holds.

    Raises:
        DataError: it did not end well, or some of its iterations are missing.
    """
    total = _TOTAL.search(text)
    if total is None:
        raise DataError("the line 'Model executed successfully' is missing: the run was cut off or failed.")
    runs = int(total.group(1))
    if runs == 0:
        raise DataError("it measured nothing: executed 0 times.")
    times = [float(match.group(3)) for match in _ITERATION.finditer(text)]
    if times and len(times) != runs:
        raise DataError(f"it has {len(times)} of {runs} iterations.")
    model = re.search(r"Model file (.+?) is loaded", text)
    load_ms = find(r"Model loaded in {} ms", text)
    dropped = WARM_UP_RUNS if runs >= 2 * WARM_UP_RUNS else min(1, runs - 1)
    kept = times[dropped:]
    note = f"The first {dropped} of {runs} runs were left out as warm-up."
    if not times:
        note = "This build prints no single runs: the mean holds the first, slow ones, and there is no percentile."
    return [
        StatedRow(
            model=last_part(model.group(1) if model else None),
            tool="executor_runner",
            source="unstated",
            backend="executorch",
            latency=of_samples(kept, times[0], load_ms)
            if kept
            else StatedLatency(runs=runs, mean_ms=float(total.group(2)) / runs, load_ms=load_ms),
            is_throttled=is_throttled(kept) if kept else None,
            samples_ms=tuple(kept),
            notes=(note,),
        )
    ]
