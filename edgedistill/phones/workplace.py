"""A folder on the phone: what is copied there, what runs there, and what is left behind (nothing of a run).

Every name on the phone is made from hashes and numbers, so that no model's or folder's own name gets there. Programs
and models stay for the next time, where a file that is already there with the right hash is not copied again.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgedistill import files
from edgedistill.errors import DeviceError
from edgedistill.graphs import Buckets, Cascade, Graph, Heads, Single
from edgedistill.phones.adb import SHORT_SECONDS, Phone, quoted
from edgedistill.phones.preflight import TEMPORARY
from edgedistill.phones.protocol import (
    Array,
    InputSet,
    Progress,
    RunRequest,
    RunResult,
    Runtime,
    RuntimeBuild,
    Where,
)

HERE = f"{TEMPORARY}/edgedistill"
SILENCE_SECONDS = 120.0
"""A program that says nothing for so long hangs: it tells how far it is about once a second."""
_SLACK_SECONDS = 600.0
"""For loading, warming up and a slow phone, on top of the longest measurement."""
_HASH_LETTERS = 16

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Program:
    """What runs on the phone.

    Attributes:
        folder: on this computer; all of it is copied.
        command: words that start it, relative to the folder; the request's and the result's path are added.
        libraries: each runtime's shared library, relative to the folder.
        runtime_build: where those come from.
        abi: what the phone must run.
    """

    folder: Path
    command: tuple[str, ...]
    libraries: Mapping[Runtime, str]
    runtime_build: RuntimeBuild = "glibc-wheel"
    abi: str = "arm64-v8a"


@dataclass(frozen=True)
class Job:
    """One run of one model.

    Attributes:
        name: for people.
        runtime: what opens the model.
        models: each graph's file as the manifest names it, and where it is here.
        graphs, driver: the manifest's.
        inputs: arrays of each text, (1, tokens), in the graph's own types.
        threads: given to the runtime.
        cores: to be bound to; none: all.
        warm_up_runs, warm_up_seconds, min_runs, min_seconds, max_seconds: as in `RunRequest`.
        wants_outputs: whether every text's outputs come back.
    """

    name: str
    runtime: Runtime
    models: Mapping[str, Path]
    graphs: tuple[Graph, ...]
    driver: Single | Buckets | Cascade | Heads
    inputs: Sequence[Arrays]
    threads: int = 1
    cores: tuple[int, ...] = ()
    warm_up_runs: int = 0
    warm_up_seconds: float = 0.0
    min_runs: int = 0
    min_seconds: float = 0.0
    max_seconds: float = 600.0
    wants_outputs: bool = False


@dataclass
class Workplace:
    """The folder on one phone, for one program."""

    phone: Phone
    program: Program
    source: Where
    copied: int = 0
    """Files that had to be copied."""
    skipped: int = 0
    """Files that were there already."""
    _placed: dict[Path, str] = field(default_factory=dict)
    _can_hash: bool = True

    def place(self, local: Path, name: str) -> str:
        """Have a file on the phone, copied only where it is not there with the right hash.

        Args:
            local: the file.
            name: below the workplace, on the phone.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: no space, or it arrived damaged twice.
        """
        wanted, remote = files.sha256_of(local), f"{HERE}/{name}"
        if self._hash(remote) == wanted:
            self.skipped += 1
            return name
        for _ in range(2):
            self.phone.push(local, remote)
            self.copied += 1
            found = self._hash(remote)
            if found == wanted or not self._can_hash:
                self.phone.shell(f"chmod 755 {quoted(remote)}")
                return name
        raise DeviceError(
            f"'{local.name}' arrives damaged on phone {self.phone.serial}: its SHA-256 there is {found or 'unknown'}, "
            f"here {wanted}. Use another cable or port."
        )

    def _hash(self, remote: str) -> str | None:
        """SHA-256 of a file on the phone; none where there is none, or the phone has no command for it."""
        answer = self.phone.shell(f"sha256sum {quoted(remote)}", seconds=10 * SHORT_SECONDS)
        if answer.code == 127:
            self._can_hash = False
        return answer.out.split()[0].lower() if answer.code == 0 and answer.out.split() else None

    def set_up(self) -> str:
        """Copy the program; gives its folder's name on the phone."""
        folder = f"b-{files.sha256_of_folder(self.program.folder)[:_HASH_LETTERS]}"
        for path in sorted(path for path in self.program.folder.rglob("*") if path.is_file()):
            self.place(path, f"{folder}/{path.relative_to(self.program.folder).as_posix()}")
        return folder

    def run(self, job: Job, on_progress: Callable[[Progress], None] | None = None) -> tuple[RunResult, list[Arrays]]:
        """Run a job to its end.

        Returns:
            What the program answered, and the outputs of every text where they were wanted.

        Raises:
            LostPhoneError: the connection broke.
            DeviceError: the program failed, hung, or answered with something else; its last words are in the message.
        """
        program = self.set_up()
        run = f"r-{secrets.token_hex(8)}"
        try:
            with tempfile.TemporaryDirectory() as scratch:
                request = self._request(job, program, run, Path(scratch))
                self._start(job, request, program, run, on_progress)
                result = self._result(job, run, Path(scratch))
                return result, self._outputs(result, run, len(job.inputs), Path(scratch))
        finally:
            self.clean(run)

    def clean(self, run: str) -> None:
        """End what still runs and remove what belongs to it; a phone that is gone is left as it is."""
        pid = quoted(f"{HERE}/{run}.pid")
        with suppress(DeviceError):
            self.phone.shell(
                f"if [ -f {pid} ]; then kill $(cat {pid}) 2>/dev/null; fi\nrm -f {quoted(f'{HERE}/{run}')}.*"
            )

    def _request(self, job: Job, program: str, run: str, scratch: Path) -> RunRequest:
        models = {name: self._model(path) for name, path in job.models.items()}
        inputs, packed = _packed(job.inputs, f"{run}.inputs")
        request = RunRequest(
            id=run,
            source=self.source,
            runtime=job.runtime,
            runtime_build=self.program.runtime_build,
            library=f"{program}/{self.program.libraries[job.runtime]}",
            graphs=tuple(graph.model_copy(update={"file": models[graph.file]}) for graph in job.graphs),
            driver=job.driver,
            inputs=inputs,
            threads=job.threads,
            cores=job.cores,
            warm_up_runs=job.warm_up_runs,
            warm_up_seconds=job.warm_up_seconds,
            min_runs=job.min_runs,
            min_seconds=job.min_seconds,
            max_seconds=job.max_seconds,
            outputs=f"{run}.outputs" if job.wants_outputs else None,
        )
        for name, data in ((f"{run}.inputs", packed), (f"{run}.request.json", request.model_dump_json().encode())):
            (scratch / name).write_bytes(data)
            self.place(scratch / name, name)
        return request

    def _model(self, path: Path) -> str:
        """Copy a model once; gives its name on the phone."""
        if path not in self._placed:
            suffix = path.suffix if path.suffix in {".onnx", ".ort", ".tflite"} else ".model"
            self._placed[path] = f"m-{files.sha256_of(path)[:_HASH_LETTERS]}{suffix}"
        return self.place(path, self._placed[path])

    def _start(
        self, job: Job, request: RunRequest, program: str, run: str, on_progress: Callable[[Progress], None] | None
    ) -> None:
        paths = [f"{HERE}/{run}.{end}" for end in ("pid", "request.json", "result.json")]
        words = quoted(paths[0], *self.program.command, *paths[1:])
        script = f"""cd {quoted(f"{HERE}/{program}")} && exec sh -c 'echo $$ > "$0"; exec "$@"' {words}"""
        told: list[str] = []

        def hear(line: str) -> None:
            progress = _progress(line)
            if progress is None:
                told.append(line)
            elif on_progress:
                on_progress(progress)

        seconds = request.max_seconds + request.warm_up_seconds + _SLACK_SECONDS
        answer = self.phone.shell(script, seconds, SILENCE_SECONDS, hear)
        if answer.code not in {0, 2}:
            raise DeviceError(
                f"the runner ended with exit code {answer.code} on phone {self.phone.serial} at {job.name}: "
                f"{_words(told)}. See: edgedistill doctor --device adb"
            )

    def _result(self, job: Job, run: str, scratch: Path) -> RunResult:
        local = scratch / "result.json"
        self.phone.pull(f"{HERE}/{run}.result.json", local)
        try:
            result = RunResult.model_validate(json.loads(local.read_bytes()))
        except (ValueError, ValidationError) as error:
            raise DeviceError(
                f"phone {self.phone.serial} answered {job.name} with something that is no result "
                f"({type(error).__name__}). Try again; if it stays so, report it."
            ) from error
        if result.id != run:
            raise DeviceError(f"phone {self.phone.serial} answered another request ({result.id!r}, asked: {run!r}).")
        if result.status == "failed":
            raise DeviceError(f"{job.name} does not run on phone {self.phone.serial}: {result.error}")
        return result

    def _outputs(self, result: RunResult, run: str, count: int, scratch: Path) -> list[Arrays]:
        if not result.outputs:
            return []
        local = scratch / "outputs"
        self.phone.pull(f"{HERE}/{run}.outputs", local)
        return unpacked(result, local.read_bytes(), count)


