"""ONNX Runtime's onnxruntime_perf_test: what it prints, in its old and new words, or its result file of single runs.

Percentiles come with its option -s; one run only warms up, so the first of a result file's rows is no first inference.
"""

from __future__ import annotations

import re

from edgedistill.importers._text import NUMBER, find, is_throttled, last_part, need, of_samples, scaled, whole
from edgedistill.reports import StatedLatency, StatedRow

_TOOL = "onnxruntime_perf_test"
_RESULT_LINE = re.compile(r"^(.*),(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?),(\d+),(\d+),(\d+)$")
_AVERAGE = r"Average (?:inference )?time cost(?: total)?:\s*{} ms"
_TO_MS = 1e3


def recognises(text: str) -> bool:
    """Whether it has one of the tool's own lines, or nothing but lines of its result file."""
    if re.search(r"Session creation time cost|Average inference time cost|Total inference requests", text):
        return True
    return all(_RESULT_LINE.match(line) for line in text.strip().splitlines())


def rows(text: str) -> list[StatedRow]:
    """The one run that a file holds.

    Raises:
        DataError: the mean is missing.
    """
    lines = [_RESULT_LINE.match(line) for line in text.strip().splitlines()]
    if all(lines):
        return [_of_single_runs([match for match in lines if match])]
    model = re.search(r"(?:Model|model)(?: path)?: (\S+\.(?:onnx|ort))", text)
    mean = need(_AVERAGE, text, "'Average inference time cost'")
    has_percentiles = _seconds("P90", text) is not None
    return [
        StatedRow(
            model=last_part(model.group(1) if model else None),
            tool=_TOOL,
            source="unstated",
            latency=StatedLatency(
                runs=whole(find(r"(?:Total inference requests:|Runs:|Total iterations:)\s*{}", text)),
                p50_ms=_seconds("P50", text),
                p90_ms=_seconds("P90", text),
                p95_ms=_seconds("P95", text),
                p99_ms=_seconds("P99", text),
                min_ms=_seconds("Min", text),
                max_ms=_seconds("Max", text),
                mean_ms=mean,
                first_ms=find(r"First inference time cost:\s*{} ms", text),
                load_ms=scaled(find(r"Session creation time cost:\s*{} s", text), _TO_MS),
            ),
            peak_memory_bytes=whole(find(r"Peak working set size:\s*{} bytes", text)),
            notes=() if has_percentiles else ("No percentiles: they come with its option -s.",),
        )
    ]


def _seconds(name: str, text: str) -> float | None:
    """`P50 Latency: 0.0018 s`, or in older builds `P50 Latency is 0.0018sec`."""
    match = re.search(rf"\b{name} Latency(?::| is)\s*{NUMBER}\s*s", text)
    return scaled(float(match.group(1)), _TO_MS) if match else None


def _of_single_runs(lines: list[re.Match[str]]) -> StatedRow:
    samples = [round(float(line.group(2)) * _TO_MS, 6) for line in lines]
    return StatedRow(
        model=last_part(lines[0].group(1)),
        tool=_TOOL,
        source="unstated",
        latency=of_samples(samples, first_ms=None, load_ms=None),
        peak_memory_bytes=max(int(line.group(3)) for line in lines) or None,
        is_throttled=is_throttled(samples),
        samples_ms=tuple(samples),
    )
