"""Rungs of the ladder that another command has climbed elsewhere: the gate repeats what was seen of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedistill import reports
from edgedistill.apps import APP_CHECKS, AppChecks
from edgedistill.gate.ladder import APP_TOKENIZER, PHONE
from edgedistill.gate.rungs import finding, judged, measure
from edgedistill.phones.emulation import ARCHITECTURE, EMULATION, EmulationReport
from edgedistill.reports import BENCH, BENCHES, BenchReport, Rung


def with_elsewhere(rungs: Sequence[Rung], folder: Path, manifest_sha256: str) -> list[Rung]:
    """The rungs with those that `bench --device qemu`, `bench --device adb` and `package` left, where they did.

    Args:
        rungs: of the ladder.
        folder: the artifact.
        manifest_sha256: of the manifest that is judged; what was seen of another one counts for nothing.

    Raises:
        ArtifactError: one of their reports cannot be read.
    """
    return [_climbed(rung, folder, manifest_sha256) or rung for rung in rungs]


def _climbed(rung: Rung, folder: Path, manifest_sha256: str) -> Rung | None:
    climb = _CLIMBED.get(rung.name)
    return climb(rung.title, folder, manifest_sha256) if climb else None


def _emulated(title: str, folder: Path, manifest_sha256: str) -> Rung | None:
    path = folder / EMULATION
    report = reports.read(EmulationReport, path) if path.is_file() else None
    rows = [row for row in (report.rows if report else ()) if row.manifest_sha256 == manifest_sha256]
    seen = {row.profile: rung for row in rows for rung in row.rungs if rung.name == ARCHITECTURE}
    return _together(title, seen) if seen else None


def _on_phones(title: str, folder: Path, manifest_sha256: str) -> Rung | None:
    seen = [
        (f"{report.phone.model}{f', {test.task}' if test.task else ''}", test)
        for report in (reports.read(BenchReport, path) for path in sorted(folder.glob(BENCHES)) if path.name != BENCH)
        for test in report.self_tests
        # An emulator's answers are no phone's, whatever asked it.
        if report.phone and (test.source, test.manifest_sha256) == ("phone", manifest_sha256)
    ]
    if not seen:
        return None
    measures = [measure(f"{phone}: goldens within", test.within, test.goldens, ">=") for phone, test in seen]
    faults = [
        finding("wrong_on_phone", f"{phone}: {test.reason or test.status}")
        for phone, test in seen
        if test.status != "passed"
    ]
    return judged(PHONE, title, measures, faults, rows=min(test.goldens for _, test in seen))


def _in_apps(title: str, folder: Path, manifest_sha256: str) -> Rung | None:
    seen = {
        f"{report.platform}, {check.where}, {check.file}": check
        for report in (reports.read(AppChecks, path) for path in sorted(folder.glob(APP_CHECKS)))
        for check in report.checks
        if report.manifest_sha256 == manifest_sha256 and check.name == "tokenizer" and check.status != "not_run"
    }
    if not seen:
        return None
    measures = [
        measure(f"{app}: equal ids", check.goldens - len(check.differ), max(1, check.goldens), ">=")
        for app, check in seen.items()
    ]
    faults = [
        finding("wrong_in_app", f"{app}: {check.reason or check.status}")
        for app, check in seen.items()
        if check.status == "failed"
    ]
    return judged(APP_TOKENIZER, title, measures, faults, rows=min(check.goldens for check in seen.values()))


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


_CLIMBED = {ARCHITECTURE: _emulated, PHONE: _on_phones, APP_TOKENIZER: _in_apps}
"""By the rung's name: what was seen of it elsewhere, if anything was."""
