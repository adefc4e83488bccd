import re
from itertools import pairwise

import pytest

from edgedistill.pages import charts, svg
from edgedistill.pages.content import Plot, Point
from edgedistill.pages.stages import StageContent, Trace


def point(name: str, p90: float, score: float, size: int = 1000) -> Point:
    return Point(name=name, label=name, p90_ms=p90, score=score, size_bytes=size, status="passed")


def plot(*points: Point, teacher: float | None = None) -> Plot:
    return Plot(metric="accuracy", length=128, threads=1, teacher=teacher, points=points, absent=())


def label_boxes(drawing: str) -> list[svg.Box]:
    found = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)" class="name"[^>]*>([^<]*)<', drawing)
    return [
        svg.Box(float(x), float(y) - 10, float(x) + len(words) * svg.LETTER, float(y) + 15) for x, y, words in found
    ]


def test_names_beside_marks_never_cover_each_other() -> None:
    points = [point(f"model {n}", 5 + 0.4 * n, 0.88 + 0.001 * n) for n in range(6)]
    boxes = label_boxes(charts.scatter(plot(*points, teacher=0.89)))
    assert len(boxes) == 6
    assert not [(a, b) for n, a in enumerate(boxes) for b in boxes[:n] if a.meets(b)]


def test_area_not_radius_is_the_size() -> None:
    drawing = charts.scatter(plot(point("a", 1, 0.5, 400), point("b", 2, 0.6, 100)))
    radii = sorted(float(r) for r in re.findall(r'r="([\d.]+)"', drawing))
    assert radii[-1] == pytest.approx(2 * radii[-2], rel=0.01)


def test_wide_ranges_of_latency_go_by_powers() -> None:
    def spots(*latencies: float) -> list[float]:
        drawing = charts.scatter(plot(*(point(str(p90), p90, 0.5) for p90 in latencies)))
        return sorted(float(cx) for cx in re.findall(r'cx="([\d.]+)" cy="[\d.]+" r="2"', drawing))

    low, middle, high = spots(1, 10, 100)
    assert middle - low == pytest.approx(high - middle, abs=0.3)
    low, middle, high = spots(10, 20, 30)
    assert middle - low == pytest.approx(high - middle, abs=0.3)


@pytest.mark.parametrize("scores", [(0.5,), (0.0, 0.0), (-0.3, 0.9)])
def test_any_scores_can_be_drawn(scores: tuple[float, ...]) -> None:
    drawing = charts.scatter(plot(*(point(str(n), 0.0, score) for n, score in enumerate(scores))))
    assert "nan" not in drawing.lower()


def stage(**values: tuple[float | None, ...]) -> StageContent:
    traces = tuple(
        Trace(term=term, steps=tuple(range(1, len(numbers) + 1)), values=numbers) for term, numbers in values.items()
    )
    return StageContent(name="01-a", steps=3, seconds=None, rows=None, traces=traces)


def test_gaps_split_a_curve() -> None:
    assert charts.losses(stage(loss=(3.0, None, 1.0, 0.5))).count("<polyline") == 2


def test_a_stage_without_anything_above_zero_has_no_drawing() -> None:
    flat = stage(loss=(0.0, 0.0), kd=(None, None))
    assert charts.losses(flat) == ""
    assert charts.undrawn(flat) == ["loss", "kd"]


def test_names_of_curves_that_end_together_stand_apart() -> None:
    drawing = charts.losses(stage(loss=(3.0, 1.0), a=(2.0, 1.0), b=(2.5, 1.01)))
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="name"', drawing))
    assert min(b - a for a, b in pairwise(heights)) >= 12.9


def test_bars_that_are_not_numbers_are_left_out() -> None:
    drawing = charts.layer_bars("mse", (0.1, float("nan"), 0.3))
    assert drawing.count('class="column"') == 2
    assert "nan" not in drawing.lower()
    assert charts.layer_bars("zero", (0.0, 0.0)).count("<rect") == 2


def test_layers_are_numbered_as_the_model_counts_them() -> None:
    assert "layer 0: 0.1" in charts.layer_bars("feature_map_mse", (0.1, 0.2))
    assert "layer 1: 0.1" in charts.layer_bars("attention_kl", (0.1, 0.2))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0.83, 0.9, [0.84, 0.86, 0.88, 0.9]), (1, 1, [1]), (-1, 1, [-1, -0.5, 0, 0.5, 1])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert svg.linear_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(("low", "high"), [(1e-9, 1e9), (0.5, 3), (3, 4), (1e-3, 2e-3)])
def test_powers_have_few_ticks_within_the_range(low: float, high: float) -> None:
    ticks = svg.log_ticks(low, high)
    assert len(ticks) <= 8
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)


def test_labels_move_apart_and_keep_their_order() -> None:
    assert svg.apart([10, 11, 50], 13, 0, 100) == [10, 23, 50]
    assert svg.apart([98, 97], 13, 0, 100) == [100, 87]


def test_text_and_attributes_are_escaped() -> None:
    made = svg.tag("text", "<b>&", class_='"x')
    assert made == '<text class="&#34;x">&lt;b&gt;&amp;</text>'
