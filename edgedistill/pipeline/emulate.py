"""bench --device qemu:PROFILE: arm64 parity and instruction counts of artifacts, never milliseconds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill import files, parity, reports
from edgedistill.artifacts import MANIFEST, Golden, Manifest, environment, now, read_manifest
from edgedistill.errors import ConfigError
from edgedistill.gate.case import read_goldens, stored_as
from edgedistill.gate.rungs import judged, measure, not_run
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.measure.inputs import inputs_of
from edgedistill.phones import arm64, qemu, requests, selftest
from edgedistill.phones.emulation import ARCHITECTURE, EMULATION, EmulationReport, EmulationRow
from edgedistill.pipeline.runners import asked_for_all
from edgedistill.pipeline.subjects import refuse_changed
from edgedistill.progress import progress
from edgedistill.reports import Measure, Rung

LENGTH = 64
"""Tokens of the counted text: long enough for the matrix products to be most of it."""
RUNS = 3
"""Inferences counted; they differ by what the runtime's memory happens to look like."""
TEXTS = 32
"""Goldens compared, spread over the file; an emulated inference takes seconds."""
SHARE = 0.01
"""How far a count may be from the stored one of the same bytes, runtime, emulator and processor."""


def emulate(
    artifacts: Sequence[Path | str],
    profiles: Sequence[str],
    *,
    length: int = LENGTH,
    texts: int = TEXTS,
    out: Path | str | None = None,
) -> EmulationReport:
    """Run artifacts on emulated arm64 processors and write qemu.json into each.

    Args:
        artifacts: folders.
        profiles: names of `android_bench/qemu/profiles`; all of them where none is given.
        length: tokens of the text whose inference is counted.
        texts: goldens compared, at most.
        out: a file to write the report to as well.

    Returns:
        The report; `has_passed` says whether every rung held.

    Raises:
        ArtifactError: no artifact, one that was changed, or one the runner does not run.
        ConfigError: no such processor, or a length that a model does not take.
        DeviceError: the emulator or the cross compiler is missing.
        StorageError: a report cannot be written, which is tried out before anything is emulated.
    """
    chosen = [qemu.find_profile(name) for name in profiles] or list(qemu.profiles().values())
    if not artifacts:
        raise ConfigError("nothing to emulate. Name at least one artifact folder.")
    version = qemu.emulator_version()
    for folder in map(Path, artifacts):
        _refuse(folder, length)
    if out:
        files.refuse_unwritable(Path(out))
    made = []
    with progress("emulating arm64", total=len(artifacts) * len(chosen)) as tracker:
        for folder in map(Path, artifacts):
            rows = []
            for profile in chosen:
                rows.append(_row(folder, profile, version, length, texts))
                tracker.advance(note=f"{folder.name} on {profile.name}")
            made.append(_report(rows, version, artifacts, chosen, length))
            reports.save(_kept(folder, made[-1]), folder / EMULATION)
    whole = _report([row for one in made for row in one.rows], version, artifacts, chosen, length)
    if out:
        reports.save(whole, Path(out))
    return whole


def _refuse(folder: Path, length: int) -> None:
    """Say before the first of many minutes what would end them."""
    manifest = read_manifest(folder)
    refuse_changed(folder, manifest)
    requests.runtime_of(manifest)
    _taken(folder, manifest, length)
    _stored(folder)
    files.refuse_unwritable(folder / EMULATION)


def device_profiles(device: str) -> list[str] | None:
    """Names of the processors in `qemu` (all), `qemu:a76` or `qemu:a53,a76`; none for another kind of device."""
    kind, _, names = device.partition(":")
    return [name for name in names.split(",") if name] if kind == "qemu" else None


def _report(
    rows: Sequence[EmulationRow],
    version: str,
    artifacts: Sequence[Path | str],
    profiles: Sequence[qemu.Profile],
    length: int,
) -> EmulationReport:
    device = "qemu:" + ",".join(profile.name for profile in profiles)
    words = ["edgedistill", "bench", *map(str, artifacts), "--device", device, "--lengths", str(length)]
    return EmulationReport(
        created=now(), command=shlex.join(words), environment=environment(), emulator=version, rows=tuple(rows)
    )


def _row(folder: Path, profile: qemu.Profile, version: str, length: int, texts: int) -> EmulationRow:
    manifest = read_manifest(folder)
    refuse_changed(folder, manifest)
    (inputs,) = inputs_of(folder, _taken(folder, manifest, length), count=1)
    counted = qemu.counts(profile, folder, manifest, inputs, RUNS)
    middle = median_low(one.instructions for one in counted)
    row = EmulationRow(
        artifact=folder.resolve().name,
        manifest_sha256=files.sha256_of(folder / MANIFEST),
        target=manifest.target,
        runtime_version=arm64.WHEELS[manifest.target].version,
        scheme=manifest.scheme,
        profile=profile.name,
        cpu=profile.cpu,
        length=inputs["input_ids"].shape[1],
        instructions=middle,
        kinds=next(one.kinds for one in counted if one.instructions == middle),
        counted=tuple(one.instructions for one in counted),
        rungs=(compared(folder, manifest, profile, texts),),
    )
    return row.model_copy(update={"rungs": (*row.rungs, against_stored(row, _stored(folder), version))})


