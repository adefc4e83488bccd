"""The library's plain Java, compiled and run on this computer: the same tokens, and with a runtime the same answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill import files
from edgedistill.apps import GoldenCheck, answered
from edgedistill.apps._tokenizer import CHARACTERS, SPECIFICATION, VOCABULARY
from edgedistill.artifacts import Manifest
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from edgedistill.apps.android import Config
    from edgedistill.apps.android.project import Written

_JVM = "Java on this computer"
_SECONDS = 600
_MAIN = "edgedistill.app.GoldensOnJvm"


def checks(written: Written, manifest: Manifest, cfg: Config) -> Iterator[GoldenCheck]:
    """The goldens' tokens in Java; their answers too where ONNX Runtime's Java library was given.

    Raises:
        ConfigError: the library that was given is not there, or is for another runtime.
    """
    if cfg.java_runtime is not None:
        _refuse_runtime(cfg.java_runtime, manifest)
    if missing := [tool for tool in ("javac", "java") if shutil.which(tool) is None]:
        why = f"there is no {' and no '.join(missing)} here; install a JDK and package again"
        yield GoldenCheck(name="tokenizer", where=_JVM, status="not_run", reason=why)
        return
    with tempfile.TemporaryDirectory(prefix="edgedistill-java-") as classes:
        try:
            compile_library(written, Path(classes), cfg.java_runtime)
        except subprocess.SubprocessError as error:
            yield GoldenCheck(name="tokenizer", where=_JVM, status="failed", reason=_told(error))
            return
        yield _kit_check(written, Path(classes))
        yield from _run(written, Path(classes), "tokenizer", ())
        if cfg.java_runtime is not None:
            opener = f"edgedistill.app.{written.runtime.opener}"
            yield from _run(written, Path(classes), "answers", (opener,), cfg.java_runtime)
    if cfg.java_runtime is None:
        why = "ONNX Runtime's Java library is needed: --set java_runtime=onnxruntime.jar"
        if manifest.target != "onnx":
            why = "LiteRT has no Java library for computers; the phone's self-test answers them"
        yield GoldenCheck(name="answers", where=_JVM, status="not_run", reason=why)


def compile_library(written: Written, classes: Path, runtime: Path | None = None) -> None:
    """Compile what touches no Android class, and with a runtime's jar what opens its graphs.

    Raises:
        subprocess.SubprocessError: a compiler that fails or does not end.
    """
    java = Path("src", "main", "java")
    places = [written.library / java, *([written.opener / java] if runtime else [])]
    plain = [path for place in places for path in sorted(place.rglob("*.java")) if path.parent.name != "android"]
    tests = written.library / "src" / "test" / "java" / "edgedistill" / "app" / "GoldensOnJvm.java"
    arguments = ["-proc:none", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d", str(classes)]
    paths = ["-cp", str(runtime)] if runtime else []
    _call(["javac", *arguments, *paths, *map(str, plain), str(tests)])


def _kit_check(written: Written, classes: Path) -> GoldenCheck:
    """Thousands of texts that tokenizers get wrong, beside what the Hugging Face one said."""
    kit, file = classes / "kit", written.goldens.relative_to(written.folder).as_posix()
    kit.mkdir()
    for path in (
        *(written.manifest.parent / name for name in (SPECIFICATION, VOCABULARY, CHARACTERS)),
        written.goldens,
    ):
        shutil.copyfile(path, kit / path.name)
    try:
        asked, *differ = map(
            int, _call(["java", "-cp", str(classes), "edgedistill.tokenizer.Goldens", str(kit)]).split()
        )
    except (subprocess.SubprocessError, ValueError) as error:
        why = _told(error) if isinstance(error, subprocess.SubprocessError) else "it did not say what came out"
        return answered("tokenizer", _JVM, file, 0, why=why)
    return answered("tokenizer", _JVM, file, asked, differ)


def _run(
    written: Written, classes: Path, name: str, opener: Sequence[str], runtime: Path | None = None
) -> Iterator[GoldenCheck]:
    path = ":".join(str(one) for one in (classes, runtime) if one is not None)
    model = [str(written.manifest.parent), files.sha256_of(written.manifest)]
    try:
        printed = _call(["java", "-Xmx2g", "-cp", path, _MAIN, *model, *opener])
    except subprocess.SubprocessError as error:
        yield GoldenCheck(name=name, where=_JVM, status="failed", reason=_told(error))
        return
    said = [json.loads(line) for line in printed.splitlines()]
    if not said:
        yield GoldenCheck(name=name, where=_JVM, status="failed", reason="it ended without saying what came out")
    for found in said:
        yield _check(name, found)


def _check(name: str, found: dict[str, Any]) -> GoldenCheck:
    where = f"{_JVM}, {found['runtime']}" if found["runtime"] else _JVM
    why = "; ".join(found["faults"][:3]) or ("" if found["status"] == "passed" else str(found["status"]))
    return answered(name, where, found["file"], int(found["texts"]), [int(line) for line in found["lines"]], why)


def _refuse_runtime(jar: Path, manifest: Manifest) -> None:
    if manifest.target != "onnx":
        raise ConfigError("java_runtime is ONNX Runtime's, and this artifact is not of the target onnx. Leave it out.")
    if not jar.is_file():
        raise ConfigError(f"java_runtime: there is no file '{jar}'.")


def _call(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS, check=True, stdin=subprocess.DEVNULL
    )
    return done.stdout


def _told(error: subprocess.SubprocessError) -> str:
    """What the tool said, without its stack; what the system says of it where it said nothing."""
    output = getattr(error, "stderr", None)
    said = [line for line in (output if isinstance(output, str) else "").splitlines() if line[:1].strip()]
    return " ".join(said[-3:]) or str(error)
