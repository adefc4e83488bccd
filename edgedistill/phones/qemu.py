"""arm64 without a phone: the bundle under qemu's user mode, as one of several processors.

What comes of it: whether a model answers alike on arm64, how many instructions an inference takes, and which kernels
a processor's abilities lead to. What cannot come of it: a time. Nothing here models caches, memory or clocks.

Traps: a runtime reads /proc/cpuinfo and would see this computer's, so each profile brings its own, which `-L` puts
over the real one. Only the dynamic emulator takes plugins (Debian's qemu-user; qemu-user-static does not).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import files, resources
from edgedistill.artifacts import Manifest
from edgedistill.config import read_yaml
from edgedistill.errors import ConfigError, DeviceError, UnknownNameError
from edgedistill.phones import arm64, bundle, requests
from edgedistill.phones.protocol import RunResult

EMULATOR = "qemu-aarch64"
TIMEOUT_SECONDS = 3600.0
_COUNTS = "counts.jsonl"
_CPUS = "sys/devices/system/cpu"
_KEYS = {"about", "cpu", "cpuinfo"}
_MISSING = f"'{EMULATOR}' is not installed. Run: make tools (Debian: apt install qemu-user; not qemu-user-static)"


@dataclass(frozen=True)
class Profile:
    """A processor to emulate: `android_bench/qemu/profiles/NAME.yaml`.

    Attributes:
        name: of the file.
        about: which processor that is, for people.
        cpu: what the emulator is told.
        cpuinfo: what /proc/cpuinfo says, alike.
    """

    name: str
    about: str
    cpu: str
    cpuinfo: str


@dataclass(frozen=True)
class Counts:
    """Instructions of one inference.

    Attributes:
        instructions: all of them.
        kinds: multiply-accumulates of matrix kernels by what a processor must have for them: fmla, dotprod, i8mm, ...
    """

    instructions: int
    kinds: dict[str, int]


def profiles() -> dict[str, Profile]:
    """The processors there are, by name.

    Raises:
        ConfigError: a profile's file is broken.
    """
    found = {}
    for path in sorted((resources.folder("android_bench") / "qemu" / "profiles").glob("*.yaml")):
        values = read_yaml(path)
        if set(values) != _KEYS:
            raise ConfigError(f"'{path}' must hold {', '.join(sorted(_KEYS))} (found {', '.join(sorted(values))}).")
        found[path.stem] = Profile(path.stem, **values)
    return found


def find_profile(name: str) -> Profile:
    """The processor of that name.

    Raises:
        UnknownNameError: there is none.
    """
    known = profiles()
    if name not in known:
        raise UnknownNameError("qemu profile", name, known)
    return known[name]


def emulator_version() -> str:
    """What the emulator says it is, such as 7.2.22.

    Raises:
        DeviceError: it is not installed or does not answer.
    """
    if shutil.which(EMULATOR) is None:
        raise DeviceError(_MISSING)
    text = arm64.run([EMULATOR, "--version"], f"'{EMULATOR}' does not answer")
    found = re.search(r"\d+\.\d+\.\d+", text)
    if found is None:
        raise DeviceError(f"'{EMULATOR}' does not say its version (found {text[:60]!r}).")
    return found[0]


def counter() -> Path:
    """The counting plugin, compiled once.

    Raises:
        DeviceError: no compiler, or it fails.
    """
    sources = resources.folder("android_bench") / "qemu"
    api = _plugin_api(emulator_version())
    key = hashlib.sha256(f"{api} {files.sha256_of_folder(sources, '*.[ci]*')}".encode()).hexdigest()[:16]
    folder = arm64.cache() / "counters" / key
    if not (folder / "counter.so").is_file():
        with files.atomic_folder(folder, overwrite=True) as part:
            flags = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_API={api}"]
            arm64.run(
                ["gcc", *flags, "-o", str(part / "counter.so"), str(sources / "counter.c")],
                "the counting plugin does not compile",
            )
    return folder / "counter.so"


def _plugin_api(version: str) -> int:
    major, minor = (int(part) for part in version.split(".")[:2])
    if major < 9:
        return 1
    return 2 if (major, minor) == (9, 0) else 4


def answers(
    profile: Profile, artifact: Path, manifest: Manifest, inputs: Sequence[requests.Arrays]
) -> tuple[list[dict[str, NDArray[np.generic]]], RunResult]:
    """What an artifact answers on an emulated processor.

    Args:
        profile: the processor.
        artifact: its folder.
        manifest: its manifest.
        inputs: one text each, (1, tokens), without padding.

    Returns:
        Outputs of every text by name, and the runner's own words.

    Raises:
        DeviceError: a tool is missing.
        DataError: the runner refuses, or what it left cannot be read.
    """
    with _workplace(artifact, manifest, inputs, runs=0) as folder:
        _emulate(profile, folder)
        result = requests.read_result(folder)
        return requests.read_outputs(folder, result), result


def counts(
    profile: Profile, artifact: Path, manifest: Manifest, inputs: requests.Arrays, runs: int
) -> tuple[Counts, ...]:
    """Instructions of single inferences of one text, the first one after loading left out.

    Raises:
        DeviceError: a tool is missing, or the plugin counted something else than what was asked.
        DataError: the runner refuses.
    """
    with _workplace(artifact, manifest, [inputs], runs) as folder:
        _emulate(profile, folder, ["-plugin", f"{counter()},out={_COUNTS}"])
        requests.read_result(folder)
        found = tuple(read_counts(folder / _COUNTS))
    if len(found) != runs:
        raise DeviceError(f"the counting plugin saw {len(found)} inferences, not {runs}: it fits not this emulator.")
    return found


def read_counts(path: Path) -> Iterator[Counts]:
    """What the plugin wrote, an inference a line.

    Raises:
        DeviceError: it cannot be read.
    """
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            values = {name: int(value) for name, value in json.loads(line).items()}
            yield Counts(values.pop("instructions"), values)
    except (OSError, ValueError, LookupError, AttributeError) as error:
        raise DeviceError(f"the counting plugin's '{path.name}' cannot be read: {error!r}.") from error


@contextmanager
def _workplace(artifact: Path, manifest: Manifest, inputs: Sequence[requests.Arrays], runs: int) -> Iterator[Path]:
    """A folder with a request in it, gone afterwards."""
    place = bundle.cached_bundle()
    library = bundle.runtime_library(bundle.read_bundle(place), requests.runtime_of(manifest))
    plan = requests.Plan(source="qemu", library=str(place / library), min_runs=runs, dumps=not runs, marks=bool(runs))
    with tempfile.TemporaryDirectory(prefix="edgedistill-") as folder:
        requests.write_request(Path(folder), artifact, manifest, inputs, plan)
        yield Path(folder)


def _emulate(profile: Profile, folder: Path, options: Sequence[str] = ()) -> None:
    """Run the request in a folder. A runner that refuses has said why in its result."""
    emulator_version()
    place = bundle.cached_bundle()
    lib = place / bundle.LIBRARIES
    program = [str(lib / arm64.LOADER), "--library-path", str(lib), str(place / bundle.RUNNER)]
    command = [EMULATOR, "-L", str(root_of(profile, folder)), "-cpu", profile.cpu, *options, *program]
    try:
        done = subprocess.run(
            [*command, requests.REQUEST, requests.RESULT],
            cwd=folder, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"the emulated runner did not end within {TIMEOUT_SECONDS:.0f} seconds.") from error
    if done.returncode and not (folder / requests.RESULT).is_file():
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"the runner ended under {EMULATOR} -cpu {profile.cpu}: {last}")


def root_of(profile: Profile, folder: Path) -> Path:
    """What the emulated program finds instead of this computer's /proc/cpuinfo and list of cores: one core."""
    root = folder / "root"
    (root / "proc").mkdir(parents=True)
    (root / _CPUS).mkdir(parents=True)
    (root / "proc" / "cpuinfo").write_text(profile.cpuinfo + "\n", encoding="ascii")
    for name in ("possible", "present", "online"):
        (root / _CPUS / name).write_text("0\n", encoding="ascii")
    return root
