"""bench: times, percentiles and memory of artifacts on this machine, interleaved, beside PyTorch."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import cycle
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edgedistill import files, reports
from edgedistill.artifacts import environment, now
from edgedistill.errors import ConfigError
from edgedistill.measure import timing
from edgedistill.measure.inputs import ROWS, inputs_of, rows_of, texts_of
from edgedistill.measure.machine import affinity, cores, heat, refuse_more_threads
from edgedistill.measure.modes import Mode, find_mode
from edgedistill.measure.probe import Cold, probe
from edgedistill.pipeline.subjects import Subject, artifact_subjects, at_one_length, reference_subjects
from edgedistill.pipeline.timed_rows import timed_row
from edgedistill.progress import Tracker, progress, say
from edgedistill.reports import BENCH, BenchReport, BenchRow
from edgedistill.runner import LAYERS

_SHORTEST = 8
Inputs = dict[str, NDArray[np.int64]]
MadeInputs = Callable[[Path, int, int], Sequence[Inputs]]
"""From an artifact's folder, a length and a seed to inputs for it."""


def bench(
    artifacts: Sequence[Path | str],
    *,
    mode: str = "quick",
    threads: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    reference: bool = True,
    out: Path | str | None = None,
    seed: int = 0,
) -> BenchReport:
    """Time artifacts on this machine and write bench.json into each.

    Rows of the same length and thread count take turns, so that they share every drift of the machine; load
    time, first inference and peak memory come from a fresh process per row.

    Args:
        artifacts: folders.
        mode: submission, quick or rapid.
        threads: thread counts the runtimes are given, a set of rows each; one and all usable cores when not given.
        lengths: input lengths in tokens; the fixed lengths of the artifacts when not given, else 128.
        reference: also time the checkpoints they were made from, in PyTorch.
        out: a file to write the report to as well.
        seed: of the texts and the order of turns.

    Returns:
        The report; what could not be measured is said in its notes.

    Raises:
        ArtifactError: no artifact, one that was changed since it was exported, or one that does not run.
        ConfigError: an unknown mode, a thread count of no use, a length that a model does not take.
        StorageError: the report cannot be written, which is tried out before anything is measured.
    """
    chosen = find_mode(mode)
    counts = _checked("threads", sorted({1, len(cores())}) if threads is None else threads, 1)
    refuse_more_threads(max(counts))
    subjects = artifact_subjects(artifacts, None if lengths is None else _checked("lengths", lengths, _SHORTEST))
    notes = _notes(subjects, counts)
    if reference:
        references, missing = reference_subjects(subjects)
        subjects += references
        notes += missing
        for reason in missing:
            say(f"warning: {reason}")
    as_they_come = any(subject.leaves_early for subject in subjects)
    if as_they_come and lengths is None:
        subjects = at_one_length(subjects)
    places = [Path(artifact) / BENCH for artifact in artifacts] + ([Path(out)] if out else [])
    for place in places:
        files.refuse_unwritable(place)
    report = BenchReport(
        created=now(),
        command=_command(artifacts, mode, counts, lengths, reference, out, seed),
        environment=environment(),
        mode=chosen.name,
        seed=seed,
        rows=_measure(subjects, chosen, counts, seed, rows_of if as_they_come else inputs_of),
        notes=tuple(notes),
    )
    for place in places:
        reports.save(report, place)
    return report


def _checked(name: str, numbers: Sequence[int], least: int) -> tuple[int, ...]:
    if not numbers or min(numbers) < least:
        raise ConfigError(f"{name} must be whole numbers of at least {least} (found {list(numbers)}).")
    return tuple(sorted(set(numbers)))


def _notes(artifacts: Sequence[Subject], threads: Sequence[int]) -> list[str]:
    texts, name = texts_of(artifacts[0].texts)
    how = (
        "put one after another from seeded places, cut by the artifact's own tokenizer to exactly the stated length, "
        "no padding, one text at a time."
    )
    if any(artifact.leaves_early for artifact in artifacts):
        how = (
            f"as they come, one at a time, up to {ROWS} of at most the stated length: how early a text leaves depends "
            "on what it says. A model of fixed lengths pads each to the next one."
        )
    notes = [f"Inputs are real text: rows of {name} ({len(texts)} read) {how}"]
    if max(threads) > len(cores()):
        notes.append(f"{max(threads)} threads were asked for on {len(cores())} cores: they get in each other's way.")
    if heat() is None:
        notes.append("Temperature and clock of the processor: not available on this system.")
    return notes


