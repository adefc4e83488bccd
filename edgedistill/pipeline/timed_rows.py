"""One row of times of an artifact, wherever they were taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgedistill.measure import statistics
from edgedistill.measure.modes import Mode
from edgedistill.pipeline.subjects import Subject
from edgedistill.reports import BenchRow
from edgedistill.spread import is_throttled


def timed_row(
    subject: Subject, seconds: Sequence[float], mode: Mode, *, first_ms: float, load_ms: float, **where: Any
) -> BenchRow:
    """What is said of a subject, of its times, and of where they were taken.

    Args:
        subject: what was timed.
        seconds: every measured time, warm-up left out.
        mode: what was asked for.
        first_ms: the very first inference.
        load_ms: reading the model and making it ready.
        where: the other fields of `BenchRow`: source, device, threads, affinity, length, ...
    """
    samples = statistics.milliseconds(seconds)
    return BenchRow(
        artifact=subject.name,
        manifest_sha256=subject.manifest_sha256,
        target=subject.target,
        scheme=subject.scheme,
        size_bytes=subject.size_bytes,
        latency=statistics.latency(samples, first_ms=first_ms, load_ms=load_ms),
        validity=statistics.validity(len(samples), sum(seconds), mode),
        is_throttled=is_throttled(samples),
        samples_ms=samples,
        **where,
    )
