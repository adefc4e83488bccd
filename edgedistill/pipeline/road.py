"""`edgedistill run`: the whole road from one file, each finished step kept.

Teacher, student, artifacts, verdicts, times, page. A failed gate does not stop the rest, so that the page
shows everything; the exit code tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    teacher = _teacher(walk)
    student = _student(walk, teacher)
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


def _teacher(walk: Walk) -> str | None:
    """The teacher's folder or Hub id, fine-tuned first where the road says so."""
    road, step = walk.road, walk.road.teacher
    if step is None:
        return None
    checkpoint = str(resources.checkpoint(step.checkpoint))
    if not step.finetune:
        return checkpoint
    return str(_distilled(walk, "teacher", "finetune", road.out / "teacher", None, checkpoint, None, step.settings))


def _student(walk: Walk, teacher: str | None) -> Path:
    step = walk.road.distill
    place = walk.road.out / step.recipe
    return _distilled(walk, "distill", step.recipe, place, teacher, step.student, step.corpus, step.settings)


def _distilled(
    walk: Walk,
    name: str,
    recipe: str,
    place: Path,
    teacher: str | None,
    start: str | None,
    corpus: Path | None,
    settings: dict[str, object],
) -> Path:
    """Train by a recipe into the run folder `place`; the student's folder."""
    road, student = walk.road, place / "student"
    key = key_of(
        recipe=recipe,
        teacher=fingerprint(teacher),
        start=fingerprint(start),
        task=find_task(road.task).model_dump(mode="json"),
        data=fingerprint(road.data),
        corpus=fingerprint(corpus),
        limit=road.limit,
        settings=settings,
    )

    def work(is_begun: bool) -> None:
        from edgedistill.pipeline.distill import distill

        distill(
            recipe,
            task=road.task,
            out=place,
            teacher=teacher,
            student=start,
            data=road.data,
            corpus=corpus,
            config=settings,
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
