"""Rungs of the ladder that another command has climbed elsewhere: the gate repeats what was seen of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedistill import reports
from edgedistill.apps import APP_CHECKS, AppChecks, GoldenCheck
from edgedistill.gate.ladder import APP_TOKENIZER, PHONE
from edgedistill.gate.rungs import finding, judged, measure
from edgedistill.phones.emulation import ARCHITECTURE, EMULATION, EmulationReport
from edgedistill.reports import BENCH, BENCHES, BenchReport, Rung, SelfTest


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


def with_phones(rungs: Sequence[Rung], folder: Path, manifest_sha256: str) -> list[Rung]:
    """The rungs with that of phones as `bench --device adb` left it, where this artifact answered its goldens on one.

    Args:
        rungs: of the ladder.
        folder: the artifact.
        manifest_sha256: of the manifest that is judged; what was seen of another one counts for nothing.

    Raises:
        ArtifactError: a phone's report cannot be read.
    """
    seen = [
        (f"{report.phone.model}{f', {test.task}' if test.task else ''}", test)
        for report in (reports.read(BenchReport, path) for path in sorted(folder.glob(BENCHES)) if path.name != BENCH)
        for test in report.self_tests
        # An emulator's answers are no phone's, whatever asked it.
        if report.phone and (test.source, test.manifest_sha256) == ("phone", manifest_sha256)
    ]
    if not seen:
        return list(rungs)
    return [_on_phones(rung.title, seen) if rung.name == PHONE else rung for rung in rungs]


def with_apps(rungs: Sequence[Rung], folder: Path, manifest_sha256: str) -> list[Rung]:
    """The rungs with that of apps' tokenizers as `package` left it, where one was asked the goldens of this artifact.

    Args:
        rungs: of the ladder.
        folder: the artifact.
        manifest_sha256: of the manifest that is judged; what was seen of another one counts for nothing.

    Raises:
        ArtifactError: an app's report cannot be read.
    """
    seen = {
        f"{report.platform}, {check.where}, {check.file}": check
        for report in (reports.read(AppChecks, path) for path in sorted(folder.glob(APP_CHECKS)))
        for check in report.checks
        if report.manifest_sha256 == manifest_sha256 and check.name == "tokenizer" and check.status != "not_run"
    }
    if not seen:
        return list(rungs)
    return [_in_apps(rung.title, seen) if rung.name == APP_TOKENIZER else rung for rung in rungs]


def _in_apps(title: str, seen: dict[str, GoldenCheck]) -> Rung:
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


def _on_phones(title: str, seen: Sequence[tuple[str, SelfTest]]) -> Rung:
    measures = [measure(f"{phone}: goldens within", test.within, test.goldens, ">=") for phone, test in seen]
    faults = [
        finding("wrong_on_phone", f"{phone}: {test.reason or test.status}")
        for phone, test in seen
        if test.status != "passed"
    ]
    return judged(PHONE, title, measures, faults, rows=min(test.goldens for _, test in seen))


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
