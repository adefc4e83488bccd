"""MLPerf LoadGen: mlperf_log_summary.txt of a SingleStream performance run.

Reference:
    MLPerf Mobile's words for a run: valid where duration, queries and early stopping are all met; semi where only
    the queries are missing; else invalid.
"""

from __future__ import annotations

import re
from typing import Literal

from edgedistill.errors import DataError
from edgedistill.importers._text import find, need, scaled, whole
from edgedistill.reports import StatedLatency, StatedRow

_TO_MS = 1e-6


def recognises(text: str) -> bool:
    """Whether it has LoadGen's title."""
    return "MLPerf Results Summary" in text


def rows(text: str) -> list[StatedRow]:
    """The one run of a summary.

    Raises:
        DataError: another scenario or an accuracy run, or the summary is cut off.
    """
    scenario, mode = _word("Scenario", text), _word("Mode", text)
    if scenario.replace(" ", "") != "SingleStream":
        raise DataError(f"its scenario is '{scenario}'; only SingleStream states the latency of one inference.")
    if not mode.startswith("Performance"):
        raise DataError(f"its mode is '{mode}', which measures no time.")
    result = _word("Result is", text)
    queries = whole(find(r"Processed at least \d+ queries \({}\)", text))
    return [
        StatedRow(
            model=_word("SUT name", text),
            tool="mlperf",
            source="unstated",
            latency=StatedLatency(
                runs=queries,
                p50_ms=_nanoseconds(r"50\.00 percentile", text),
                p90_ms=scaled(
                    need(r"90th percentile latency \(ns\)\s*:\s*{}", text, "'90th percentile latency'"), _TO_MS
                ),
                p95_ms=_nanoseconds(r"95\.00 percentile", text),
                p99_ms=_nanoseconds(r"99\.00 percentile", text),
                min_ms=_nanoseconds("Min", text),
                max_ms=_nanoseconds("Max", text),
                mean_ms=_nanoseconds("Mean", text),
            ),
            validity=_validity(text),
            notes=(f"LoadGen says: {result}.",),
        )
    ]


def _word(name: str, text: str) -> str:
    match = re.search(rf"^\s*{name}\s*:\s*(.+?)\s*$", text, re.MULTILINE)
    if match is None:
        raise DataError(f"the line '{name}' is missing: the summary is cut off.")
    return match.group(1)


def _nanoseconds(name: str, text: str) -> float | None:
    return scaled(find(rf"{name} latency \(ns\)\s*:\s*{{}}", text), _TO_MS)


def _validity(text: str) -> Literal["valid", "semi", "invalid"]:
    """By LoadGen's three answers; versions before early stopping give two."""
    duration, queries, early = (
        _is_yes(name, text) for name in ("Min duration satisfied", "Min queries satisfied", "Early stopping satisfied")
    )
    if duration is None or queries is None:
        raise DataError("the lines of what was satisfied are missing: the summary is cut off.")
    if not duration or early is False:
        return "invalid"
    return "valid" if queries else "semi"


def _is_yes(name: str, text: str) -> bool | None:
    match = re.search(rf"{name}\s*:\s*(\w+)", text)
    return match.group(1).lower() == "yes" if match else None
