"""A phone's times and other tools' figures as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistill.pages import numbers
from edgedistill.pages.content import MARKS, BenchContent
from edgedistill.pages.markdown_table import safe, table
from edgedistill.reports import Moment, StatedRow

_PHONE = (
    "Model", "Cores", "Left to the processor", "Score", "Tokens", "Threads", "p50", "p90", "p95", "p99", "First",
    "Load", "Memory", "Runs", "Validity",
)  # fmt: skip
_STATED = (
    "Model", "Stated by", "Source", "Device", "Backend", "Tokens", "Threads", "p50", "p90", "Mean",
    "Left to the processor", "Notes",
)  # fmt: skip


def phone(bench: BenchContent) -> list[str]:
    """What a phone answered, how fast, and how hot it became."""
    assert bench.phone is not None
    where = (
        f"Source: phone. {bench.device}, Android {bench.phone.android}; mode {bench.mode}, batch 1, {bench.created}."
    )
    lines = [safe(where), ""]
    for test in bench.self_tests:
        said = f"{test.within} of {test.goldens} goldens within their tolerance (source: {test.source})"
        lines.append(f"- {MARKS[test.status]} {safe(test.name)}: {said}{safe(f'. {test.reason}'.rstrip('. '))}")
    if bench.rows:
        lines += ["", *table(_PHONE, [_row(bench, number) for number in range(len(bench.rows))], right=3), ""]
        lines += [warmth(bench.timeline)] if bench.timeline else []
    elif not bench.stated:
        lines += ["", "No times: this is an emulator."]
    return [*lines, "", *map(safe, bench.notes), ""]


def _row(bench: BenchContent, number: int) -> tuple[object, ...]:
    row = bench.rows[number]
    times = row.latency
    millis = (times.p50_ms, times.p90_ms, times.p95_ms, times.p99_ms, times.first_ms, times.load_ms)
    return (
        row.artifact, bench.affinity, row.fallback or numbers.UNKNOWN, numbers.number(row.score), row.length,
        row.threads, *map(numbers.milliseconds, millis), numbers.size(row.peak_rss_bytes), numbers.count(times.runs),
        row.validity + (" (throttled)" if row.is_throttled else ""),
    )  # fmt: skip


def warmth(timeline: Sequence[Moment]) -> str:
    """The temperature's course in a sentence."""
    degrees = [moment.heat.celsius for moment in timeline if moment.heat.celsius is not None]
    if not degrees:
        return "Temperature: the phone says none."
    return f"Temperature: {degrees[0]:g} degrees at first, {max(degrees):g} at most, {degrees[-1]:g} at the end."


def stated(rows: Sequence[StatedRow]) -> list[str]:
    """Figures as their sources state them."""
    return table(_STATED, [_stated(row) for row in rows], right=5)


def _stated(row: StatedRow) -> tuple[object, ...]:
    times = (row.latency.p50_ms, row.latency.p90_ms, row.latency.mean_ms)
    notes = " ".join(part for part in (row.validity or "", row.citation or "", *row.notes) if part)
    return (
        row.model, row.tool, row.source, row.device or "not stated", row.backend or "not stated",
        row.length or numbers.UNKNOWN, row.threads or numbers.UNKNOWN, *map(numbers.milliseconds, times),
        numbers.percent(row.fallback_share, 0), notes,
    )  # fmt: skip
