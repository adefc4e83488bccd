"""bench --device app: what the in-app benchmark is asked, a folder each, and the commands that take it to the phone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgedistill import files
from edgedistill.errors import ConfigError
from edgedistill.measure.modes import find_mode
from edgedistill.phones.requests import RESULT, runtime_of, write_request
from edgedistill.pipeline.phone_turns import Variant, variants_of
from edgedistill.pipeline.subjects import artifact_subjects, at_one_length

APP = "edgedistill.bench"
"""The app's name, as android_bench/app has it."""
_ACTIVITY = ".android.BenchActivity"
_THERE = f"/sdcard/Android/data/{APP}/files"


@dataclass(frozen=True)
class AppRequest:
    """One row to be measured in the app.

    Attributes:
        name: of the row: artifact, tokens, threads.
        folder: request.json, the model and its inputs.
        commands: to be typed one after another, the phone attached; the last one makes a report of what it and the
            artifact's rows before it answered.
    """

    name: str
    folder: Path
    commands: tuple[str, ...]


def write_app_requests(
    artifacts: Sequence[Path | str],
    out: Path,
    *,
    mode: str = "quick",
    threads: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
) -> list[AppRequest]:
    """Write a request for every artifact, length and thread count into a new folder.

    Args:
        artifacts: folders.
        out: the new folder.
        mode: submission, quick or rapid.
        threads: thread counts; 1 when not given.
        lengths: input lengths in tokens; the fixed lengths of the artifacts when not given, else 128.
        seed: of the texts.

    Raises:
        ArtifactError: no artifact, one that was changed since it was exported, or one that the app does not run.
        ConfigError: an unknown mode, a thread count below 1, a length that a model does not take.
        TakenError: `out` exists.
        StorageError: it cannot be written.
    """
    chosen, counts = find_mode(mode), tuple(sorted(set(threads or (1,))))
    if min(counts) < 1:
        raise ConfigError(f"threads must be whole numbers of at least 1 (found {list(counts)}).")
    subjects = artifact_subjects(artifacts, lengths)
    if any(subject.leaves_early for subject in subjects) and lengths is None:
        subjects = at_one_length(subjects)
    files.refuse_existing(out, overwrite=False)
    variants = variants_of(subjects, chosen, counts, (), seed)
    with files.atomic_folder(out) as part:
        for number, one in enumerate(variants, start=1):
            plan = replace(one.job.plan, runtime_build="aar")
            folder = part / _slug(number, one)
            write_request(folder, one.subject.folder, one.job.manifest, one.job.inputs, plan, name=one.name)
    found: list[AppRequest] = []
    answers: dict[Path, list[Path]] = {}
    for number, one in enumerate(variants, start=1):
        folder = out / _slug(number, one)
        answers.setdefault(one.subject.folder, []).append(folder / RESULT)
        found.append(_request(folder, one, answers[one.subject.folder]))
    return found


def _slug(number: int, one: Variant) -> str:
    """A folder's name in which nothing means anything to a shell, here or on the phone."""
    name = re.sub(r"[^a-z0-9]+", "-", one.subject.name.lower()).strip("-")[:60]
    return f"{number:02d}-{name}-{one.length}-{one.threads}"


def _request(folder: Path, one: Variant, answers: Sequence[Path]) -> AppRequest:
    """What to type for one row.

    Args:
        folder: of the request.
        one: the row.
        answers: of all the artifact's rows so far, this one's last: a report takes the place of the one before.
    """
    extras = f"--es request {folder.name} --es runtime {runtime_of(one.job.manifest)}"
    imports = [word for path in answers for word in ("--import", str(path))]
    commands = (
        # What a row before had said is not this one's end; and an app that still runs takes no request (-S ends it).
        ["adb", "shell", f"mkdir -p {_THERE} && logcat -c"],
        ["adb", "push", str(folder), _THERE],
        ["adb", "shell", f"am start -S -W -n {APP}/{_ACTIVITY} {extras}"],
        ["adb", "logcat", "-s", "edgedistill", "-m", "1", "-e", "^(done|failed)"],
        ["adb", "pull", f"{_THERE}/{folder.name}/{RESULT}", str(answers[-1])],
        ["edgedistill", "bench", str(one.subject.folder), *imports],
    )
    return AppRequest(one.name, folder, tuple(shlex.join(command) for command in commands))
