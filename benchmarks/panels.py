"""Students' scores beside each other, a panel for each group of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Panel:
    """One group of students.

    Attributes:
        title: what they have in common.
        students: of each its name, the score of every seed, and the 95 % interval over rows.
        teacher: the score to compare them with, a dashed line.
    """

    title: str
    students: Sequence[tuple[str, Sequence[float], Sequence[float]]]
    teacher: float


def draw(path: Path, panels: Sequence[Panel], told: str, *, is_one_scale: bool) -> None:
    """Write an SVG: every seed a dot, its interval a line.

    Args:
        path: where.
        panels: side by side.
        told: what the scores are.
        is_one_scale: whether all panels have the same axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(panels), 3.8), layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels), sharey=is_one_scale)), panels, strict=True):
        for place, (_, scores, interval) in enumerate(panel.students):
            axes.plot([place] * len(scores), scores, "o", color="tab:blue")
            axes.vlines(place, *interval, color="tab:blue", alpha=0.4)
        axes.axhline(panel.teacher, color="grey", linestyle="--")
        axes.set_title(panel.title)
        axes.set_xticks(range(len(panel.students)), [name for name, _, _ in panel.students], rotation=60)
        axes.set_xlim(-0.5, len(panel.students) - 0.5)
    figure.supylabel(told)
    figure.savefig(path, metadata={"Date": None})
