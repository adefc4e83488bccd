"""TensorFlow Lite's benchmark_model: what it prints, on a terminal or in a phone's log.

Times are microseconds in six significant digits (`1.23457e+06`). Older builds print no p5, median and p95; an app's
log has the last line alone. There is never a p90 or a p99.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgedistill.errors import DataError
from edgedistill.importers._text import MEGA, find, last_part, need, scaled, whole
from edgedistill.reports import StatedLatency, StatedRow

_END = "Inference timings in us:"
_COUNT = re.compile(r"\bcount=(\d+)\b.*")
_TO_MS = 1e-3


def recognises(text: str) -> bool:
    """Whether it has the line that ends a run, or one that only this tool begins with."""
    return _END in text or bool(re.search(r"\bcount=\d+ (first|curr)=", text)) or "Initialized session in " in text


def rows(text: str) -> list[StatedRow]:
    """One row for every run.

    Raises:
        DataError: a run has no end, or measured nothing.
    """
    return [_row(part) for part in _runs(text)]


def _runs(text: str) -> Iterator[str]:
    """The text of each run: up to the last lines of its figures."""
    starts = [match.end() for match in re.finditer(rf"{_END}.*(?:\n|$)", text)]
    if not starts:
        raise DataError(f"the line '{_END}' is missing: the run was cut off or failed.")
    begin = 0
    for number, end in enumerate(starts):
        # What is said of memory comes after the times, and before the next run's model.
        rest = text[end : starts[number + 1] if number + 1 < len(starts) else None]
        tail = re.match(r"(?:.*[Mm]emory.*\n?)*", rest)
        stop = end + (tail.end() if tail else 0)
        yield text[begin:stop]
        begin = stop
    if _COUNT.search(text[begin:]):
        raise DataError(f"its last run lacks the line '{_END}': it was cut off or failed.")


def _row(text: str) -> StatedRow:
    measured = [_figures(match.group(0)) for match in _COUNT.finditer(text)][-1:]
    figures = measured[0] if measured else {}
    if figures.get("count") == 0:
        raise DataError("it measured nothing: count=0.")
    end = text[text.index(_END) :]
    graph = re.search(r"Graph: \[(.*?)\]", text)
    missing = [name for name in ("p5", "median", "p95") if name not in figures]
    notes = ["benchmark_model prints no p90 and no p99."]
    notes += [f"This build does not print {', '.join(missing)}."] if missing else []
    return StatedRow(
        model=last_part(graph.group(1) if graph else None),
        tool="benchmark_model",
        source="unstated",
        backend=_backend(text),
        threads=whole(find(r"(?:#threads used for CPU inference|Num threads): \[{}\]", text)),
        latency=StatedLatency(
            runs=whole(figures.get("count")),
            p5_ms=scaled(figures.get("p5"), _TO_MS),
            p50_ms=scaled(figures.get("median"), _TO_MS),
            p95_ms=scaled(figures.get("p95"), _TO_MS),
            min_ms=scaled(figures.get("min"), _TO_MS),
            max_ms=scaled(figures.get("max"), _TO_MS),
            mean_ms=scaled(need(r"Inference \(avg\): {}", end, "the mean of its last line"), _TO_MS),
            std_ms=scaled(figures.get("std"), _TO_MS),
            first_ms=scaled(find(r"First inference: {}", end), _TO_MS),
            load_ms=scaled(find(r"Init: {}", end), _TO_MS),
        ),
        peak_memory_bytes=whole(find(r"[Pp]eak memory footprint \(MB\).*?: {}", text), MEGA),
        size_bytes=whole(find(r"input model file size \(MB\): {}", text), MEGA),
        notes=tuple(notes),
    )


def _figures(line: str) -> dict[str, float]:
    """`count=50 min=1 max=2`, or `count=3 curr=7(all same)`."""
    found = {name: float(value) for name, value in re.findall(r"(\w+)=([-+\d.eE]+)", line)}
    if "(all same)" in line:
        found |= {name: found["curr"] for name in ("min", "max", "avg", "p5", "median", "p95")} | {"std": 0.0}
    return found


def _backend(text: str) -> str | None:
    applied = re.search(r"[Ee]xplicitly applied (.+?) delegate", text)
    if applied:
        return applied.group(1)
    return "XNNPACK" if "Created TensorFlow Lite XNNPACK delegate" in text else None
