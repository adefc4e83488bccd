"""Drawings as inline SVG: nothing to load, no script, colours from the page's style, words instead of legends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Scale = Callable[[float], float]
"""Data to drawing units."""

LETTER = 6.4
"""Width of a letter of an 11.5-unit label, roughly; what keeps labels from lying on each other."""


def tag(name: str, *inside: Markup | str, **attributes: object) -> Markup:
    """One element. Text and attribute values are escaped; `_` in an attribute's name is written `-`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()
    )
    body = Markup("").join(escape(part) for part in inside)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, body)


def drawing(
    width: float, height: float, label: str, parts: Iterable[Markup], kind: str, is_scaled: bool = True
) -> Markup:
    """A whole drawing; `label` is what a screen reader says of it.

    Args:
        width: in drawing units, which are pixels where it is not scaled.
        height: likewise.
        label: of the whole.
        parts: of the drawing, the first one lowest.
        kind: class for the style sheet.
        is_scaled: whether it fills its column; else it is never larger than drawn.
    """
    return tag(
        "svg",
        tag("title", label),
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        class_=f"chart {kind}",
        style="width:100%" if is_scaled else f"width:{width:g}px",
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """Words with their baseline at (x, y)."""
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", class_=kind, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def linear(low: float, high: float, start: float, stop: float) -> Scale:
    """Straight: `low` lands on `start`, `high` on `stop`."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (stop - start)


def logarithmic(low: float, high: float, start: float, stop: float) -> Scale:
    """By powers: equal ratios are equally far apart."""
    inner = linear(math.log10(low), math.log10(high), start, stop)
    return lambda value: inner(math.log10(value))


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within [low, high], `about` so many."""
    if high <= low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 of every power of ten within [low, high]; powers alone where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    found = [factor * 10.0**power for power in powers for factor in factors]
    kept = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
    every = math.ceil(len(kept) / 8) or 1
    return kept[::every]


@dataclass(frozen=True)
class Box:
    """A rectangle that must not be written over."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights moved as little as needed for labels to stand `gap` apart within [low, high]; order is kept."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = [0.0] * len(heights)
    floor = low
    for index in order:
        placed[index] = max(floor, heights[index])
        floor = placed[index] + gap
    ceiling = high
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed
