"""Benches beside the artifacts they belong to, and the plot that both make together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from edgedistill.pages import numbers, scores
from edgedistill.pages.content import (
    ArtifactContent,
    ArtifactStatus,
    BenchContent,
    Plot,
    Point,
    TimingContent,
)
from edgedistill.reports import BenchReport, BenchRow

PYTORCH = "pytorch"
_HEADLINE_LENGTH = 128


def bench(report: BenchReport, artifacts: Sequence[ArtifactContent], missing: list[str]) -> BenchContent:
    """A bench without the rows whose artifact has changed since; those go into `missing`."""
    by_name = {artifact.name: artifact for artifact in artifacts}
    kept = []
    for row in report.rows:
        artifact = by_name.get(row.artifact)
        if artifact and row.manifest_sha256 != artifact.manifest_sha256:
            missing.append(f"{row.artifact}: times of {report.created} left out, it was exported again since.")
        elif artifact and artifact.status == "void":
            missing.append(f"{row.artifact}: times of {report.created} left out, its files have changed.")
        else:
            kept.append(row)
    first = report.rows[0] if report.rows else None
    return BenchContent(
        mode=report.mode or "",
        created=report.created,
        device=first.device if first else report.phone.model if report.phone else report.environment.cpu,
        source=first.source if first else "phone" if report.phone else "host",
        affinity=first.affinity if first else "",
        rows=tuple(_timing(row, report.rows, by_name) for row in kept),
        notes=report.notes,
        phone=report.phone,
        runtime_build=report.runtime_build,
        self_tests=report.self_tests,
        timeline=report.timeline,
        stated=report.stated,
    )


def _timing(row: BenchRow, rows: Sequence[BenchRow], artifacts: dict[str, ArtifactContent]) -> TimingContent:
    is_reference = row.target == PYTORCH
    artifact = artifacts.get(row.artifact)
    reference = None if is_reference else _reference(row, rows, artifact)
    return TimingContent(
        artifact=row.artifact,
        is_reference=is_reference,
        target=row.target,
        scheme=row.scheme,
        length=row.length,
        threads=row.threads,
        latency=row.latency,
        ratio=reference.latency.p90_ms / row.latency.p90_ms if reference and row.latency.p90_ms else None,
        peak_rss_bytes=row.peak_rss_bytes,
        size_bytes=row.size_bytes,
        validity=row.validity,
        is_throttled=row.is_throttled,
        score=artifact.score.value if artifact and artifact.score else None,
        fallback=_fallback(artifact) if artifact else "",
    )


def _fallback(artifact: ArtifactContent) -> str:
    shares = [(one.accelerator, 1 - one.delegated / one.nodes) for one in artifact.delegations if one.nodes]
    return ", ".join(f"{name} {numbers.percent(share, 0)}" for name, share in shares)


def _reference(row: BenchRow, rows: Sequence[BenchRow], artifact: ArtifactContent | None) -> BenchRow | None:
    beside = [
        other
        for other in rows
        if other.target == PYTORCH and (other.length, other.threads) == (row.length, row.threads)
    ]
    if len(beside) > 1 and artifact:
        own = f"{PYTORCH}:{PurePath(artifact.source.path).name}"
        beside = [other for other in beside if other.artifact == own]
    return beside[0] if len(beside) == 1 else None


def plot(artifacts: Sequence[ArtifactContent], benches: Sequence[BenchContent], is_phone: bool = False) -> Plot | None:
    """Accuracy over latency for everything that has both; none when nothing has.

    All points are of one machine, one length and one thread count (128 tokens and one thread where they were timed),
    and of the newest bench that knows the artifact. A phone's times and this machine's never share a plot.
    """
    benches = [bench for bench in benches if (bench.source == "phone") is is_phone and bench.rows]
    if is_phone:
        benches = [bench for bench in benches if bench.phone == benches[0].phone]
    metric = next((artifact.score.name for artifact in artifacts if artifact.score), None)
    shape = _common_shape(benches)
    if metric is None or shape is None:
        return None
    rows = {
        row.artifact: row for bench in reversed(benches) for row in bench.rows if (row.length, row.threads) == shape
    }
    points, absent = [], []
    labels = short_names(artifacts)
    for artifact, label in zip(artifacts, labels, strict=True):
        row = rows.get(artifact.name)
        if artifact.score is None:
            absent.append(f"{artifact.name}: the gate measured no {metric}")
        elif artifact.score.name != metric:
            absent.append(f"{artifact.name}: judged by {artifact.score.name}, not {metric}")
        elif row is None:
            absent.append(f"{artifact.name}: not timed at {shape[0]} tokens on {shape[1]} thread")
        else:
            points.append(_point(row, label, artifact.score.value, artifact.status))
    student, teacher = (_beside(who, metric, artifacts) for who in ("student", "teacher"))
    if PYTORCH in rows and student is not None:
        points.append(_point(rows[PYTORCH], PYTORCH, student, None))
    if not points:
        return None
    return Plot(
        metric=metric,
        length=shape[0],
        threads=shape[1],
        device=benches[0].device if is_phone else "",
        teacher=teacher,
        points=tuple(points),
        absent=tuple(absent),
    )


def _beside(who: Literal["student", "teacher"], metric: str, artifacts: Sequence[ArtifactContent]) -> float | None:
    """The score the gate found for the model behind the artifacts; none where they have several such models."""
    found = [scores.score_of(who, artifact.rungs, artifact.task.metric) for artifact in artifacts]
    values = {score.value for score in found if score and score.name == metric}
    return values.pop() if len(values) == 1 else None


def short_names(artifacts: Sequence[ArtifactContent]) -> list[str]:
    """Runtime and precision of every artifact, or its folder's name where others have the same two."""
    short = [f"{artifact.target} {artifact.scheme}" for artifact in artifacts]
    return [name if short.count(name) == 1 else artifact.name for name, artifact in zip(short, artifacts, strict=True)]


def _point(row: TimingContent, label: str, score: float, status: ArtifactStatus | None) -> Point:
    return Point(
        name=row.artifact,
        label=label,
        p90_ms=row.latency.p90_ms,
        score=score,
        size_bytes=row.size_bytes,
        status=status,
    )


def _common_shape(benches: Sequence[BenchContent]) -> tuple[int, int] | None:
    shapes = {(row.length, row.threads) for bench in benches for row in bench.rows}
    if not shapes:
        return None
    return min(shapes, key=lambda shape: (shape[1], shape[0] != _HEADLINE_LENGTH, -shape[0]))
