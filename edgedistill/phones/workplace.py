"""A folder on the phone: what is copied there, what runs there, and what is left behind (nothing of a run).

Every name on the phone is made from hashes and numbers, so that no model's or folder's own name gets there; only files
of weights keep theirs, by which their model looks for them. Programs and models stay for the next time, where a file
that is already there with the right hash is not copied again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import files
from edgedistill.artifacts import Manifest, resolve_inside
from edgedistill.errors import DataError, DeviceError
from edgedistill.phones.adb import SHORT_SECONDS, Phone, quoted
from edgedistill.phones.preflight import TEMPORARY
from edgedistill.phones.printable import printable
from edgedistill.phones.protocol import Progress, RunResult, RuntimeBuild, Where
from edgedistill.phones.requests import (
    INPUTS,
    OUTPUTS,
    REQUEST,
    RESULT,
    Arrays,
    Models,
    Plan,
    read_outputs,
    read_result,
    runtime_of,
    weight_files,
    write_request,
)

HERE = f"{TEMPORARY}/edgedistill"
SILENCE_SECONDS = 120.0
"""A program that says nothing for so long hangs: it tells how far it is about once a second."""
_SLACK_SECONDS = 600.0
"""For loading, warming up and a slow phone, on top of the longest measurement."""
_HASH_LETTERS = 16
_SUFFIXES = (".onnx", ".ort", ".tflite")
PID = "pid"
"""The program's number, within the folder of its run."""
NOTING_PID = """exec sh -c 'echo $$ > "$0"; exec "$@"'"""
"""Begins a program whose number's file and own words follow, so that `Workplace.clean` can end it."""
_KILLED = 128 + 9


