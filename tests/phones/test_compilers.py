"""The runner by other compilers: zig's, CMake with a toolchain file, and an NDK's for a user's Android library."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgedistill import resources
from edgedistill.errors import ConfigError
from edgedistill.phones import arm64, bundle, qemu, requests
from edgedistill.pipeline.bench_anywhere import program_of
from edgedistill.pipeline.runners import open_runner
from tests.phones.runner_models import texts, write_cascade
from tests.tools import needs

SOURCES = resources.folder("android_bench") / "runner"
SYSROOT = Path("/usr/aarch64-linux-gnu")
pytestmark = [pytest.mark.long, needs("qemu-aarch64", str(SYSROOT / "lib/libc.so.6"))]


def machine_of(program: Path) -> int:
    """The processor that an ELF file is for; 183 is arm64."""
    return int.from_bytes(program.read_bytes()[18:20], "little")


def agrees(folder: Path, artifact: Path, command: list[str]) -> None:
    """What a runner answered to a request lying there is what the artifact answers here."""
    done = subprocess.run([*command, requests.REQUEST, requests.RESULT], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    manifest = write_cascade(artifact, threshold=0.1)
    run = open_runner(artifact, manifest)
    for found, inputs in zip(requests.read_outputs(folder, requests.read_result(folder)), texts(), strict=True):
        np.testing.assert_allclose(found["logits"], run(inputs)["logits"], atol=1e-5, rtol=0)


@pytest.mark.skipif(find_spec("ziglang") is None, reason="needs ziglang: pip install ziglang")
def test_a_bundle_by_zig_answers_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Debian's cross compiler, with the arm64 libraries that its packages would bring."""
    which = shutil.which
    monkeypatch.setattr(arm64.shutil, "which", lambda name: None if name == arm64.COMPILER else which(name))
    place = bundle.cached_bundle()
    assert {machine_of(place / name) for name in ("runner", "probe")} == {183}
    assert b"libstdc++" not in (place / "runner").read_bytes(), "zig's own C++ library is linked in"
    probe = subprocess.run([qemu.EMULATOR, place / "probe"], capture_output=True, text=True, check=True).stdout
    assert '"machine":"aarch64"' in probe.replace(" ", "")
    manifest = write_cascade(tmp_path / "toy", threshold=0.1)
    run = open_runner(tmp_path / "toy", manifest)
    found, result = qemu.answers(qemu.find_profile("a53"), tmp_path / "toy", manifest, texts())
    assert result.source == "qemu"
    for ours, inputs in zip(found, texts(), strict=True):
        np.testing.assert_allclose(ours["logits"], run(inputs)["logits"], atol=1e-5, rtol=0)


@needs("cmake", arm64.COMPILER)
def test_cmake_with_a_toolchain_file(tmp_path: Path) -> None:
    """A toolchain file as an NDK brings one, of Debian's compiler and calling itself Android's."""
    toolchain = tmp_path / "toolchain.cmake"
    toolchain.write_text(
        "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR aarch64)\nset(ANDROID TRUE)\n"
        f"set(CMAKE_CXX_COMPILER {arm64.COMPILER})\n"
    )
    build = tmp_path / "build"
    words = ["cmake", "-S", str(SOURCES), "-B", str(build), f"-DCMAKE_TOOLCHAIN_FILE={toolchain}"]
    subprocess.run([*words, "-DCMAKE_BUILD_TYPE=Release"], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)
    assert {machine_of(build / name) for name in ("runner", "probe")} == {183}
    assert b"libstdc++.so" not in (build / "runner").read_bytes(), "one file to push"
    done = subprocess.run([qemu.EMULATOR, build / "probe"], capture_output=True, text=True, check=True)
    assert "aarch64" in done.stdout


@needs(arm64.COMPILER, "make")
def test_the_road_of_an_android_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but Android: an NDK whose compiler is Debian's, an AAR with the wheel's arm64 library in it."""
    compiler = tmp_path / "ndk/toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang++"
    compiler.parent.mkdir(parents=True)
    compiler.write_text(f'#!/bin/sh\nexec {arm64.COMPILER} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    wheel = arm64.wheel(arm64.WHEELS["onnx"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library = arm64.taken_out(wheel, arm64.WHEELS["onnx"].library, tmp_path / "libonnxruntime.so")
    aar = tmp_path / "onnxruntime-android.aar"
    with zipfile.ZipFile(aar, "w") as archive:
        archive.write(library, "jni/arm64-v8a/libonnxruntime.so")
        for name in ("jni/arm64-v8a/libneighbour.so", "jni/x86_64/libonnxruntime.so", "jni/arm64-v8a/../../../out.so"):
            archive.writestr(name, b"another")
    place = bundle.cached_bundle(aar)
    card = bundle.read_bundle(place)
    assert (card.runtime_build, card.libraries) == ("aar", {"onnx": "lib/libonnxruntime.so"})
    assert sorted(path.name for path in (place / "lib").iterdir()) == ["libneighbour.so", "libonnxruntime.so"]
    assert "Not yet run anywhere" in card.hardware
    assert b"libstdc++.so" not in (place / "runner").read_bytes(), "no C++ library has to be pushed"
    program = program_of(place)
    assert (program.command, program.variables) == (("./runner",), {"LD_LIBRARY_PATH": "./lib"})

    manifest = write_cascade(tmp_path / "toy", threshold=0.1)
    folder = tmp_path / "phone"
    plan = requests.Plan(source="phone", library="lib/libonnxruntime.so", runtime_build=card.runtime_build)
    requests.write_request(folder, tmp_path / "toy", manifest, texts(), plan)
    (folder / "lib").symlink_to(place / "lib")
    root = qemu.root_of(qemu.find_profile("a53"), folder)
    for name in ("lib", "etc"):
        if (SYSROOT / name).exists() and not (root / name).exists():
            (root / name).symlink_to(SYSROOT / name)
    variables = [word for name, value in program.variables.items() for word in ("-E", f"{name}={value}")]
    agrees(folder, tmp_path / "toy", [qemu.EMULATOR, "-L", str(root), *variables, str(place / "runner")])
    assert requests.read_result(folder).runtime_build == "aar"

    for name, content, reason in (
        ("empty.aar", {}, r"has no libonnxruntime.so or libLiteRt.so in jni/arm64-v8a \(found there: nothing\)"),
        ("other.aar", {"jni/arm64-v8a/libx.so": b"x"}, "found there: libx.so"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in content.items():
                archive.writestr(member, data)
        with pytest.raises(ConfigError, match=reason):
            bundle.make_bundle(tmp_path / "bundle", tmp_path / name)
    (tmp_path / "no.aar").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="is no Android library"):
        bundle.make_bundle(tmp_path / "bundle", tmp_path / "no.aar")
    assert not (tmp_path / "bundle").exists()
