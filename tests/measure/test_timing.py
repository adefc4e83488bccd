import gc
from collections.abc import Callable

import pytest

from edgedistill.measure import timing
from edgedistill.measure.modes import Mode


class FakeMachine:
    """Time passes only while a model runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now

    def model(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            self.ran.append(name)

        return run


def short(min_runs: int = 20, min_seconds: float = 2.0, max_seconds: float = 6.0) -> Mode:
    return Mode("rapid", min_runs, min_seconds, max_seconds)


@pytest.mark.parametrize(("seconds", "runs"), [(0.1, 20), (3.0, 5)])
def test_warm_up_takes_two_seconds_and_five_runs(seconds: float, runs: int) -> None:
    machine = FakeMachine()
    assert timing.warm_up(machine.model("a", seconds), machine.clock) == pytest.approx(runs, abs=1)
    assert len(machine.ran) >= 5
    assert machine.now >= 2.0


def test_every_row_meets_both_minimums() -> None:
    machine = FakeMachine()
    calls = {"slow": machine.model("slow", 0.2), "fast": machine.model("fast", 0.01)}
    times = timing.interleaved(calls, short(), seed=0, clock=machine.clock)
    assert len(times["slow"]) >= 20, "the slow one needs its runs"
    assert sum(times["fast"]) >= 2.0, "the fast one needs its seconds"
    assert set(map(lambda t: round(t, 6), times["slow"])) == {0.2}


def test_rows_share_the_same_stretch_of_time() -> None:
    machine = FakeMachine()
    calls = {"slow": machine.model("slow", 0.2), "fast": machine.model("fast", 0.01)}
    timing.interleaved(calls, short(), seed=0, clock=machine.clock)
    last = {name: len(machine.ran) - machine.ran[::-1].index(name) for name in calls}
    assert abs(last["slow"] - last["fast"]) < 40, "nobody finishes long before the other"


def test_turns_alternate_in_an_order_that_the_seed_decides() -> None:
    def turns(seed: int) -> list[str]:
        machine = FakeMachine()
        calls = {name: machine.model(name, 0.25) for name in "abc"}
        timing.interleaved(calls, short(min_runs=6, min_seconds=1.5), seed, clock=machine.clock)
        return [name for place, name in enumerate(machine.ran) if place == 0 or machine.ran[place - 1] != name]

    assert turns(1) == turns(1)
    assert len({tuple(turns(seed)) for seed in range(6)}) > 1
    order = turns(3)
    assert all(order.count(name) >= 3 for name in "abc"), "every row comes back again and again"


def test_what_opens_a_turn_is_not_counted() -> None:
    machine = FakeMachine()
    calls = {name: machine.model(name, 0.05) for name in "ab"}
    times = timing.interleaved(calls, short(), seed=0, clock=machine.clock)
    counted = sum(map(len, times.values()))
    assert counted < len(machine.ran)
    alone = FakeMachine()
    only = timing.interleaved({"a": alone.model("a", 0.05)}, short(), seed=0, clock=alone.clock)
    assert len(only["a"]) == len(alone.ran) - 1, "a row alone opens once"


def test_a_row_stops_at_the_maximum() -> None:
    machine = FakeMachine()
    times = timing.interleaved({"slow": machine.model("slow", 0.5)}, short(), seed=0, clock=machine.clock)
    assert len(times["slow"]) == 12, "6 seconds hold 12 runs, fewer than the 20 wanted"


def test_a_row_at_its_maximum_does_not_hold_up_the_others() -> None:
    machine = FakeMachine()
    calls = {"hopeless": machine.model("hopeless", 3.0), "slow": machine.model("slow", 0.25)}
    times = timing.interleaved(calls, short(), seed=0, clock=machine.clock)
    assert len(times["hopeless"]) == 2
    assert len(times["slow"]) >= 20


def test_slices_are_reported_as_they_are_measured() -> None:
    machine, told = FakeMachine(), []
    calls = {"a": machine.model("a", 0.1)}
    times = timing.interleaved(calls, short(), 0, machine.clock, lambda name, seconds: told.append(seconds))
    assert sum(told) == pytest.approx(sum(times["a"]))


def test_the_collector_is_off_only_inside() -> None:
    assert gc.isenabled()
    with timing.without_collector():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), timing.without_collector():
        raise KeyError
    assert gc.isenabled()