@dataclass(frozen=True)
class Program:
    """What runs on the phone.

    Attributes:
        folder: on this computer; all of it is copied.
        command: words that start it, relative to the folder; the request's and the result's path are added.
        libraries: the shared library of each target's runtime, relative to the folder.
        variables: environment it needs.
        runtime_build: where those come from.
        abi: what the phone must run.
    """

    folder: Path
    command: tuple[str, ...]
    libraries: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    runtime_build: RuntimeBuild = "glibc-wheel"
    abi: str = "arm64-v8a"

    @property
    def size_bytes(self) -> int:
        """What it takes on the phone."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Job:
    """One run of one artifact.

    Attributes:
        name: for people.
        artifact: its folder.
        manifest: its manifest.
        inputs: one text each, (1, tokens) integer, without padding.
        plan: how long and with what; its source and library are filled in by the workplace.
    """

    name: str
    artifact: Path
    manifest: Manifest
    inputs: Sequence[Arrays]
    plan: Plan


@dataclass
class Workplace:
    """The folder on one phone, for one program.

    Attributes:
        phone: the phone.
        program: what runs there.
        source: what the phone is: an emulator's answers count, its times do not.
        copied: files that had to be copied.
        skipped: files that were there already.
    """

    phone: Phone
    program: Program
    source: Where
    copied: int = 0
    skipped: int = 0
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _left: set[str] = field(default_factory=set)

    def place(self, local: Path, name: str) -> None:
        """Have a file on the phone, copied only where it is not there with the right hash.

        Args:
            local: the file.
            name: below the workplace, on the phone.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: no space, or it arrived damaged twice.
        """
        wanted, remote = files.sha256_of(local), f"{HERE}/{name}"
        if (name, wanted) in self._seen:  # hashing what is there would heat the phone between measurements
            return
        if self._hash(remote) == wanted:
            self.skipped += 1
            self._seen.add((name, wanted))
            return
        found: str | None = None
        for _ in range(2):
            self.phone.push(local, remote)
            self.copied += 1
            self.phone.shell(f"chmod 755 {quoted(remote)}")
            found = self._hash(remote)
            if found == wanted:
                self._seen.add((name, wanted))
                return
        raise DeviceError(
            f"'{local.name}' arrives damaged on phone {self.phone.serial}: its SHA-256 there is {found or 'unknown'}, "
            f"here {wanted}. Use another cable or port."
        )

    def look_again(self) -> None:
        """Believe nothing of what was there, for the phone was away; remove what could not be removed then."""
        self._seen.clear()
        for run in tuple(self._left):
            self.clean(run)

    def _hash(self, remote: str) -> str | None:
        """SHA-256 of a file on the phone; none where there is none."""
        answer = self.phone.shell(f"sha256sum {quoted(remote)}", seconds=10 * SHORT_SECONDS)
        return answer.out.split()[0].lower() if answer.code == 0 and answer.out.split() else None

    def set_up(self) -> str:
        """Copy the program; gives its folder's name on the phone."""
        folder = f"b-{files.sha256_of_folder(self.program.folder)[:_HASH_LETTERS]}"
        for path in sorted(path for path in self.program.folder.rglob("*") if path.is_file()):
            self.place(path, f"{folder}/{path.relative_to(self.program.folder).as_posix()}")
        return folder

    def run(
        self, job: Job, on_progress: Callable[[Progress], None] | None = None
    ) -> tuple[RunResult, list[dict[str, NDArray[np.generic]]]]:
        """Run a job to its end.

        Returns:
            What the program answered, and the outputs of every text where they were wanted.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: the program failed, hung, or answered with something else; its last words are in the message.
            ArtifactError: an artifact that the runner does not run.
        """
        program = self.set_up()
        run = f"r-{secrets.token_hex(8)}"
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self._ask(job, program, run, Path(scratch))
                self._start(job, program, run, on_progress)
                return self._answer(job, run, Path(scratch))
        finally:
            self.clean(run)

    def clean(self, run: str) -> None:
        """End what still runs and remove what belongs to it; where the phone is gone, once it is back."""
        folder = quoted(f"{HERE}/{run}")
        self._left.add(run)
        with suppress(DeviceError):
            self.phone.shell(f"if [ -f {folder}/{PID} ]; then kill $(cat {folder}/{PID}); fi\nrm -rf {folder}")
            self._left.discard(run)

    def _ask(self, job: Job, program: str, run: str, scratch: Path) -> None:
        """Have the request, its inputs and its models on the phone; models and program lie beside, linked."""
        models = self._models(job)
        links = [program, *dict.fromkeys(place.partition("/")[0] for place in models.values())]
        folder = f"{HERE}/{run}"
        linked = [f"ln -s {quoted(f'{HERE}/{name}', f'{folder}/{name}')}" for name in links]
        self.phone.shell("\n".join([f"mkdir -p {quoted(folder)}", *linked]))
        library = f"{program}/{self._library(job)}"
        build = self.program.runtime_build
        plan = replace(job.plan, source=self.source, library=library, runtime_build=build)
        write_request(scratch, job.artifact, job.manifest, job.inputs, plan, Models(models))
        for name in (REQUEST, INPUTS):
            self.place(scratch / name, f"{run}/{name}")

    def _library(self, job: Job) -> str:
        target = runtime_of(job.manifest)
        if target not in self.program.libraries:
            known = ", ".join(self.program.libraries)
            raise DeviceError(f"the program for the phone has no runtime for '{target}', only for {known}.")
        return self.program.libraries[target]

    def _models(self, job: Job) -> dict[str, str]:
        """Have the artifact's models on the phone; gives where, by their file.

        A model with weights in files of their own looks for them beside itself: they share a folder, named by hashes.
        """
        beside = [resolve_inside(job.artifact, file) for file in weight_files(job.manifest)]
        known = "".join(f"{path.name} {files.sha256_of(path)}\n" for path in beside)
        folder = f"w-{hashlib.sha256(known.encode()).hexdigest()[:_HASH_LETTERS]}/" if beside else ""
        for path in beside:
            self.place(path, f"{folder}{path.name}")
        return {graph.file: self._model(job, graph.file, folder) for graph in job.manifest.graphs}

    def _model(self, job: Job, file: str, folder: str) -> str:
        path = resolve_inside(job.artifact, file)
        suffix = path.suffix if path.suffix in _SUFFIXES else ".model"
        name = f"{folder}m-{files.sha256_of(path)[:_HASH_LETTERS]}{suffix}"
        self.place(path, name)
        return name

    def _start(self, job: Job, program: str, run: str, on_progress: Callable[[Progress], None] | None) -> None:
        paths = [f"{HERE}/{run}/{name}" for name in (PID, REQUEST, RESULT)]
        variables = [f"{name}={value}" for name, value in self.program.variables.items()]
        words = quoted(paths[0], *(["env", *variables] if variables else []), *self.program.command, *paths[1:])
        script = f"cd {quoted(f'{HERE}/{program}')} && {NOTING_PID} {words}"
        told: list[str] = []

        def hear(line: str) -> None:
            progress = _progress(line)
            if progress is None:
                told.append(line)
            elif on_progress:
                on_progress(progress)

        seconds = job.plan.max_seconds + job.plan.warm_up_seconds + _SLACK_SECONDS
        answer = self.phone.shell(script, seconds, SILENCE_SECONDS, hear)
        if answer.code == _KILLED:
            raise DeviceError(
                f"phone {self.phone.serial} ended the runner at {job.name} (exit code {_KILLED}), most likely for want "
                "of memory. Close other apps, or take a smaller model."
            )
        if answer.code not in {0, 2}:
            raise DeviceError(
                f"the runner ended with exit code {answer.code} on phone {self.phone.serial} at {job.name}: "
                f"{_words(told)}. See: edgedistill doctor --device adb"
            )

    def _answer(
        self, job: Job, run: str, scratch: Path
    ) -> tuple[RunResult, list[dict[str, NDArray[np.generic]]]]:  # fmt: skip
        self.phone.pull(f"{HERE}/{run}/{RESULT}", scratch / RESULT)
        try:
            result = read_result(scratch)
            if job.plan.dumps:
                self.phone.pull(f"{HERE}/{run}/{OUTPUTS}", scratch / OUTPUTS)
            outputs = read_outputs(scratch, result)
        except DataError as error:
            words = str(error).replace(f"{scratch}/", "")
            raise DeviceError(f"phone {self.phone.serial}, {job.name}: {words}") from error
        return result, outputs


def _progress(line: str) -> Progress | None:
    if not line.startswith("{"):
        return None
    try:
        return Progress.model_validate(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _words(lines: Sequence[str]) -> str:
    """A program's last words, printable."""
    said = [line for line in lines if line.strip() and "edgedistill-" not in line]
    return printable(" / ".join(said[-3:]))[:300] or "it said nothing"
