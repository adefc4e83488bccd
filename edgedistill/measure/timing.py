"""Timing several models side by side, so that a change of the machine's mood touches all of them alike.

Models take turns in slices of equal time (A B C, B A C, ...: a new seeded order every round). A slice opens with
inferences that are not counted: they bring the model's weights back into the caches and outlast the spinning
worker threads of the model before. What is counted is back-to-back latency, as MLPerf's single stream has it.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from edgedistill.measure.modes import WARM_UP_RUNS, WARM_UP_SECONDS, Mode

Clock = Callable[[], float]
"""Seconds that never run backwards."""
Call = Callable[[], object]
"""One inference."""

SLICE_SECONDS = 0.25
"""A turn: long enough for the uncounted opening to cost little, short enough to share every drift."""
OPENING_SECONDS = 0.010
"""Longer than ONNX Runtime's, XNNPACK's and OpenMP's threads spin after their last work."""


def warm_up(call: Call, clock: Clock = time.perf_counter) -> int:
    """Run until both warm-up minimums are met.

    Returns:
        How many inferences that took.
    """
    return _run_for(call, WARM_UP_RUNS, WARM_UP_SECONDS, clock)


def interleaved(
    calls: Mapping[str, Call],
    mode: Mode,
    seed: int,
    clock: Clock = time.perf_counter,
    on_slice: Callable[[str, float], None] = lambda name, seconds: None,
) -> dict[str, tuple[float, ...]]:
    """Measure models in turns until each has met the mode's minimums.

    All go on until the last one is done, so that every row covers the same stretch of time; a row that
    reaches the mode's maximum stops there.

    Args:
        calls: one inference of each model, by row name.
        mode: how long.
        seed: of the order within each round.
        clock: what to read the time from.
        on_slice: told the row and the seconds measured after every slice.

    Returns:
        Seconds of every counted inference, in order, by row name.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    spent = dict.fromkeys(calls, 0.0)
    shuffle = random.Random(seed).shuffle
    previous = None
    while not all(_is_done(mode, len(samples[name]), spent[name]) for name in calls):
        order = [name for name in calls if spent[name] < mode.max_seconds]
        shuffle(order)
        for name in order:
            if name != previous:
                _run_for(calls[name], 1, OPENING_SECONDS, clock)
            taken = _slice(calls[name], min(SLICE_SECONDS, mode.max_seconds - spent[name]), clock)
            samples[name] += taken
            spent[name] += sum(taken)
            on_slice(name, sum(taken))
            previous = name
    return {name: tuple(values) for name, values in samples.items()}


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's garbage collector, which no phone runs, out of the times."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_done(mode: Mode, runs: int, seconds: float) -> bool:
    return mode.is_met(runs, seconds) or seconds >= mode.max_seconds


def _run_for(call: Call, runs: int, seconds: float, clock: Clock) -> int:
    started, done = clock(), 0
    while done < runs or clock() - started < seconds:
        call()
        done += 1
    return done


def _slice(call: Call, seconds: float, clock: Clock) -> list[float]:
    taken: list[float] = []
    spent = 0.0
    while spent < seconds:
        started = clock()
        call()
        taken.append(clock() - started)
        spent += taken[-1]
    return taken
