"""What leaving early costs and keeps: a student's score over its mean FLOPs, speed by speed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgedistill.pages import numbers, svg
from edgedistill.pages.svg import Scale, tag
from edgedistill.reports import ExitPoint, ExitReport

_CURVES = (("development rows", "line1"), ("judged rows", "total"))


def curve(report: ExitReport) -> Markup:
    """Two curves, of the development rows and of the judged ones, with a mark at the student's own speed."""
    width, height, left, right, top, bottom = 480.0, 260.0, 52.0, 120.0, 20.0, 44.0
    each = [_by_cost(points) for points in (report.dev, report.judged)]
    scores = [point.score for points in each for point in points]
    low, high = min(scores), max(scores)
    space = max((high - low) * 0.1, 0.004)
    y = svg.linear(low - space, high + space, height - bottom, top)
    x = svg.linear(0.0, max(100 * share(point) for points in each for point in points), left, width - right)
    parts: list[Markup] = []
    for tick in svg.linear_ticks(low - space, high + space):
        parts.append(svg.line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(svg.text(left - 7, y(tick) + 4, f"{tick:g}", "tick", "end"))
    for tick in svg.linear_ticks(0.0, 100.0, 5):
        parts.append(svg.text(x(tick), height - bottom + 16, f"{tick:g}", "tick", "middle"))
    label = "% of the FLOPs without exits (left is cheaper)"
    parts.append(svg.text((left + width - right) / 2, height - 8, label, "axis", "middle"))
    parts.append(svg.text(left, 11, f"{report.metric} (up is better); the dot is speed {report.speed:g}", "axis"))
    heights = svg.apart([y(points[-1].score) for points in each], 13.0, top + 4, height - bottom)
    for (name, kind), points, label_y in zip(_CURVES, each, heights, strict=True):
        parts.append(_curve(name, kind, points, x, y, width - right, label_y))
    for point in report.judged:
        if point.speed == report.speed:
            parts.append(_dot(point, x, y))
    return svg.drawing(width, height, f"{report.metric} over FLOPs by early exit", parts, "losses")


def shown(report: ExitReport) -> tuple[ExitPoint, ...]:
    """The judged curve, dearest first, without speeds that are like the one before."""
    falling = sorted(report.judged, key=lambda point: point.speed)
    return tuple(
        point
        for before, point in zip((None, *falling), falling, strict=False)
        if before is None
        or point.speed == report.speed
        or (point.left_at, point.flops) != (before.left_at, before.flops)
    )


def share(point: ExitPoint) -> float:
    """FLOPs of a speed beside those of the model without exits; a little over 1 where every classifier is asked."""
    return 1.0 / point.speedup


def _by_cost(points: Sequence[ExitPoint]) -> list[ExitPoint]:
    return sorted(points, key=share)


def _curve(
    name: str, kind: str, points: Sequence[ExitPoint], x: Scale, y: Scale, edge: float, label_y: float
) -> Markup:
    path = " ".join(f"{x(100 * share(point)):.1f},{y(point.score):.1f}" for point in points)
    label = svg.text(edge + 6, label_y + 4, name, "name")
    return tag("g", tag("title", name), tag("polyline", points=path), label, class_=f"curve {kind}")


def _dot(point: ExitPoint, x: Scale, y: Scale) -> Markup:
    words = f"speed {point.speed:g}: {numbers.number(point.score)} after {point.mean_layers:.2f} layers on average"
    circle = tag("circle", cx=f"{x(100 * share(point)):.1f}", cy=f"{y(point.score):.1f}", r="5")
    return tag("g", tag("title", words), circle, class_="phone")
