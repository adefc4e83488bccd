"""`edgedistill run`: the whole road from one file, each finished step kept.

Teacher, student, artifacts, verdicts, times, page. A failed gate does not stop the rest, so that the page
shows everything; the exit code tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgedistill import __version__, files, reports, resources
from edgedistill.artifacts import MANIFEST, read_manifest
from edgedistill.data.tasks import find_task
from edgedistill.gate.files import files_rung
from edgedistill.pipeline.ledger import Ledger, fingerprint, key_of
from edgedistill.pipeline.plan import ExportStep, Road, load_road
from edgedistill.pipeline.walk import RoadResult, StepResult, Walk
from edgedistill.reports import BENCH, VERDICT, Verdict

_GATE_FAILED = 1


def run(
    road: Path | str,
    *,
    out: Path | str | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
) -> RoadResult:
    """Go a road: teacher, student, artifacts, verdicts, times, page.

    Args:
        road: YAML file (see `edgedistill config road`), or the name of one that ships with edgedistill.
        out: folder to work in, instead of the road's own.
        settings: `key=value` texts over the file.
        overwrite: make again what was made with other settings or was changed since.
        dry_run: check the road and list its steps; write nothing.

    Raises:
        ConfigError, DataError, CheckpointError: the road cannot be gone; told before anything is trained
            where that can be known.
        StorageError: a result is there that other settings made, or another process is on this road.
        TrainingError: teacher or student cannot be trained.
    """
    plan = load_road(road, Path(out) if out is not None else None, settings)
    if dry_run:
        return RoadResult(out=str(plan.out), steps=tuple(_planned(plan)))
    with files.exclusive(plan.out):
        return _go(Walk(plan, Ledger(plan.out), overwrite))


def _planned(road: Road) -> list[StepResult]:
    names = ["teacher"] if road.teacher and road.teacher.finetune else []
    names += ["distill"]
    artifacts = [road.artifact_name(step) for step in road.exports]
    names += [f"{verb} {name}" for name in artifacts for verb in ("export", "check")]
    names += ["bench"] if road.bench and artifacts else []
    names += ["report"] if road.report else []
    return [StepResult(name=name, status="planned") for name in names]


def _go(walk: Walk) -> RoadResult:
    student = _student(walk, _teachers(walk))
    artifacts, verdicts = [], []
    for step in walk.road.exports:
        name = walk.road.artifact_name(step)
        artifact = student.parent / "artifacts" / name
        if not walk.attempt(f"export {name}", partial(_export, walk, student, step, artifact)):
            continue
        artifacts.append(artifact)
        if walk.attempt(f"check {name}", partial(_check, walk, artifact)):
            verdicts.append(reports.read(Verdict, artifact / VERDICT))
    if walk.road.bench and artifacts:
        walk.attempt("bench", partial(_bench, walk, artifacts))
    page = _report(walk, student.parent) if walk.road.report else None
    return RoadResult(
        out=str(walk.road.out), steps=tuple(walk.steps), verdicts=tuple(verdicts), page=str(page) if page else None
    )


@dataclass(frozen=True)
class _Given:
    """What a student is made from, beside the task's rows."""

    settings: Mapping[str, object]
    teachers: tuple[str, ...] = ()
    cache: Path | None = None
    start: str | None = None
    corpus: Path | None = None


def _teachers(walk: Walk) -> tuple[str, ...]:
    """Folders or Hub ids, the first one fine-tuned before where the road says so."""
    road, step = walk.road, walk.road.teacher
    if step is None:
        return ()
    first = str(resources.checkpoint(step.checkpoint))
    if step.finetune:
        given = _Given(step.settings, start=first)
        first = str(_distilled(walk, "teacher", "finetune", road.out / "teacher", given))
    return (first, *(str(resources.checkpoint(other)) for other in step.beside))


def _student(walk: Walk, teachers: tuple[str, ...]) -> Path:
    step = walk.road.distill
    given = _Given(step.settings, teachers, step.teacher_cache, step.student, step.corpus)
    return _distilled(walk, "distill", step.recipe, walk.road.out / step.recipe, given)


