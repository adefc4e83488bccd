"""A whole bench on a phone: variants in turns, rests between them, and a phone that may go away and come back.

What is measured is kept slice by slice. When the connection breaks, the driver waits for the phone, brings what is
missing there again and goes on with the slice that broke; the finished ones stay.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgedistill import files
from edgedistill.config import Settings
from edgedistill.errors import DeviceError, LostPhoneError
from edgedistill.phones import heat
from edgedistill.phones.protocol import Progress, RunResult
from edgedistill.phones.workplace import HERE, PID, Job, Workplace
from edgedistill.progress import say
from edgedistill.reports import Heat

AWAY_SECONDS = 120.0
"""How long a phone that went away is waited for: it may have been restarted."""
ATTEMPTS = 3
"""Of one slice."""
T = TypeVar("T")


class Slice(Settings):
    """A part of one variant's measurement, run in one go."""

    job: str
    """The variant's name."""
    round: int
    """Which turn it was, from 0."""
    result: RunResult
    """What the phone answered."""
    before: Heat
    """Just before, after the rest."""
    after: Heat
    """Just after."""
    began_seconds: float
    """Since the bench began."""
    ended_seconds: float
    """Likewise."""
    rested_seconds: float
    """How long the phone cooled down before."""


class Journal(Settings):
    """The finished slices of a bench that has not ended."""

    key: str
    """Hash of everything that decides the numbers: only the same bench goes on with them."""
    slices: tuple[Slice, ...] = ()
    """In the order they were run."""


@dataclass
class Ticks:
    """Time, so that tests need not wait.

    Attributes:
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def in_turns(names: Sequence[str], rounds: int, seed: int) -> list[tuple[int, str]]:
    """Every name once in every round, each round in an order of its own."""
    shuffled = random.Random(seed)
    order: list[tuple[int, str]] = []
    for number in range(rounds):
        turn = list(names)
        shuffled.shuffle(turn)
        order += [(number, name) for name in turn]
    return order


def measure(
    place: Workplace,
    jobs: Mapping[str, Job],
    rounds: int,
    seed: int,
    journal: Path,
    key: str,
    on_progress: Callable[[str, Progress], None] = lambda name, progress: None,
    ticks: Ticks | None = None,
) -> list[Slice]:
    """Run every variant `rounds` times, in turns.

    Args:
        place: on the phone.
        jobs: by name; each one's least runs and seconds are those of all its rounds together.
        rounds: slices of every variant.
        seed: of the turns.
        journal: where finished slices are kept, so that a bench that was stopped goes on. It stays when all are done:
            what they are for may yet go wrong, and the caller removes it after that.
        key: what decides the numbers; slices of another key are thrown away.
        on_progress: told how far the running slice is.
        ticks: time.

    Returns:
        The slices, in the order they were run.

    Raises:
        DeviceError: the phone did not come back, or a variant does not run there. Finished slices are kept.
    """
    ticks = ticks or Ticks()
    slices = list(_kept(journal, key))
    done = {(one.round, one.job) for one in slices}
    if slices:
        finished = "1 finished slice" if len(slices) == 1 else f"{len(slices)} finished slices"
        say(f"going on after {finished} of an earlier run ({journal.name})")
    began = ticks.clock() - max((one.ended_seconds for one in slices), default=0.0)
    start = slices[0].before if slices else again(place, lambda: heat.read(place.phone), ticks)
    for number, name in in_turns(list(jobs), rounds, seed):
        if (number, name) in done:
            continue
        job = _part(jobs[name], rounds)
        slices.append(again(place, partial(_slice, place, job, number, start, began, on_progress, ticks), ticks))
        files.write_json(journal, Journal(key=key, slices=tuple(slices)).model_dump(mode="json"))
    return slices


def again(place: Workplace, work: Callable[[], T], ticks: Ticks | None = None) -> T:
    """Do something on the phone; where the connection breaks, wait for the phone and do it once more.

    Raises:
        DeviceError: the phone does not come back, or goes away every time.
    """
    ticks = ticks or Ticks()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except LostPhoneError as error:
            say(f"warning: {error} Waiting for it (attempt {attempt} of {ATTEMPTS}).")
            if attempt == ATTEMPTS:
                if place.phone.is_back():
                    place.look_again()
                raise DeviceError(
                    f"phone {place.phone.serial} went away {ATTEMPTS} times at the same place ({error}) Use another "
                    "cable or port; what is finished is kept, and the same command goes on."
                ) from error
            _wait(place, ticks)
            place.look_again()
    raise AssertionError("not reached")


def tidy(place: Workplace, ticks: Ticks | None = None) -> None:
    """Remove what runs left on the phone that were cut off for good; one that still goes on is somebody's.

    Raises:
        DeviceError: the phone goes away.
    """
    script = (
        f'for run in {HERE}/r-*; do kill -0 "$(cat "$run/{PID}" 2>/dev/null)" 2>/dev/null || rm -rf "$run"; done'
        " 2>/dev/null"
    )
    again(place, lambda: place.phone.shell(script), ticks)


def _wait(place: Workplace, ticks: Ticks) -> None:
    end = ticks.clock() + AWAY_SECONDS
    while not place.phone.is_back():
        if ticks.clock() >= end:
            raise DeviceError(
                f"phone {place.phone.serial} went away and did not come back within {AWAY_SECONDS:.0f} s. What is "
                "finished is kept: connect it again, and the same command goes on."
            )
        ticks.sleep(1.0)
    say(f"phone {place.phone.serial} is back")


def _part(job: Job, rounds: int) -> Job:
    plan = job.plan
    return replace(
        job,
        plan=replace(
            plan,
            min_runs=-(-plan.min_runs // rounds),
            min_seconds=plan.min_seconds / rounds,
            max_seconds=plan.max_seconds / rounds,
        ),
    )


def _slice(
    place: Workplace,
    job: Job,
    number: int,
    start: Heat,
    began: float,
    on_progress: Callable[[str, Progress], None],
    ticks: Ticks,
) -> Slice:
    before, rested = heat.cool_down(place.phone, start, ticks.clock, ticks.sleep)
    began_slice = ticks.clock() - began
    result, _ = place.run(job, lambda progress: on_progress(job.name, progress))
    after = heat.read(place.phone, job.plan.cores)
    return Slice(
        job=job.name,
        round=number,
        result=result,
        before=before,
        after=after,
        began_seconds=round(began_slice, 3),
        ended_seconds=round(ticks.clock() - began, 3),
        rested_seconds=round(rested, 3),
    )


def _kept(journal: Path, key: str) -> tuple[Slice, ...]:
    try:
        found = Journal.model_validate_json(journal.read_bytes())
    except (OSError, ValueError):
        return ()
    return found.slices if found.key == key else ()
