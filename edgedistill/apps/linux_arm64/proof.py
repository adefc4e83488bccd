"""The goldens of an arm64 package, run by its own programs under qemu's user mode; the hardware stays `not_run`."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedistill.apps import GoldenCheck, answered, not_run
from edgedistill.apps._tokenizer import GOLDENS as TOKENIZER_GOLDENS
from edgedistill.artifacts import GOLDENS, Golden, read_manifest
from edgedistill.phones import arm64, bundle, qemu

_SECONDS = 1800
_FILES = {"tokenizer": f"tests/{TOKENIZER_GOLDENS}", "answers": GOLDENS}
_HARDWARE = "no arm64 machine here; on one: tests/check FOLDER, and classify.sh --all over the goldens' texts"


def run_goldens(folder: Path, profile: qemu.Profile) -> tuple[GoldenCheck, ...]:
    """Ask tokenizer and model of a package that is otherwise complete; nothing is written into it.

    Args:
        folder: the package.
        profile: processor to emulate.
    """
    folder = folder.resolve()  # the programs are started within it
    hardware = not_run(_FILES, "arm64 hardware", _HARDWARE)
    where = f"qemu-aarch64 -cpu {profile.cpu}"
    if shutil.which(qemu.EMULATOR) is None:
        return (*not_run(_FILES, where, f"{qemu.EMULATOR} is not installed here (make tools)"), *hardware)
    with tempfile.TemporaryDirectory(prefix="edgedistill-") as place:
        work = Path(place)
        emulator = [qemu.EMULATOR, "-L", str(qemu.root_of(profile, work)), "-cpu", profile.cpu]
        entries = read_manifest(folder / "model").files
        goldens = [entry.path for entry in entries if entry.role == "golden"]  # a file for every head
        answers = (_answers(folder, emulator, where, file) for file in goldens)
        return _tokenizer(folder, work, emulator, where), *answers, *hardware


def _tokenizer(folder: Path, work: Path, emulator: Sequence[str], where: str) -> GoldenCheck:
    for path in (*(folder / "model").glob("*.*"), folder / "tests" / TOKENIZER_GOLDENS):
        if path.name in {"tokenizer.spec", "vocab.txt", "unicode.txt", TOKENIZER_GOLDENS}:
            shutil.copyfile(path, work / path.name)
    done = _run([*emulator, str(folder / "tests" / "check"), str(work)], folder)
    if done.returncode:
        return answered("tokenizer", where, _FILES["tokenizer"], 0, [], _last(done))
    asked, *differ = (int(line) for line in done.stdout.split())
    return answered("tokenizer", where, _FILES["tokenizer"], asked, differ)


def _answers(folder: Path, emulator: Sequence[str], where: str, file: str) -> GoldenCheck:
    lines = (folder / "model" / file).read_text(encoding="utf-8").split("\n")
    goldens = [Golden.model_validate_json(line) for line in lines if line.strip()]
    asked = "".join(
        json.dumps({"text": golden.text, "text_pair": golden.text_pair} if golden.text_pair is not None else
                   {"text": golden.text}) + "\n"
        for golden in goldens
    )  # fmt: skip
    lib = folder / bundle.LIBRARIES
    program = [str(lib / arm64.LOADER), "--library-path", str(lib), str(folder / "classify"), str(folder), "--all"]
    done = _run([*emulator, *program], folder, asked)
    if done.returncode:
        return answered("answers", where, file, 0, [], _last(done))
    try:
        said = [json.loads(line) for line in done.stdout.split("\n") if line]
    except ValueError:  # an answer that is no number is no JSON either
        return answered("answers", where, file, len(goldens), [], "an answer is not JSON: NaN or infinity")
    if len(said) != len(goldens):
        return answered("answers", where, file, len(said), [], f"{len(goldens)} were asked")
    wrong = {number: why for number, why in _differences(goldens, said)}
    first = next((f"line {number}: {why}" for number, why in wrong.items()), "")
    return answered("answers", where, file, len(goldens), list(wrong), first)


def _differences(goldens: Sequence[Golden], said: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Lines that come out otherwise, from 1, and how."""
    for number, (golden, answer) in enumerate(zip(goldens, said, strict=True), start=1):
        if (tuple(answer["ids"]), tuple(answer["type_ids"])) != (golden.input_ids, golden.token_type_ids):
            yield number, "other token numbers"
            continue
        # Answers of every exit are stored for the gate; the program asks only for the one it takes.
        compared = {name: wanted for name, wanted in golden.expected.items() if name in answer["outputs"]}
        if not compared:
            yield number, "none of the stored answers is one of the model's"
        for name, wanted in compared.items():
            found = answer["outputs"][name]
            is_whole = len(found) == len(wanted)
            apart = float(np.abs(np.subtract(found, wanted)).max(initial=0.0)) if is_whole else math.inf
            if not apart <= golden.tolerance[name]:  # so that NaN, which is not below anything, differs too
                yield number, f"{name} {apart:.2g} apart, {golden.tolerance[name]:.2g} allowed"
                break


def _run(command: Sequence[str], folder: Path, asked: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, input=asked, capture_output=True, encoding="utf-8", errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"it did not end within {_SECONDS} s")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    # The emulator itself complains on standard output.
    said = done.stderr.strip().splitlines() or (done.stdout.strip().splitlines() if done.returncode else [])
    return (said or [f"exit code {done.returncode}"])[-1][:400]