def _packed(inputs: Sequence[Arrays], name: str) -> tuple[tuple[InputSet, ...], bytes]:
    """Arrays one after another in one file, and where each of them lies."""
    sets, data = [], bytearray()
    for arrays in inputs:
        places = []
        for key, value in arrays.items():
            shape = tuple(int(size) for size in value.shape)
            places.append(
                Array.model_validate(
                    {"name": key, "dtype": value.dtype.name, "shape": shape, "file": name, "offset": len(data)}
                )
            )
            data += np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
        sets.append(InputSet(arrays=tuple(places)))
    return tuple(sets), bytes(data)


def unpacked(result: RunResult, data: bytes, count: int) -> list[Arrays]:
    """The outputs of every input set, out of their file's bytes.

    Raises:
        DeviceError: an output lies outside the file, or belongs to no input set.
    """
    sets: list[dict[str, NDArray[np.generic]]] = [{} for _ in range(count)]
    for one in result.outputs:
        kind = np.dtype(one.dtype).newbyteorder("<")
        size = int(np.prod(one.shape, dtype=np.int64)) * kind.itemsize
        if one.input >= count or one.offset + size > len(data):
            raise DeviceError(f"the phone's outputs are cut off: '{one.name}' of text {one.input} is not in its file.")
        array = np.frombuffer(data, kind, count=size // kind.itemsize, offset=one.offset)
        sets[one.input][one.name] = array.reshape(one.shape)
    return list(sets)


def _progress(line: str) -> Progress | None:
    if not line.startswith("{"):
        return None
    try:
        return Progress.model_validate(json.loads(line))
    except (ValueError, ValidationError):
        return None


def _words(lines: Sequence[str]) -> str:
    """A program's last words, printable."""
    said = [line for line in lines if line.strip() and "edgedistill-" not in line]
    shown = "".join(letter if letter.isprintable() else "?" for letter in " / ".join(said[-3:]))
    return shown[:300] or "it said nothing"
