"""Rungs of the ladder that another command has climbed elsewhere: the gate repeats what was seen of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedistill import reports
from edgedistill.phones.emulation import ARCHITECTURE, EMULATION, EmulationReport
from edgedistill.reports import Rung


def with_emulated(rungs: Sequence[Rung], folder: Path, manifest_sha256: str) -> list[Rung]:
    """The rungs with that of another architecture as `bench --device qemu` left it, where it ran on this artifact.

    Args:
        rungs: of the ladder.
        folder: the artifact.
        manifest_sha256: of the manifest that is judged; what was seen of another one counts for nothing.

    Raises:
        ArtifactError: the emulation's report cannot be read.
    """
    path = folder / EMULATION
    report = reports.read(EmulationReport, path) if path.is_file() else None
    rows = [row for row in (report.rows if report else ()) if row.manifest_sha256 == manifest_sha256]
    seen = {row.profile: rung for row in rows for rung in row.rungs if rung.name == ARCHITECTURE}
    if not seen:
        return list(rungs)
    return [_together(rung.title, seen) if rung.name == ARCHITECTURE else rung for rung in rungs]


def _together(title: str, seen: dict[str, Rung]) -> Rung:
    """One rung of all processors; it failed where one of them did."""
    failed = {profile: rung for profile, rung in seen.items() if rung.status != "passed"}
    measures = [
        measure.model_copy(update={"name": f"{profile}: {measure.name}"})
        for profile, rung in seen.items()
        for measure in rung.measures
    ]
    return Rung(
        name=ARCHITECTURE,
        title=title,
        status="failed" if failed else "passed",
        reason="; ".join(f"{profile}: {rung.reason}" for profile, rung in failed.items()),
        rows=min(rung.rows for rung in seen.values()),
        measures=tuple(measures),
    )
