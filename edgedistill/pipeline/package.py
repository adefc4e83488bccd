"""`edgedistill package`: an artifact that passed its gate becomes something an app can take in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedistill import files, plugins, reports
from edgedistill.apps import APP_CHECKS, App, AppChecks, GoldenCheck
from edgedistill.artifacts import MANIFEST, Manifest, read_manifest
from edgedistill.clients import refuse_clients
from edgedistill.config import build, with_settings
from edgedistill.errors import ArtifactError, ConfigError, StorageError, UnprovenError
from edgedistill.gate.files import files_rung
from edgedistill.gate.ladder import ELSEWHERE
from edgedistill.pipeline.proof import write_proof
from edgedistill.progress import say
from edgedistill.reports import VERDICT, Verdict


def package(
    artifact: Path | str,
    *,
    out: Path | str,
    platform: str = "files",
    settings: Sequence[str] = (),
    prove_on_device: bool = False,
    clients: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Bundle an artifact for an app.

    Args:
        artifact: folder made by `export` and passed by `check`.
        out: folder to make; it appears complete or not at all.
        platform: what to make; a module of `edgedistill.apps`.
        settings: `key=value` texts over the platform's defaults.
        prove_on_device: take an artifact whose runtime does not exist on the computer that checked it. Its proof says
            `inconclusive`; the app's self-test on a device has to prove it.
        clients: runtimes and libraries that the app reads it with.
        overwrite: replace `out`.

    Returns:
        `out`, holding what the platform made, PROOF.json and PROOF.md.

    Raises:
        UnprovenError: the artifact was not checked, was changed since its check, or did not pass; or a golden
            that was run here gave another answer.
        ArtifactError: a file is missing or is not the one the manifest was written for.
        ConfigError: no such platform, setting or client, or an artifact that the platform does not take.
        ExportError: a client in which this artifact fails.
        StorageError: `out` is there already, or cannot be written.
    """
    app: App = plugins.load("apps", platform)
    cfg = build(app.Config, with_settings({}, settings), f"package --for {platform}")
    folder, destination = Path(artifact), Path(out)
    files.refuse_existing(destination, overwrite)
    manifest = read_manifest(folder)
    refuse_clients(clients, manifest.target, manifest.of_weights, bool(manifest.packed))
    _refuse_changed_files(folder, manifest)
    _refuse_other_targets(platform, app, manifest)
    verdict = _fit_verdict(folder, prove_on_device)
    if destination.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"--out '{destination}' lies inside the artifact, which must not change. Choose another one.")
    with files.atomic_folder(destination, overwrite) as part:
        built = app.build(folder, manifest, part, cfg)
        _leave_for_the_gate(platform, folder, verdict, built.checks)
        _refuse_other_answers(platform, built.checks)
        write_proof(platform, manifest, verdict, built, part)
    return destination


def _leave_for_the_gate(platform: str, folder: Path, verdict: Verdict, checks: Sequence[GoldenCheck]) -> None:
    """Write into the artifact what the app answered, good or bad; an artifact that cannot be written goes without."""
    found = AppChecks(platform=platform, manifest_sha256=verdict.manifest_sha256, checks=tuple(checks))
    try:
        reports.save(found, folder / APP_CHECKS.replace("*", platform))
    except StorageError as error:
        say(f"what the app's tokenizer answered is not kept for the next check: {error}")


def runs_elsewhere(verdict: Verdict) -> bool:
    """Whether nothing failed and all that keeps it from passing is that its runtime does not exist there."""
    if verdict.status != "inconclusive" or any(rung.status == "inconclusive" for rung in verdict.rungs):
        return False
    return any(one.name == ELSEWHERE for rung in verdict.rungs for one in rung.findings)


def _refuse_other_targets(platform: str, app: App, manifest: Manifest) -> None:
    if app.TARGETS and manifest.target not in app.TARGETS:
        raise ConfigError(
            f"--for {platform} takes artifacts of the target {' or '.join(app.TARGETS)}, and this one is of "
            f"'{manifest.target}'. Run: edgedistill export STUDENT --target {app.TARGETS[0]}"
        )


def _refuse_other_answers(platform: str, checks: Sequence[GoldenCheck]) -> None:
    failed = [check for check in checks if check.status == "failed"]
    if failed:
        why = "; ".join(f"{check.name} in {check.where}: {check.reason}" for check in failed)
        raise UnprovenError(f"the package for {platform} does not give the goldens' answers and was not made. {why}.")


def _refuse_changed_files(folder: Path, manifest: Manifest) -> None:
    faults = files_rung(folder, manifest).findings
    if faults:
        changes = " ".join(f"{fault.name}: {fault.message}" for fault in faults)
        raise ArtifactError(f"'{folder}' is not as it was exported and will not be packaged. {changes}")


def _fit_verdict(folder: Path, prove_on_device: bool) -> Verdict:
    """The verdict, where it lets the artifact be packaged.

    Raises:
        UnprovenError: it does not.
    """
    again = f"Run: edgedistill check {folder}"
    if not (folder / VERDICT).is_file():
        raise UnprovenError(f"'{folder}' has not been checked. {again}")
    verdict = reports.read(Verdict, folder / VERDICT)
    if verdict.manifest_sha256 != files.sha256_of(folder / MANIFEST):
        raise UnprovenError(f"the verdict in '{folder}' is about another manifest: it was changed since. {again}")
    if runs_elsewhere(verdict):
        if prove_on_device:
            return verdict
        raise UnprovenError(
            f"'{folder}' was checked where its runtime does not exist, so its answers are not proven. Check it where "
            "it runs, or give --prove-on-device: the package's proof then says so, and the app must pass its self-test."
        )
    if verdict.status != "passed":
        failed = [rung for rung in verdict.rungs if rung.status in {"failed", "inconclusive"}]
        why = "; ".join(f"{rung.title}: {(rung.reason or rung.status).rstrip('.')}" for rung in failed)
        raise UnprovenError(f"'{folder}' did not pass its gate and will not be packaged. {verdict.status}: {why}.")
    return verdict