def _taken(folder: Path, manifest: Manifest, length: int) -> int:
    longest = max((graph.length for graph in manifest.graphs if graph.length), default=manifest.tokenizer.max_length)
    if not 0 < length <= longest:
        raise ConfigError(f"'{folder}' takes 1 to {longest} tokens, not {length}. Choose another --lengths.")
    return length


def compared(folder: Path, manifest: Manifest, profile: qemu.Profile, texts: int) -> Rung:
    """The same file on another processor architecture: its answers to every task's goldens against the stored ones."""
    parts = manifest.of_each_task()
    chosen = [
        selftest.spread(part, read_goldens(folder, stored_as(part, manifest)[0]), -(-texts // len(parts)))
        for part in parts
    ]
    every = [golden for own in chosen for golden in own]
    found, _ = qemu.answers(profile, folder, asked_for_all(manifest), selftest.inputs_of(every))
    asked, begin = [], 0
    for part, own in zip(parts, chosen, strict=True):
        asked.append(Asked(part, own, found[begin : begin + len(own)]))
        begin += len(own)
    return judge(asked, f"arm64 ({profile.name}, emulated)")


@dataclass(frozen=True)
class Asked:
    """One task's goldens and what came from elsewhere.

    Attributes:
        part: the manifest as the task has it.
        goldens: with the stored answers.
        found: outputs by name of each golden, in their order.
    """

    part: Manifest
    goldens: Sequence[Golden]
    found: Sequence[dict[str, NDArray[np.generic]]]


def judge(asked: Sequence[Asked], where: str) -> Rung:
    """Answers from elsewhere against the goldens.

    fp32 by relative difference; other precisions by the same answer and by how the way from one processor to the
    other compares with what quantization itself cost on the way from the student.

    Args:
        asked: of every task.
        where: the answers come from, for people.
    """
    measures = [measure for one in asked for measure in _compared(one)]
    return judged(ARCHITECTURE, f"The same file on {where}", measures, rows=min(len(one.goldens) for one in asked))


def _compared(asked: Asked) -> list[Measure]:
    part, goldens, found = asked.part, asked.goldens, asked.found
    tolerances, _ = read_tolerances()
    measures = []
    for name in goldens[0].expected:
        stored = [np.asarray(golden.expected[name]) for golden in goldens]
        student = [np.asarray(golden.student[name]) for golden in goldens]
        ours = [np.ravel(one[name]).astype(np.float64) if name in one else np.empty(0) for one in found]
        away = parity.difference(stored, ours)
        if part.scheme == "fp32":
            measures.append(measure(f"{name} relative", away.relative, tolerances.fp32_relative))
            continue
        noise = parity.difference(student, stored).relative
        # fp16 weights may cost less than another order of sums does: then the gate's own fp16 limit says what is fine.
        room = max(noise, tolerances.fp16_relative) if part.scheme == "fp16" else noise
        measures.append(measure(f"{name} relative", away.relative, room))
        if away.is_finite and len(stored[0]) > 1 and part.task.kind != "embedding":
            sizes = [len(golden.input_ids) if part.task.kind == "tokens" else 1 for golden in goldens]
            same = parity.agreement(_choices(stored, sizes), _choices(ours, sizes))
            measures.append(measure(f"{name} agreement", same, tolerances.int8_agreement, ">="))
    return measures


def _choices(outputs: Sequence[NDArray[np.floating[Any]]], rows: Sequence[int]) -> list[tuple[int, ...]]:
    """The largest of each row's numbers: of a text's, or of each of its tokens'."""
    return [
        tuple(int(place) for place in np.reshape(output, (count, -1)).argmax(axis=1))
        for output, count in zip(outputs, rows, strict=True)
    ]


def against_stored(row: EmulationRow, stored: EmulationReport | None, emulator: str) -> Rung:
    """The count beside the one stored with the artifact: a kernel that is no longer chosen shows here."""
    name, title = "instructions", "Instructions against the stored count"
    key = (row.manifest_sha256, row.profile, row.length, row.runtime_version)
    same = [
        one
        for one in (stored.rows if stored else ())
        if (one.manifest_sha256, one.profile, one.length, one.runtime_version) == key
    ]
    if not same or stored is None or stored.emulator != emulator:
        return not_run(name, title, "no count of these bytes, runtime and emulator is stored yet")
    before = same[0].instructions
    return judged(name, title, [measure("share of change", abs(row.instructions - before) / before, SHARE)])


def _kept(folder: Path, report: EmulationReport) -> EmulationReport:
    """The report with the rows of other processors and lengths that are stored already.

    Where the count left its stored one, the stored row stays: a gate that moved its own limit would pass next time.
    """
    stored = _stored(folder)
    if stored is None or stored.emulator != report.emulator:
        return report
    sha256 = report.rows[0].manifest_sha256
    old = {(row.profile, row.length): row for row in stored.rows if row.manifest_sha256 == sha256}
    new = {(row.profile, row.length): row for row in report.rows}
    moved = {key for key, row in new.items() if key in old and row.rungs[-1].status != "not_run"}
    return report.model_copy(
        update={
            "rows": tuple(
                row.model_copy(update={"instructions": old[key].instructions}) if key in moved else row
                for key, row in {**old, **new}.items()
            )
        }
    )


def _stored(folder: Path) -> EmulationReport | None:
    path = folder / EMULATION
    return reports.read(EmulationReport, path) if path.is_file() else None
