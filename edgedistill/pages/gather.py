"""Read what a run folder, or a folder of artifacts, holds: only files that are there, and what is not is said."""

from __future__ import annotations

import shlex
from pathlib import Path

from edgedistill import files, reports
from edgedistill.artifacts import MANIFEST, FileEntry, Manifest, now, read_manifest, resolve_inside
from edgedistill.errors import ArtifactError
from edgedistill.pages import logs, scores, timings
from edgedistill.pages.content import (
    WORDS,
    ArtifactContent,
    ArtifactStatus,
    Command,
    Content,
    FileState,
    Headline,
    Training,
)
from edgedistill.pages.published import published
from edgedistill.reports import (
    BENCH,
    BENCHES,
    EXITS,
    STUDENT_CARD,
    VERDICT,
    BenchReport,
    ExitReport,
    StudentCard,
    Verdict,
)

_GRAVITY: tuple[ArtifactStatus, ...] = ("failed", "void", "inconclusive", "unchecked", "passed")


def gather(folder: Path) -> Content:
    """Everything there is to say about `folder`.

    Args:
        folder: a run (`student/`, `stages/`, `artifacts/`), a folder of artifacts, or one artifact.

    Raises:
        ArtifactError: there is no such folder, or it holds none of these.
    """
    if not folder.is_dir():
        raise ArtifactError(f"no folder '{folder}'. Give the folder that distill or export made.")
    missing: list[str] = []
    training, card = _training(folder, missing)
    stages = logs.stages(folder / "stages", training.seconds if training else {}, missing)
    artifacts, verdicts, manifests = _artifacts(folder, missing)
    if not (training or stages or artifacts or (folder / "run.json").is_file()):
        raise ArtifactError(
            f"'{folder}' holds no student, no training log and no artifact{_because(missing)}. "
            "Give the folder that distill made, or one with artifacts in it."
        )
    bench_reports = _benches(folder, artifacts, missing)
    benches = tuple(timings.bench(report, artifacts, missing) for report in bench_reports)
    if not artifacts:
        missing.append(f"No artifact yet. Run: edgedistill export {shlex.quote(str(folder / 'student'))}")
    return Content(
        title=folder.resolve().name,
        created=now(),
        headline=_headline(artifacts),
        training=training,
        stages=stages,
        exits=_exits(folder, missing),
        layer_errors={name: tuple(values) for name, values in card.layer_errors.items()} if card else {},
        artifacts=artifacts,
        benches=benches,
        plot=timings.plot(artifacts, benches),
        phone_plot=timings.plot(artifacts, benches, is_phone=True),
        published=published() if any(bench.phone and bench.rows for bench in benches) else (),
        commands=_commands(folder, card, manifests, verdicts, bench_reports),
        missing=tuple(dict.fromkeys(missing)),
    )


def _because(missing: list[str]) -> str:
    return f" that can be read ({' '.join(missing)})" if missing else ""


def _training(folder: Path, missing: list[str]) -> tuple[Training | None, StudentCard | None]:
    path = folder / "student" / STUDENT_CARD
    if not path.is_file():
        missing.append("No training here: the model was made elsewhere, or its training has not finished.")
        return None, None
    try:
        card = reports.read(StudentCard, path)
    except ArtifactError as error:
        missing.append(str(error))
        return None, None
    if not card.layer_errors:
        missing.append("No per-layer errors: training left none beside the student.")
    shared = {name: getattr(card, name) for name in Training.model_fields}
    return Training(**shared), card


def _exits(folder: Path, missing: list[str]) -> ExitReport | None:
    path = folder / "student" / EXITS
    if not path.is_file():
        return None
    try:
        return reports.read(ExitReport, path)
    except ArtifactError as error:
        missing.append(f"No curve of early exits: {error}")
        return None


def _artifact_folders(folder: Path) -> list[Path]:
    if (folder / MANIFEST).is_file():
        return [folder]
    found = {path.parent for pattern in ("*", "artifacts/*") for path in folder.glob(f"{pattern}/{MANIFEST}")}
    return sorted(path for path in found if not path.name.startswith("."))


def _artifacts(
    folder: Path, missing: list[str]
) -> tuple[tuple[ArtifactContent, ...], dict[str, Verdict], dict[str, Manifest]]:
    contents: list[ArtifactContent] = []
    verdicts: dict[str, Verdict] = {}
    manifests: dict[str, Manifest] = {}
    for path in _artifact_folders(folder):
        where = path.relative_to(folder).as_posix()
        try:
            manifest = read_manifest(path)
            states = tuple(_file_state(path, entry) for entry in manifest.files)
        except ArtifactError as error:
            missing.append(f"'{where}' is left out: {error}")
            continue
        verdict = _verdict(path, missing)
        if verdict:
            verdicts[where] = verdict
        manifests[where] = manifest
        contents.append(_artifact(path, where, manifest, states, verdict))
    for content in contents:
        if content.status in {"unchecked", "void"}:
            missing.append(f"{content.name}: {content.reason}")
    return tuple(contents), verdicts, manifests


def _file_state(folder: Path, entry: FileEntry) -> FileState:
    path = resolve_inside(folder, entry.path)
    if not path.is_file():
        return FileState(entry=entry, state="missing")
    return FileState(entry=entry, state="same" if files.sha256_of(path) == entry.sha256 else "changed")


