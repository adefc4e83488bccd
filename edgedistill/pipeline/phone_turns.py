"""Artifacts timed on a phone in turns: one variant for each length and thread count, with rests between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill.artifacts import read_manifest
from edgedistill.measure.inputs import inputs_of, rows_of
from edgedistill.measure.modes import WARM_UP_RUNS, WARM_UP_SECONDS, Mode
from edgedistill.phones import driver
from edgedistill.phones.driver import Ticks
from edgedistill.phones.protocol import Progress
from edgedistill.phones.requests import Plan
from edgedistill.phones.workplace import Job, Workplace
from edgedistill.pipeline.subjects import Subject
from edgedistill.progress import progress

ROUNDS = {"submission": 4, "quick": 2, "rapid": 2}
"""Turns of every row."""
SENSOR_SECONDS = 1.0


@dataclass(frozen=True)
class Variant:
    """One row to be."""

    name: str
    subject: Subject
    length: int
    threads: int
    job: Job


def variants_of(
    subjects: Sequence[Subject], mode: Mode, threads: Sequence[int], cores: tuple[int, ...], seed: int
) -> list[Variant]:
    """What is to be timed: every subject at each of its lengths with every thread count, on its own texts.

    Args:
        subjects: artifacts.
        mode: how long each is measured.
        threads: thread counts.
        cores: to be bound to; empty: as the phone likes.
        seed: of the texts.
    """
    variants = []
    made = rows_of if any(subject.leaves_early for subject in subjects) else inputs_of
    for subject in subjects:
        manifest = read_manifest(subject.folder)
        for length in subject.lengths:
            inputs = made(subject.texts, length, seed)
            for count in threads:
                name = f"{subject.name}, {length} tokens, {count} thread{'s' if count > 1 else ''}"
                plan = Plan(
                    source="phone", library=None, threads=count, cores=cores, dumps=False,
                    warm_up_runs=WARM_UP_RUNS, warm_up_seconds=WARM_UP_SECONDS, min_runs=mode.min_runs,
                    min_seconds=mode.min_seconds, max_seconds=mode.max_seconds, sensor_seconds=SENSOR_SECONDS,
                )  # fmt: skip
                variants.append(
                    Variant(name, subject, length, count, Job(name, subject.folder, manifest, inputs, plan))
                )
    return variants


def measured(
    work: Workplace, variants: Sequence[Variant], mode: Mode, seed: int, journal: Path, key: str, ticks: Ticks | None
) -> list[driver.Slice]:
    """Every variant timed in turns, with a bar; see `driver.measure`."""
    jobs = {variant.name: variant.job for variant in variants}
    rounds = ROUNDS[mode.name]
    with progress("measuring (seconds)", total=round(len(jobs) * mode.min_seconds)) as tracker:
        seen: dict[str, float] = {}

        def hear(name: str, told: Progress) -> None:
            if told.phase == "measure":
                before = seen.get(name, 0.0) if told.seconds >= seen.get(name, 0.0) else 0.0
                tracker.advance(int(told.seconds) - int(before), name)
                seen[name] = told.seconds

        return driver.measure(work, jobs, rounds, seed, journal, key, hear, ticks)
