"""A folder for 64-bit ARM Linux: a program that answers texts, its runtime, loader and libraries, and the model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from pydantic import Field

from edgedistill import resources
from edgedistill.apps import AppConfig, Built, ship
from edgedistill.apps._texts import golden_cases
from edgedistill.apps._tokenizer import GOLDENS, copy_sources, write_goldens, write_kit
from edgedistill.apps.linux_arm64.proof import run_goldens
from edgedistill.artifacts import Manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ConfigError
from edgedistill.phones import arm64, bundle, qemu, requests

TARGETS = ("onnx", "tflite")
DRIVERS = ("single", "buckets", "heads", "cascade")
KINDS = ("single", "pair", "regression", "ranking", "span", "tokens", "embedding")
"""Tasks the program has an answer for."""
MODEL, SOURCE, TESTS = "model", "source", "tests"
_HERE = Path(__file__).parent
_RUNNER_SOURCES = ("json", "machine", "request", "model", "onnx", "litert", "library")
_KIT_SOURCES = ("tokenizer", "unicode")
_OWN_SOURCES = ("answers", "classify")


class Config(AppConfig):
    """Settings of the arm64 Linux package."""

    threads: int = Field(1, ge=1)
    """Given to the runtime."""
    goldens: int = Field(2000, ge=1000)
    """Texts the tokenizer is compared with the Hugging Face one on."""
    cpu: str = "a76"
    """Processor that is emulated to run the goldens: the name of a file in android_bench/qemu/profiles."""


def build(artifact: Path, manifest: Manifest, folder: Path, cfg: Config) -> Built:
    """Write the folder, and run its goldens under qemu where that is installed.

    Raises:
        ConfigError: a task, driver or tokenizer that the program cannot run, or a processor that is not known.
        DeviceError: the compiler or the runtime cannot be had.
    """
    _refuse_unfit(manifest)
    profile = qemu.find_profile(cfg.cpu)
    write_kit(artifact, manifest, folder / MODEL)
    shipped = ship(artifact, manifest, folder / MODEL)
    _copy_libraries(bundle.cached_bundle(), manifest.target, folder)
    write_program_request(artifact, manifest, folder, cfg.threads)
    _compile(folder)
    shutil.copyfile(_HERE / "README.md", folder / "README.md")
    shutil.copyfile(_HERE / "classify.sh", folder / "classify.sh")
    (folder / "classify.sh").chmod(0o755)
    cases = golden_cases(cfg.goldens, manifest.tokenizer.max_length)
    write_goldens(load_tokenizer(artifact), cases, folder / TESTS / GOLDENS)
    return Built(shipped.relative_to(folder), run_goldens(folder, profile))


def _refuse_unfit(manifest: Manifest) -> None:
    if manifest.driver.kind not in DRIVERS or manifest.task.kind not in KINDS:
        raise ConfigError(
            f"--for linux-arm64 answers {', '.join(KINDS)} with the drivers {', '.join(DRIVERS)}; this artifact is of "
            f"the kind '{manifest.task.kind}' with the driver '{manifest.driver.kind}'. Use --for files and your own "
            "code."
        )
    if manifest.tokenizer.special_ids.get("pad") != 0:
        raise ConfigError(
            "--for linux-arm64 fills short texts up with 0, and this tokenizer's [PAD] is another number."
        )


def _copy_libraries(made: Path, target: str, folder: Path) -> None:
    """Loader, C library, the one runtime that the model needs, and their licences."""
    card = bundle.read_bundle(made)
    wanted = Path(bundle.runtime_library(card, target)).name
    others = {Path(library).name for library in card.libraries.values()} - {wanted}
    packages = tuple(f"{wheel.package}-" for name, wheel in arm64.WHEELS.items() if name != target)
    for part in (bundle.LIBRARIES, bundle.LICENCES):
        shutil.copytree(
            made / part,
            folder / part,
            ignore=lambda _, names: {name for name in names if name in others or name.startswith(packages)},
        )


def write_program_request(artifact: Path, manifest: Manifest, folder: Path, threads: int) -> None:
    """How the program runs the model: what the runner of benchmarks reads, with one text that is not asked."""
    text = np.zeros((1, 8), dtype=np.int64)
    inputs = {"input_ids": text, "attention_mask": text + 1, "token_type_ids": text}
    places = {graph.file: f"{MODEL}/{graph.file}" for graph in manifest.graphs}
    library = f"{bundle.LIBRARIES}/{arm64.WHEELS[manifest.target].name}"
    plan = requests.Plan(source="host", library=library, threads=threads, dumps=False)
    requests.write_request(folder, artifact, manifest, [inputs], plan, requests.Models(places))


def _compile(folder: Path) -> None:
    """The program, and the check of its tokenizer, for arm64; their sources go with them."""
    source = folder / SOURCE
    write_sources(source)
    (folder / TESTS).mkdir()
    kit = [f"{name}.cpp" for name in _KIT_SOURCES]
    with tempfile.TemporaryDirectory(prefix="edgedistill-") as place:
        made = Path(place)
        _compiled(source, program_sources(), made / "classify", "-ldl")
        _compiled(source, [*kit, "check.cpp"], made / "check", "-static")
        shutil.copy(made / "classify", folder / "classify")
        shutil.copy(made / "check", folder / TESTS / "check")


def program_sources() -> list[str]:
    """What the program is compiled of, in the folder that `write_sources` makes."""
    return [f"{name}.cpp" for name in (*_RUNNER_SOURCES, *_KIT_SOURCES, *_OWN_SOURCES)]


def write_sources(source: Path) -> None:
    """Write the sources of the program and of the tokenizer's check into a folder."""
    copy_sources("cpp", source)
    runner = resources.folder("android_bench") / "runner"
    names = [*runner.glob("*.hpp"), *(runner / f"{name}.cpp" for name in _RUNNER_SOURCES), *_HERE.glob("*.[ch]pp")]
    for path in sorted(names):
        shutil.copyfile(path, source / path.name)


def _compiled(source: Path, names: list[str], program: Path, *more: str) -> None:
    paths = [str(source / name) for name in names]
    flags = ("-std=c++17", "-O2", "-g0", f"-ffile-prefix-map={source}=.")
    command = (*arm64.compiler(is_static="-static" in more), *flags, *paths, *more, "-o", str(program))
    arm64.run(command, "the program for arm64 does not compile")
