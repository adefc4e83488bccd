"""What an artifact answers on a phone: every head's goldens, as an app asks them, and every exit's answers besides."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistill.artifacts import Cascade, Golden, Manifest, read_manifest
from edgedistill.gate.case import read_goldens, stored_as
from edgedistill.phones import driver, selftest
from edgedistill.phones.driver import Ticks
from edgedistill.phones.requests import Arrays, Plan
from edgedistill.phones.workplace import Job, Workplace
from edgedistill.pipeline.runners import asked_for_all
from edgedistill.pipeline.subjects import Subject
from edgedistill.progress import say
from edgedistill.reports import SelfTest


def self_tests(work: Workplace, subject: Subject, ticks: Ticks | None) -> list[SelfTest]:
    """Let an artifact answer the goldens of every task it has.

    Args:
        work: on the phone.
        subject: the artifact.
        ticks: time.

    Returns:
        A verdict for each task, the main one's first.

    Raises:
        ArtifactError: a task has no goldens, or the runner does not run the artifact.
        DeviceError: the phone did not come back, or the artifact does not run there.
    """
    manifest = read_manifest(subject.folder)
    parts = manifest.of_each_task()
    goldens = [read_goldens(subject.folder, stored_as(part, manifest)[0]) for part in parts]
    every = [golden for own in goldens for golden in own]
    say(f"{subject.name}: answering {len(every)} goldens on the phone")
    answers, source = _answered(work, subject, manifest, every, ticks)
    if isinstance(manifest.driver, Cascade):
        # An app never hears of exits that were not taken, and where all texts leave early nobody hears of the last.
        exits, _ = _answered(work, subject, asked_for_all(manifest), every, ticks)
        answers = [{**all_of_it, **answer} for all_of_it, answer in zip(exits, answers, strict=True)]
    tests, begin = [], 0
    for part, own in zip(parts, goldens, strict=True):
        its = answers[begin : begin + len(own)]
        tests.append(selftest.judge(subject.name, subject.manifest_sha256 or "", part, own, its, source == "qemu"))
        begin += len(own)
    return tests


def _answered(
    work: Workplace, subject: Subject, manifest: Manifest, goldens: Sequence[Golden], ticks: Ticks | None
) -> tuple[Sequence[Arrays], str]:
    """Outputs by name of every golden, in their order, and what they come from."""
    plan = Plan(source=work.source, library=None, dumps=True)
    job = Job(f"{subject.name}, goldens", subject.folder, manifest, selftest.inputs_of(goldens), plan)
    result, answers = driver.again(work, lambda: work.run(job), ticks)
    return answers, result.source
