"""Charts of a phone's bench: how the times are spread beside what others published, and how hot it became."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgedistill.pages import numbers, svg
from edgedistill.pages.content import BenchContent
from edgedistill.pages.svg import tag
from edgedistill.reports import Moment, StatedRow

_ROW = 30.0
_LABEL = 300.0
_NAME_LETTERS = 38
_WIDTH = 800.0


def spread(bench: BenchContent, published: Sequence[StatedRow]) -> Markup:
    """A line from p50 to p99 for every row with its p90 as a dot; published figures below, hollow and named so."""
    lines = [(f"{row.artifact} · {row.length} tokens · {row.threads}T", row.latency) for row in bench.rows]
    lengths = {row.length for row in bench.rows}
    others = [row for row in published if row.length in lengths]
    values = [value for _, times in lines for value in (times.p50_ms, times.p99_ms)]
    values += [row.latency.headline[1] for row in others]
    shown = [value for value in values if value > 0]
    if not lines or not shown:
        return Markup("")
    top, bottom, right = 22.0, 34.0, 70.0
    height = top + bottom + _ROW * (len(lines) + len(others))
    low, high = min(shown) / 1.3, max(shown) * 1.3
    x = svg.logarithmic(low, high, _LABEL, _WIDTH - right)
    parts: list[Markup] = []
    for tick in svg.log_ticks(low, high):
        parts.append(svg.line(x(tick), top, x(tick), height - bottom, "grid"))
        parts.append(svg.text(x(tick), height - bottom + 16, f"{tick:g}", "tick", "middle"))
    parts.append(svg.text(_LABEL, 12, "ms: a line from p50 to p99, a dot at p90; hollow: published by others", "axis"))
    for number, (name, times) in enumerate(lines):
        y = top + _ROW * (number + 0.5)
        words = f"{name}: p50 {times.p50_ms:g}, p90 {times.p90_ms:g}, p99 {times.p99_ms:g} ms"
        dot = tag("circle", cx=f"{x(times.p90_ms):.1f}", cy=f"{y:.1f}", r="5")
        line = svg.line(x(times.p50_ms), y, x(times.p99_ms), y, "span")
        parts.append(svg.text(_LABEL - 10, y + 4, _short(name), "name", "end"))
        parts.append(tag("g", tag("title", words), line, dot, class_="phone"))
        edge = max(x(times.p99_ms), x(times.p90_ms)) + 9
        parts.append(svg.text(edge, y + 4, numbers.milliseconds(times.p90_ms), "note"))
    for number, row in enumerate(others, start=len(lines)):
        parts += _published(row, top + _ROW * (number + 0.5), x)
    return svg.drawing(_WIDTH, height, f"Times on {bench.device}", parts, "spread")


def _published(row: StatedRow, y: float, x: svg.Scale) -> list[Markup]:
    which, value = row.latency.headline
    name = f"published: {row.model}, {row.device}"
    words = f"{name}: {which} {value:g} ms, {row.citation}"
    ring = tag("circle", cx=f"{x(value):.1f}", cy=f"{y:.1f}", r="5")
    return [
        svg.text(_LABEL - 10, y + 4, _short(name), "note", "end"),
        tag("g", tag("title", words), ring, class_="published"),
        svg.text(x(value) + 9, y + 4, f"{numbers.milliseconds(value)} ({which})", "note"),
    ]


def warmth(timeline: Sequence[Moment]) -> Markup:
    """Degrees over the time of the bench; nothing where the phone says no temperature."""
    points = [
        (moment, value)
        for moment in timeline
        if (value := moment.heat.celsius if moment.heat.celsius is not None else moment.heat.battery_celsius)
        is not None
    ]
    if len(points) < 2:
        return Markup("")
    height, left, right, top, bottom = 220.0, 46.0, 20.0, 22.0, 36.0
    degrees = [value for _, value in points]
    low, high = min(degrees) - 2.0, max(degrees) + 2.0
    y = svg.linear(low, high, height - bottom, top)
    last = max(moment.seconds for moment, _ in points) or 1.0
    x = svg.linear(0.0, last, left, _WIDTH - right)
    parts: list[Markup] = []
    for tick in svg.linear_ticks(low, high, 4):
        parts.append(svg.line(left, y(tick), _WIDTH - right, y(tick), "grid"))
        parts.append(svg.text(left - 7, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in svg.linear_ticks(0.0, last, 6):
        parts.append(svg.text(x(tick), height - bottom + 16, f"{tick:g}", "tick", "middle"))
    parts.append(svg.text(left, 12, "degrees Celsius, over seconds since the bench began", "axis"))
    path = " ".join(f"{x(moment.seconds):.1f},{y(value):.1f}" for moment, value in points)
    dots = [
        tag(
            "circle",
            tag("title", f"{moment.seconds:.0f} s, {moment.what}: {value:g} degrees{_clock(moment)}"),
            cx=f"{x(moment.seconds):.1f}",
            cy=f"{y(value):.1f}",
            r="2.5",
        )
        for moment, value in points
    ]
    parts.append(tag("g", tag("polyline", points=path), *dots, class_="curve line1 warmth"))
    return svg.drawing(_WIDTH, height, "Temperature over the bench", parts, "warmth")


def _clock(moment: Moment) -> str:
    return "" if moment.heat.mhz is None else f", {moment.heat.mhz:.0f} MHz"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"
