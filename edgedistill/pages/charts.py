"""The page's charts: accuracy over latency, losses over steps, errors per layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from edgedistill.pages import numbers, svg
from edgedistill.pages.content import WORDS, Plot, Point
from edgedistill.pages.stages import StageContent, Trace
from edgedistill.pages.svg import Box, Scale, tag

_COLOURS = 6
"""Line styles the page's style sheet knows."""
_LETTERS = 13
"""Of a term's name beside its curve; the whole name is in the tooltip and in the Markdown page."""


def scatter(plot: Plot) -> Markup:
    """Score over p90 latency; a mark's area is the model's size."""
    width, height, left, right, top, bottom = 680.0, 400.0, 58.0, 24.0, 20.0, 44.0
    x, x_ticks = _latency_axis([point.p90_ms for point in plot.points], left, width - right)
    scores = [point.score for point in plot.points] + ([plot.teacher] if plot.teacher is not None else [])
    low, high = _padded(scores)
    y = svg.linear(low, high, height - bottom, top)
    parts: list[Markup] = []
    for tick in svg.linear_ticks(low, high):
        parts.append(svg.line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(svg.text(left - 8, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in x_ticks:
        parts.append(svg.line(x(tick), top, x(tick), height - bottom, "grid"))
        parts.append(svg.text(x(tick), height - bottom + 17, f"{tick:g}", "tick", "middle"))
    where = f" on {plot.device}" if plot.device else ""
    label = f"p90 latency in ms{where}, {plot.length} tokens, {_threads(plot.threads)} (left is faster)"
    parts.append(svg.text((left + width - right) / 2, height - 6, label, "axis", "middle"))
    parts.append(svg.text(left, 12, f"{plot.metric} (up is better); area is the size of the model", "axis"))
    taken: list[Box] = []
    if plot.teacher is not None:
        parts.append(svg.line(left, y(plot.teacher), width - right, y(plot.teacher), "teacher"))
        words = f"teacher {plot.teacher:.4g}"
        parts.append(svg.text(width - right, y(plot.teacher) - 5, words, "note", "end"))
        edge = width - right - len(words) * svg.LETTER
        taken.append(Box(edge, y(plot.teacher) - 16, width - right, y(plot.teacher)))
        taken.append(Box(left, y(plot.teacher) - 2, width - right, y(plot.teacher) + 2))
    frame = Box(left, top, width, height - bottom)
    parts += _marks(plot.points, x, y, frame, taken)
    return svg.drawing(width, height, f"{plot.metric} over latency", parts, "scatter")


def _latency_axis(values: Sequence[float], start: float, stop: float) -> tuple[Scale, list[float]]:
    low, high = min(values), max(values)
    if low > 0 and high / low > 4:
        low, high = low / 1.35, high * 1.35
        return svg.logarithmic(low, high, start, stop), svg.log_ticks(low, high)
    low, high = 0.0, high * 1.15
    return svg.linear(low, high, start, stop), svg.linear_ticks(low, high, 6)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    space = max((high - low) * 0.22, 0.004)
    return low - space, high + space


def _marks(points: Sequence[Point], x: Scale, y: Scale, frame: Box, taken: list[Box]) -> list[Markup]:
    largest = max(point.size_bytes for point in points) or 1
    radii = [max(4.0, 26.0 * math.sqrt(point.size_bytes / largest)) for point in points]
    spots = [(x(point.p90_ms), y(point.score)) for point in points]
    taken += [Box(cx - r, cy - r, cx + r, cy + r) for (cx, cy), r in zip(spots, radii, strict=True)]
    marks, labels = [], []
    for point, radius, (cx, cy) in sorted(zip(points, radii, spots, strict=True), key=lambda item: -item[1]):
        words = f"{point.name}: {point.score:.4g}, {numbers.milliseconds(point.p90_ms)} ms, "
        words += f"{numbers.size(point.size_bytes)}" + (f", {WORDS[point.status].lower()}" if point.status else "")
        circle = tag("circle", cx=f"{cx:.1f}", cy=f"{cy:.1f}", r=f"{radius:.1f}")
        dot = tag("circle", cx=f"{cx:.1f}", cy=f"{cy:.1f}", r="2", class_="centre")
        marks.append(tag("g", tag("title", words), circle, dot, class_=f"mark {point.status or 'pytorch'}"))
        labels += _label(point, radius, cx, cy, frame, taken)
    return marks + labels


def _label(point: Point, radius: float, cx: float, cy: float, frame: Box, taken: list[Box]) -> list[Markup]:
    """Two lines beside a mark: the first of several places where they cover nothing."""
    small = f"{numbers.milliseconds(point.p90_ms)} ms · {numbers.size(point.size_bytes)}"
    if point.status and point.status != "passed":
        small += f" · {WORDS[point.status].lower()}"
    wide = max(len(point.label), len(small)) * svg.LETTER
    tall = 27.0
    places = [
        (cx + radius + 5, cy - tall / 2),
        (cx - radius - 5 - wide, cy - tall / 2),
        (cx - wide / 2, cy - radius - tall - 3),
        (cx - wide / 2, cy + radius + 3),
        (cx + radius + 5, cy + 8),
        (cx + radius + 5, cy - tall - 8),
        (cx - radius - 5 - wide, cy + 8),
        (cx - radius - 5 - wide, cy - tall - 8),
    ]
    boxes = [Box(left, top, left + wide, top + tall) for left, top in places]
    inside = [box for box in boxes if box.left >= frame.left and box.right <= frame.right and box.top >= frame.top - 6]
    free = [box for box in inside if box.bottom <= frame.bottom and not any(box.meets(other) for other in taken)]
    box = (free or inside or boxes)[0]
    taken.append(box)
    return [
        svg.text(box.left, box.top + 11, point.label, "name"),
        svg.text(box.left, box.top + 24, small, "note"),
    ]


def losses(stage: StageContent) -> Markup:
    """The losses of one stage, each with its name and last value at its end; by powers of ten where that helps."""
    width, height, left, right, top, bottom = 480.0, 240.0, 46.0, 138.0, 12.0, 34.0
    drawn = [trace for trace in stage.traces if _positive(trace)]
    if not drawn:
        return Markup("")
    shown = [value for trace in drawn for value in _positive(trace)]
    low, high = min(shown), max(shown)
    is_log = high / low > 12
    low, high = (low / 1.15, high * 1.15) if is_log else (0.0, high * 1.06)
    y = (svg.logarithmic if is_log else svg.linear)(low, high, height - bottom, top)
    steps = max(trace.steps[-1] for trace in drawn)
    x = svg.linear(0, steps, left, width - right)
    parts: list[Markup] = []
    for tick in svg.log_ticks(low, high) if is_log else svg.linear_ticks(low, high, 4):
        parts.append(svg.line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(svg.text(left - 7, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in svg.linear_ticks(0, steps, 4):
        parts.append(svg.text(x(tick), height - bottom + 15, f"{tick:g}", "tick", "middle"))
    parts.append(svg.text((left + width - right) / 2, height - 2, "step", "axis", "middle"))
    ends = [y(_positive(trace)[-1]) for trace in drawn]
    heights = svg.apart(ends, 13.0, top + 4, height - bottom)
    for index, (trace, label_y) in enumerate(zip(drawn, heights, strict=True)):
        parts += _curve(trace, index, x, y, width - right, label_y)
    return svg.drawing(width, height, f"Losses of stage {stage.name} over its steps", parts, "losses")


def undrawn(stage: StageContent) -> list[str]:
    """Terms without a curve: their weight is zero."""
    return [trace.term for trace in stage.traces if not _positive(trace)]


def _positive(trace: Trace) -> list[float]:
    """What of a curve can be drawn; a term whose weight is zero has nothing."""
    return [value for value in trace.values if value is not None and value > 0]


def _curve(trace: Trace, index: int, x: Scale, y: Scale, edge: float, label_y: float) -> list[Markup]:
    kind = "total" if trace.term == "loss" else f"line{(index - 1) % _COLOURS}"
    last = _positive(trace)[-1]
    words = (
        f"{trace.term}: {numbers.number(trace.values[0])} at step {trace.steps[0]}, {numbers.number(last)} at the end"
    )
    paths = []
    pairs = [(step, value or 0.0) for step, value in zip(trace.steps, trace.values, strict=True)]
    for is_drawn, piece in groupby(pairs, key=lambda pair: pair[1] > 0):
        if is_drawn:
            paths.append(tag("polyline", points=" ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in piece)))
    name = trace.term if len(trace.term) <= _LETTERS else trace.term[: _LETTERS - 1] + "…"
    label = svg.text(edge + 6, label_y + 4, f"{name} {last:.2g}", "name")
    return [tag("g", tag("title", words), *paths, label, class_=f"curve {kind}")]


def layer_bars(name: str, values: Sequence[float]) -> Markup:
    """One bar per layer with its value. Layer 0 is the embedding output, which has no attention."""
    first = first_layer(name)
    step, height, top, bottom = 46.0, 170.0, 20.0, 24.0
    width = max(240.0, step * len(values) + 20)
    highest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    y = svg.linear(0.0, highest or 1.0, height - bottom, top)
    parts = [svg.line(6, height - bottom, width - 6, height - bottom, "base")]
    for layer, value in enumerate(values, start=first):
        left = 14 + (layer - first) * step
        if math.isfinite(value):
            roof = y(abs(value))
            bar = tag(
                "rect",
                tag("title", f"layer {layer}: {value:g}"),
                x=f"{left:.1f}",
                y=f"{roof:.1f}",
                width=f"{step - 14:.1f}",
                height=f"{max(0.5, height - bottom - roof):.1f}",
                class_="column",
            )
            parts += [bar, svg.text(left + (step - 14) / 2, roof - 5, numbers.number(value), "value", "middle")]
        parts.append(svg.text(left + (step - 14) / 2, height - 7, str(layer), "tick", "middle"))
    return svg.drawing(width, height, f"{name} of every layer", parts, "bars", is_scaled=False)


def first_layer(name: str) -> int:
    """Number of the first of an error's values: attentions begin at layer 1, hidden states at the embedding output."""
    return 1 if name.startswith("attention") else 0


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
