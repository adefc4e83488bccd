"""The bundle: one folder with all that a 64-bit phone needs to run the benchmark, and its card.

A Linux program with its own loader and C library beside it: `adb push` of this folder is all. Its load segments are
aligned to 64 KB, so phones with pages of 16 KB take it too. Whether Android's shell starts it is plausible and has
not been seen: its card says so until someone did.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Literal

from edgedistill import files, reports
from edgedistill.artifacts import now
from edgedistill.config import Settings
from edgedistill.errors import ArtifactError, ConfigError, DeviceError
from edgedistill.phones import arm64, ndk
from edgedistill.phones.protocol import RuntimeBuild

CARD = "bundle.json"
RUNNER, PROBE, LIBRARIES, LICENCES = "runner", "probe", "lib", "licences"
NOT_YET = "Not yet run on hardware: seen under qemu's user-mode emulation only."
_NATIVE = "jni/arm64-v8a"
_AAR_LIBRARIES = {"onnx": "libonnxruntime.so", "tflite": "libLiteRt.so"}


class BundleFile(Settings):
    """One file of a bundle."""

    path: str
    """Within the folder, with forward slashes."""
    sha256: str
    """Of its bytes."""
    size_bytes: int
    """Its size."""


class Bundle(Settings):
    """A bundle's card: what is in it, where that comes from, and how it is started."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    machine: Literal["aarch64"] = "aarch64"
    """As uname says on the phone."""
    runtime_build: RuntimeBuild
    """Where the runtimes come from."""
    runtimes: dict[str, str]
    """Version of each by the target's name; empty where its Android library does not say."""
    libraries: dict[str, str]
    """What a request's `library` is for each target."""
    command: tuple[str, ...]
    """How the runner is started in the bundle's folder; a request and a result follow."""
    variables: dict[str, str] = {}
    """Environment it needs."""
    hardware: str = NOT_YET
    """Where it was seen to run."""
    files: tuple[BundleFile, ...]
    """Every file but this one."""

    @property
    def size_bytes(self) -> int:
        """Of all files together: what is pushed once."""
        return sum(file.size_bytes for file in self.files)


def make_bundle(out: Path, aar: Path | None = None, overwrite: bool = False) -> Bundle:
    """Compile and assemble a bundle.

    Args:
        out: the folder to make.
        aar: an Android library with ONNX Runtime or LiteRT in it, to run instead of the wheels' libraries.
        overwrite: replace a folder that is there.

    Raises:
        DeviceError: a compiler or a wheel cannot be had.
        ConfigError: no Android library, or none with a runtime in it.
        StorageError: the folder cannot be written.
    """
    with files.atomic_folder(out, overwrite) as part:
        (part / LIBRARIES).mkdir()
        (part / LICENCES).mkdir()
        parts = _from_aar(part, aar) if aar else _from_wheels(part)
        entries = tuple(
            BundleFile(
                path=path.relative_to(part).as_posix(), sha256=files.sha256_of(path), size_bytes=path.stat().st_size
            )
            for path in sorted(part.rglob("*"))
            if path.is_file()
        )
        card = Bundle.model_validate({"created": now(), "files": entries, **parts})
        reports.save(card, part / CARD)
    return card


def cached_bundle(aar: Path | None = None) -> Path:
    """A bundle in the cache, made where there is none of these sources, wheels and compiler; see `make_bundle`."""
    if aar:
        name = f"aar-{files.sha256_of(_readable(aar))[:16]}-{ndk.programs().name}"
    else:
        name = "-".join((arm64.programs().name, *(wheel.sha256[:8] for wheel in arm64.WHEELS.values())))
    folder = arm64.cache() / "bundles" / name
    if not (folder / CARD).is_file() or _damaged(folder, read_bundle(folder)):
        make_bundle(folder, aar, overwrite=True)
    return folder


def read_bundle(folder: Path) -> Bundle:
    """A bundle's card.

    Raises:
        ArtifactError: there is none.
    """
    if not (folder / CARD).is_file():
        raise ArtifactError(f"'{folder}' is no bundle: it has no {CARD}. Leave --bundle out, and one is made.")
    return reports.read(Bundle, folder / CARD)


