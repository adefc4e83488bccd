"""What an arm64 Linux program needs, got once and kept: the compiled runner, its C library, the runtimes.

Debian's cross compiler brings loader and C library of the very glibc it links against. Where it is not installed, the
compiler in the package `ziglang` does as well; it brings no C library, so that of an arm64 system's folder is taken.
The runtimes come out of their own aarch64 wheels, pinned by hash. All of it is kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill import files, resources
from edgedistill.errors import DeviceError

COMPILER = "aarch64-linux-gnu-g++"
ZIG = "ziglang"
"""A package with a compiler for every machine."""
_GLIBC = "2.34"
"""What zig links against: of 2021, and the oldest that has the parts of the C library in one file."""
_SYSROOTS = (Path("/usr/aarch64-linux-gnu/lib"), Path("/usr/lib/aarch64-linux-gnu"))
"""Where Debian and Arch keep arm64 libraries without a compiler, and where an arm64 Debian keeps its own."""
LOADER = "ld-linux-aarch64.so.1"
SYSTEM_LIBRARIES = (
    LOADER,
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "librt.so.1",
    "libpthread.so.0",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
_PACKAGES = ("libc6-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross")
"""Debian's packages the system libraries come from; each keeps its licence."""
_DOCUMENTS = Path("/usr/share/doc")
_SECONDS = 1800


@dataclass(frozen=True)
class Wheel:
    """A runtime's aarch64 wheel.

    Attributes:
        package: on the package registry.
        version: pinned; the runner's declarations are tested against it.
        platforms: tags to ask for, newest first.
        sha256: of the file.
        library: inside the wheel.
        name: what the library is called where it is loaded from.
        licences: inside the wheel.
    """

    package: str
    version: str
    platforms: tuple[str, ...]
    sha256: str
    library: str
    name: str
    licences: tuple[str, ...]


WHEELS = {
    "onnx": Wheel(
        "onnxruntime",
        "1.31.1",
        ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64"),
        "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "libonnxruntime.so.1",
        ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"),
    ),
    "tflite": Wheel(
        "ai-edge-litert",
        "2.3.0",
        ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64"),
        "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
        "ai_edge_litert/libLiteRt.so",
        "libLiteRt.so",
        ("ai_edge_litert-2.3.0.dist-info/licenses/LICENSE",),
    ),
}


def cache() -> Path:
    """Where all this is kept: `phones` in edgedistill's folder of the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "edgedistill" / "phones"


def wheel(wanted: Wheel) -> Path:
    """The wheel's file, from the cache or the package registry.

    Raises:
        DeviceError: it cannot be had, or is not the file that is pinned.
    """
    folder = cache() / "wheels" / wanted.sha256[:16]
    for path in folder.glob("*.whl"):
        if files.sha256_of(path) == wanted.sha256:
            return path
    with files.atomic_folder(folder, overwrite=True) as part:
        _download(wanted, part)
        (found,) = part.glob("*.whl")
        if files.sha256_of(found) != wanted.sha256:
            raise DeviceError(
                f"the registry's {found.name} has SHA-256 {files.sha256_of(found)}, not the pinned {wanted.sha256}. "
                "Do not use it; look at which registry pip asks (pip config list)."
            )
        name = found.name
    return folder / name


def _download(wanted: Wheel, folder: Path) -> None:
    platforms = [word for tag in wanted.platforms for word in ("--platform", tag)]
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--python-version", "3.11", "--abi", "cp311", *platforms),
            *("--dest", str(folder), f"{wanted.package}=={wanted.version}"),
        ],
        f"cannot download {wanted.package} {wanted.version} for arm64",
    )


def taken_out(archive: Path, member: str, to: Path) -> Path:
    """One file of a wheel or an Android library, written to `to`.

    Raises:
        DeviceError: it is not in there, or the archive is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as source, to.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DeviceError(f"cannot take '{member}' out of '{archive}': {error}.") from error
    return to


def system_library(name: str) -> Path:
    """A library of the cross compiler's own C library; without that compiler, of an arm64 one that lies here.

    Raises:
        DeviceError: there is none.
    """
    if found := shutil.which(COMPILER):
        path = Path(run([found, f"-print-file-name={name}"], "the cross compiler does not answer").strip())
        places = [path] if path.is_absolute() else []
    else:
        places = [folder / name for folder in _SYSROOTS]
    for path in places:
        if path.exists():
            return path
    raise DeviceError(
        f"there is no '{name}' for arm64. Run: make tools (Debian: apt install g++-aarch64-linux-gnu, or its libraries "
        f"alone: apt install {' '.join(_PACKAGES)})"
    )


def system_licences() -> dict[str, Path]:
    """The licences of the system libraries by package, where the system keeps them."""
    found = {package: _DOCUMENTS / package / "copyright" for package in _PACKAGES}
    return {package: path for package, path in found.items() if path.is_file()}


def compiler(is_static: bool = False) -> tuple[str, ...]:
    """The words that compile C++ for arm64: Debian's cross compiler, else zig's.

    Args:
        is_static: whether the program shall need no C library: zig has another one for that.

    Raises:
        DeviceError: neither is installed.
    """
    if found := shutil.which(COMPILER):
        return (found,)
    if importlib.util.find_spec(ZIG):
        target = "aarch64-linux-musl" if is_static else f"aarch64-linux-gnu.{_GLIBC}"
        return (sys.executable, "-m", ZIG, "c++", "-target", target)
    raise DeviceError(
        f"'{COMPILER}' is not installed, and it compiles what runs on the phone. "
        f"Run: make tools (Debian: apt install g++-aarch64-linux-gnu), or: pip install {ZIG}"
    )


def programs(command: Sequence[str] = (), flags: str = "") -> Path:
    """A folder with `runner` and `probe`, compiled once for every compiler and source.

    Args:
        command: the compiler's words; `compiler` when not given.
        flags: for its linker.

    Raises:
        DeviceError: no compiler, or one that fails.
    """
    words, static = (command, command) if command else (compiler(), compiler(is_static=True))
    version = run([*words, "--version"], "the compiler does not answer").splitlines()[0]
    sources = resources.folder("android_bench") / "runner"
    key = hashlib.sha256(f"{words} {flags} {version} {files.sha256_of_folder(sources)}".encode()).hexdigest()[:16]
    folder = cache() / "programs" / key
    if (folder / "probe").is_file():
        return folder
    with files.atomic_folder(folder, overwrite=True) as part, tempfile.TemporaryDirectory() as build:
        variables = {"CXX": shlex.join(words), "PROBE_CXX": shlex.join(static), "LDFLAGS": flags, "OUT": build}
        # Another compiler's newest warning is no reason not to measure: only the project's own builds stop at one.
        told = [f"{name}={value}" for name, value in {**variables, "STRICT": ""}.items()]
        run(["make", "-s", "-C", str(sources), *told], "the runner does not compile")
        for name in ("runner", "probe"):
            shutil.copy(Path(build) / name, part / name)
    return folder


def run(command: Sequence[str], what: str) -> str:
    """What a command printed.

    Raises:
        DeviceError: it is not installed, failed or took half an hour; the message ends with its last words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"{what}: {error}.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DeviceError(f"{what}: {last}")
    return done.stdout