def _distilled(walk: Walk, name: str, recipe: str, place: Path, given: _Given) -> Path:
    """Train by a recipe into the run folder `place`; the student's folder."""
    road, student = walk.road, place / "student"
    key = key_of(
        recipe=recipe,
        teachers=[fingerprint(teacher) for teacher in given.teachers],
        start=fingerprint(given.start),
        task=find_task(road.task).model_dump(mode="json"),
        data=fingerprint(road.data),
        corpus=fingerprint(given.corpus),
        limit=road.limit,
        settings=given.settings,
    )

    def work(is_begun: bool) -> None:
        from edgedistill.pipeline.distill import distill

        distill(
            recipe,
            task=road.task,
            out=place,
            teacher=given.teachers,
            teacher_cache=given.cache,
            student=given.start,
            data=road.data,
            corpus=given.corpus,
            config=given.settings,
            limit=road.limit,
            overwrite=walk.overwrite and not is_begun,
            resume=is_begun and place.is_dir(),
        )

    walk.step(name, key, student, lambda: files.sha256_of_folder(student) if student.is_dir() else "", work)
    return student


def _export(walk: Walk, student: Path, step: ExportStep, artifact: Path) -> None:
    key = key_of(student=fingerprint(student), target=step.target, scheme=step.scheme, settings=step.settings)

    def identity() -> str:
        if not artifact.is_dir() or files_rung(artifact, read_manifest(artifact)).findings:
            return ""
        return files.sha256_of(artifact / MANIFEST)

    def work(_: bool) -> None:
        from edgedistill.pipeline.export import export

        export(
            student,
            target=step.target,
            scheme=step.scheme,
            out=artifact,
            config=step.settings,
            overwrite=walk.overwrite,
        )

    walk.step(f"export {artifact.name}", key, artifact, identity, work)


def _check(walk: Walk, artifact: Path) -> None:
    step = walk.road.check
    key = key_of(manifest=files.sha256_of(artifact / MANIFEST), settings=step.settings, version=__version__)
    path = artifact / VERDICT

    def work(_: bool) -> None:
        from edgedistill.pipeline.check import check

        check(artifact, settings=step.assignments)

    _judge(walk, f"check {artifact.name}", key, path, work)
    verdict = reports.read(Verdict, path)
    if verdict.status != "passed":
        failed = [rung.title for rung in verdict.rungs if rung.status in {"failed", "inconclusive"}]
        walk.steps[-1] = walk.steps[-1].model_copy(
            update={
                "status": "failed",
                "message": f"{verdict.status}: {'; '.join(failed)}",
                "exit_code": _GATE_FAILED,
            }
        )


def _bench(walk: Walk, artifacts: Sequence[Path]) -> None:
    step = walk.road.bench
    assert step is not None
    manifests = [files.sha256_of(artifact / MANIFEST) for artifact in artifacts]
    key = key_of(manifests=manifests, settings=step.model_dump(), version=__version__)

    def work(_: bool) -> None:
        from edgedistill.pipeline.bench import bench

        bench(artifacts, mode=step.mode, threads=step.threads, lengths=step.lengths, reference=step.reference)

    _judge(walk, "bench", key, artifacts[0] / BENCH, work)


def _judge(walk: Walk, name: str, key: str, path: Path, work: Callable[[bool], object]) -> None:
    """A step whose result is a report on what is there: made again whenever that changed."""
    walk.step(name, key, path, lambda: files.sha256_of(path) if path.is_file() else "", work, is_precious=False)


def _report(walk: Walk, run_folder: Path) -> Path | None:
    page: list[Path] = []

    def work() -> None:
        from edgedistill.pipeline.report import report

        page.append(report(run_folder))
        walk.steps.append(StepResult(name="report", status="done", output=str(page[0])))

    walk.attempt("report", work)
    return page[0] if page else None