def whole_bundle(folder: Path) -> Bundle:
    """A bundle's card, where every file is there as the card has it.

    Raises:
        ArtifactError: there is no bundle, or it is damaged.
    """
    card = read_bundle(folder)
    if damaged := _damaged(folder, card):
        raise ArtifactError(
            f"the bundle '{folder}' is damaged: {', '.join(damaged)} missing or changed. Leave --bundle out, and one "
            "is made."
        )
    return card


def _damaged(folder: Path, card: Bundle) -> list[str]:
    found = [(file.path, folder / file.path, file.sha256) for file in card.files]
    return [name for name, path, sha256 in found if not path.is_file() or files.sha256_of(path) != sha256]


def _copied(programs: Path, part: Path) -> None:
    for name in (RUNNER, PROBE):
        shutil.copy(programs / name, part / name)
        (part / name).chmod(0o755)
    licence = distribution("edgedistill").read_text("licenses/LICENSE")  # in a checkout and in a wheel alike
    if licence:
        (part / LICENCES / "edgedistill").write_text(licence, encoding="utf-8")


def _from_wheels(part: Path) -> Mapping[str, object]:
    _copied(arm64.programs(), part)
    for name in arm64.SYSTEM_LIBRARIES:
        shutil.copyfile(arm64.system_library(name), part / LIBRARIES / name)
    (part / LIBRARIES / arm64.LOADER).chmod(0o755)
    for package, path in arm64.system_licences().items():
        shutil.copyfile(path, part / LICENCES / package)
    for wheel in arm64.WHEELS.values():
        archive = arm64.wheel(wheel)
        arm64.taken_out(archive, wheel.library, part / LIBRARIES / wheel.name)
        for licence in wheel.licences:
            arm64.taken_out(archive, licence, part / LICENCES / f"{wheel.package}-{Path(licence).name}")
    return {
        "runtime_build": "glibc-wheel",
        "runtimes": {target: wheel.version for target, wheel in arm64.WHEELS.items()},
        "libraries": {target: f"{LIBRARIES}/{wheel.name}" for target, wheel in arm64.WHEELS.items()},
        "command": (f"./{LIBRARIES}/{arm64.LOADER}", "--library-path", f"./{LIBRARIES}", f"./{RUNNER}"),
    }


def _from_aar(part: Path, aar: Path) -> Mapping[str, object]:
    _copied(ndk.programs(), part)
    try:
        with zipfile.ZipFile(_readable(aar)) as archive:
            inside = [Path(name) for name in archive.namelist() if name.endswith(".so") and "\0" not in name]
    except zipfile.BadZipFile as error:
        raise ConfigError(f"'{aar}' is no Android library: {error}.") from error
    members = {path.name for path in inside if path.parent == Path(_NATIVE)}
    found = {target: name for target, name in _AAR_LIBRARIES.items() if name in members}
    if not found:
        raise ConfigError(
            f"'{aar}' has no {' or '.join(_AAR_LIBRARIES.values())} in {_NATIVE} "
            f"(found there: {', '.join(sorted(members)) or 'nothing'})."
        )
    for name in sorted(members):  # a runtime may need its neighbours
        arm64.taken_out(aar, f"{_NATIVE}/{name}", part / LIBRARIES / name)
    return {
        "runtime_build": "aar",
        "runtimes": dict.fromkeys(found, ""),
        "libraries": {target: f"{LIBRARIES}/{name}" for target, name in found.items()},
        "command": (f"./{RUNNER}",),
        "variables": {"LD_LIBRARY_PATH": f"./{LIBRARIES}"},
        "hardware": "Not yet run anywhere: an Android library runs on Android alone.",
    }


def _readable(aar: Path) -> Path:
    if not aar.is_file():
        raise ConfigError(f"no file '{aar}'. --aar takes an Android library, such as onnxruntime-android-1.23.2.aar.")
    return aar


def runtime_library(bundle: Bundle, target: str) -> str:
    """What a request's `library` is.

    Raises:
        DeviceError: the bundle has no such runtime.
    """
    if target not in bundle.libraries:
        raise DeviceError(f"the bundle has no runtime for '{target}', only for {', '.join(bundle.libraries)}.")
    return bundle.libraries[target]