def _measure(
    subjects: Sequence[Subject], mode: Mode, threads: Sequence[int], seed: int, made: MadeInputs
) -> tuple[BenchRow, ...]:
    lengths = sorted({length for subject in subjects for length in subject.lengths})
    groups = [
        (length, count, [subject for subject in subjects if length in subject.lengths])
        for length in lengths
        for count in threads
    ]
    rows: list[BenchRow] = []
    seconds = sum(len(group) for _, _, group in groups) * mode.min_seconds
    with progress("measuring (seconds)", total=math.ceil(seconds)) as tracker:
        for length, count, group in groups:
            inputs = {subject.name: made(subject.texts, length, seed) for subject in group}
            rows += _measure_group(group, length, count, mode, seed, inputs, tracker)
    return tuple(rows)


def _measure_group(
    subjects: Sequence[Subject],
    length: int,
    threads: int,
    mode: Mode,
    seed: int,
    inputs: Mapping[str, Sequence[Inputs]],
    tracker: Tracker,
) -> list[BenchRow]:
    """Rows of one length and thread count, measured in turns."""
    cold = {
        subject.name: probe(subject.folder, inputs[subject.name][0], threads, subject.opener) for subject in subjects
    }
    passed: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    calls = {one.name: _call(one, threads, inputs[one.name], passed[one.name]) for one in subjects}
    note = f"{length} tokens, {threads} thread{'s' if threads > 1 else ''}"
    before = heat()
    with timing.without_collector():
        for call in calls.values():
            timing.warm_up(call)
        times = timing.interleaved(calls, mode, seed, on_slice=_Seconds(tracker, note))
    after = heat()
    rows = [_row(subject, length, threads, mode, times[subject.name], cold[subject.name]) for subject in subjects]
    more = {"heat_before": before, "heat_after": after}
    return [row.model_copy(update={**more, "mean_layers": _mean(passed[row.artifact])}) for row in rows]


def _call(subject: Subject, threads: int, inputs: Sequence[Inputs], passed: list[float]) -> timing.Call:
    """One inference of the next input; tells `passed` how many layers it took, where the model says so."""
    module, _, function = subject.opener.partition(":")
    runner = getattr(import_module(module), function)(subject.folder, threads)()
    turns = cycle(inputs)
    if not subject.leaves_early:
        return lambda: runner(next(turns))
    return lambda: passed.append(float(runner(next(turns))[LAYERS][0, 0]))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


class _Seconds:
    """Tells a tracker of whole seconds about slices that are shorter."""

    def __init__(self, tracker: Tracker, note: str) -> None:
        self._tracker, self._note, self._left = tracker, note, 0.0

    def __call__(self, name: str, seconds: float) -> None:
        self._left += seconds
        whole = int(self._left)
        self._left -= whole
        self._tracker.advance(whole, self._note)


def _row(subject: Subject, length: int, threads: int, mode: Mode, seconds: Sequence[float], cold: Cold) -> BenchRow:
    return timed_row(
        subject, seconds, mode, first_ms=cold.first_ms, load_ms=cold.load_ms, source="host", device=environment().cpu,
        threads=threads, affinity=affinity(), length=length, peak_rss_bytes=cold.peak_rss_bytes,
    )  # fmt: skip


def _command(
    artifacts: Sequence[Path | str],
    mode: str,
    threads: Sequence[int],
    lengths: Sequence[int] | None,
    reference: bool,
    out: Path | str | None,
    seed: int,
) -> str:
    words = ["edgedistill", "bench", *map(str, artifacts), "--mode", mode, "--threads", ",".join(map(str, threads))]
    if lengths is not None:
        words += ["--lengths", ",".join(map(str, lengths))]
    if not reference:
        words.append("--no-reference")
    if out is not None:
        words += ["--out", str(out)]
    return shlex.join([*words, "--seed", str(seed)])