def _verdict(folder: Path, missing: list[str]) -> Verdict | None:
    path = folder / VERDICT
    if not path.is_file():
        return None
    try:
        return reports.read(Verdict, path)
    except ArtifactError as error:
        missing.append(str(error))
        return None


def _artifact(
    path: Path, where: str, manifest: Manifest, states: tuple[FileState, ...], verdict: Verdict | None
) -> ArtifactContent:
    sha256 = files.sha256_of(path / MANIFEST)
    status, reason = _status(path, sha256, states, verdict)
    is_current = verdict is not None and status != "void"
    return ArtifactContent(
        name=path.resolve().name,
        folder=where,
        status=status,
        reason=reason,
        target=manifest.target,
        scheme=manifest.scheme,
        task=manifest.task,
        labels=manifest.labels,
        source=manifest.source,
        parents=manifest.parents,
        lengths=tuple(sorted({graph.length for graph in manifest.graphs if graph.length})),
        size_bytes=manifest.model_size_bytes,
        files=states,
        manifest_sha256=sha256,
        kept_float=manifest.quantization.kept_float if manifest.quantization else {},
        search=manifest.quantization.search if manifest.quantization else None,
        delegations=manifest.delegations,
        score=scores.score_of("artifact", verdict.rungs, manifest.task.metric) if verdict and is_current else None,
        rungs=verdict.rungs if verdict and is_current else (),
        overrides=verdict.overrides if verdict and is_current else {},
        rows=max((rung.rows for rung in verdict.rungs), default=0) if verdict and is_current else 0,
        licence=manifest.licence,
        environment=manifest.environment,
    )


def _status(
    path: Path, sha256: str, states: tuple[FileState, ...], verdict: Verdict | None
) -> tuple[ArtifactStatus, str]:
    again = f"Run: edgedistill check {shlex.quote(str(path))}"
    broken = [f"{state.entry.path} is {state.state}" for state in states if state.state != "same"]
    if broken:
        return "void", f"Not the bytes that were exported ({', '.join(broken)}). Export it again."
    if verdict is None:
        return "unchecked", f"The gate has not judged it. {again}"
    if verdict.manifest_sha256 != sha256:
        return "void", f"The gate judged other bytes: the manifest has changed since. {again}"
    not_run = sum(rung.status == "not_run" for rung in verdict.rungs)
    judged = f"{len(verdict.rungs) - not_run} of {len(verdict.rungs)} steps were run"
    return verdict.status, f"{judged}, {not_run} not run." if not_run else f"All {len(verdict.rungs)} steps were run."


def _headline(artifacts: tuple[ArtifactContent, ...]) -> Headline:
    if not artifacts:
        return Headline(status="unchecked", word="No artifact yet", sentence="There is nothing to judge.")
    counts = {status: sum(a.status == status for a in artifacts) for status in _GRAVITY}
    worst = next(status for status in _GRAVITY if counts[status])
    changed = {name: value for artifact in artifacts for name, value in artifact.overrides.items()}
    limits = ", ".join(f"{name} = {value:g}" for name, value in sorted(changed.items()))
    by_hand = f" Limits changed by hand: {limits}." if changed else ""
    if len(artifacts) == 1:
        sentence = f"{artifacts[0].name}: {artifacts[0].reason}{by_hand}"
        return Headline(status=worst, word=WORDS[worst], sentence=sentence)
    parts = [f"{count} {WORDS[status].lower()}" for status, count in reversed(counts.items()) if count]
    return Headline(
        status=worst,
        word=WORDS[worst],
        sentence=f"Of {len(artifacts)} artifacts: {', '.join(parts)}."
        + (" The headline is the worst of them." if len(parts) > 1 else "")
        + by_hand,
    )


def _benches(folder: Path, artifacts: tuple[ArtifactContent, ...], missing: list[str]) -> list[BenchReport]:
    """Every bench once, the newest first, though each artifact keeps a copy of its own."""
    found: dict[tuple[str, str], BenchReport] = {}
    for artifact in artifacts:
        own = folder / artifact.folder
        if not (own / BENCH).is_file():
            missing.append(f"{artifact.name}: not timed. Run: edgedistill bench {shlex.quote(str(own))}")
        for path in sorted(own.glob(BENCHES)):
            try:
                report = reports.read(BenchReport, path)
            except ArtifactError as error:
                missing.append(str(error))
                continue
            found[report.created, report.command] = report
    return sorted(found.values(), key=lambda report: report.created, reverse=True)


def _commands(
    folder: Path,
    card: StudentCard | None,
    manifests: dict[str, Manifest],
    verdicts: dict[str, Verdict],
    benches: list[BenchReport],
) -> tuple[Command, ...]:
    rows = [Command(made="student", command=card.command, created=card.created)] if card else []
    rows += [Command(made=where, command=m.command, created=m.created) for where, m in manifests.items()]
    rows += [Command(made=f"{where}, verdict", command=v.command, created=v.created) for where, v in verdicts.items()]
    rows += [Command(made="times", command=bench.command, created=bench.created) for bench in reversed(benches)]
    report = shlex.join(["edgedistill", "report", str(folder)])
    return (*rows, Command(made="this page", command=report, created=now()))
