import json
from pathlib import Path

import pytest

from edgedistill.pages import logs


def write(folder: Path, stage: str, lines: list[dict[str, object]]) -> None:
    (folder / stage).mkdir(parents=True)
    (folder / stage / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def line(step: int, **terms: float) -> dict[str, object]:
    return {"step": step, "loss": sum(terms.values()), "terms": terms, "seconds": step * 2.0, "rows": 4}


def test_every_stage_and_term_in_order(tmp_path: Path) -> None:
    write(tmp_path, "02-b", [line(1, kd=2.0)])
    write(tmp_path, "01-a", [line(1, ce=1.0, kd=3.0), line(2, ce=0.5, kd=1.5)])
    missing: list[str] = []
    first, second = logs.stages(tmp_path, {"b": 7.0}, missing)
    assert (first.name, first.steps, first.rows, first.seconds) == ("01-a", 2, 8, 4.0)
    assert second.seconds == 7.0, "the card's time counts where there is one"
    assert {trace.term: trace.values for trace in first.traces} == {
        "loss": (4.0, 2.0),
        "ce": (1.0, 0.5),
        "kd": (3.0, 1.5),
    }
    assert missing == []


def test_long_curves_become_means_of_neighbours(tmp_path: Path) -> None:
    count = 10 * logs.POINTS
    write(tmp_path, "01-a", [line(step, ce=float(step)) for step in range(1, count + 1)])
    (stage,) = logs.stages(tmp_path, {}, [])
    trace = stage.traces[1]
    assert len(trace.values) == len(trace.steps) == logs.POINTS
    assert trace.values[0] == pytest.approx(5.5), "the mean of 1 to 10"
    assert trace.steps[-1] == count


def test_nan_leaves_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "01-a", [line(1, ce=1.0), line(2, ce=float("nan")), line(3, ce=3.0)])
    (stage,) = logs.stages(tmp_path, {}, [])
    assert stage.traces[0].values == (1.0, None, 3.0)


def test_a_term_that_comes_later_has_its_own_steps(tmp_path: Path) -> None:
    write(tmp_path, "01-a", [line(1, ce=1.0), line(2, ce=1.0, kd=2.0)])
    (stage,) = logs.stages(tmp_path, {}, [])
    assert stage.traces[2].steps == (2,)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ("7\n", "cannot be read"), ('{"loss": 1}\n', "cannot be read"), ("", "is empty")],
)
def test_bad_logs_are_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "01-a").mkdir()
    (tmp_path / "01-a" / "log.jsonl").write_text(text)
    missing: list[str] = []
    assert logs.stages(tmp_path, {}, missing) == ()
    assert words in missing[0]
    assert "01-a/log.jsonl" in missing[0]


def test_what_a_stage_took(tmp_path: Path) -> None:
    costs = {"tokens": 30, "places": 40, "memory_bytes": 7}
    lines = [
        line(1, ce=1.0),  # of an older version: it says no phases, and does not count
        line(2, ce=1.0) | costs | {"phases": {"data": 0.5, "losses": 1.0}},
        line(3, ce=1.0) | costs | {"phases": {"losses": 1.0, "exchange": 0.5}, "memory_bytes": 9},
    ]
    write(tmp_path, "01-a", lines)
    (stage,) = logs.stages(tmp_path, {}, [])
    assert stage.cost is not None
    assert stage.cost.phases == {"data": 0.5, "losses": 2.0, "exchange": 0.5}
    assert (stage.cost.rows_per_s, stage.cost.tokens_per_s) == pytest.approx((8 / 3, 20.0))
    assert stage.cost.padding == pytest.approx(0.25)
    assert stage.cost.memory_bytes == 9


@pytest.mark.parametrize("change", [{"places": 0}, {"phases": {}}, {"memory_bytes": None}])
def test_costs_that_nobody_knows(tmp_path: Path, change: dict[str, object]) -> None:
    cost = {"tokens": 30, "places": 40, "memory_bytes": 7, "phases": {"data": 0.5}}
    write(tmp_path, "01-a", [line(1, ce=1.0) | cost | change])
    (stage,) = logs.stages(tmp_path, {}, [])
    assert stage.cost is None or stage.cost.memory_bytes is None
