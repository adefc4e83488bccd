"""bench on a phone: self-test, then times with rests between, each row tied to the bytes it was measured on."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from edgedistill import __version__, files, reports
from edgedistill.artifacts import environment, now, read_manifest
from edgedistill.errors import ConfigError, DeviceError
from edgedistill.measure.modes import Mode, find_mode
from edgedistill.phones import adb, driver, preflight
from edgedistill.phones.driver import Ticks
from edgedistill.phones.preflight import Facts
from edgedistill.phones.protocol import Runtime
from edgedistill.phones.requests import runtime_of
from edgedistill.phones.tools import TARGETS, Tool
from edgedistill.phones.tools import parse as parse_tool
from edgedistill.phones.workplace import Program, Workplace
from edgedistill.pipeline.phone_answers import self_tests
from edgedistill.pipeline.phone_rows import moments, row_of
from edgedistill.pipeline.phone_tools import times_by_tools
from edgedistill.pipeline.phone_turns import Variant, measured, variants_of
from edgedistill.pipeline.subjects import Subject, artifact_subjects, at_one_length
from edgedistill.progress import say
from edgedistill.reports import BenchReport, BenchRow, PhoneCard, SelfTest, StatedRow

JOURNAL = ".bench-phone.partial"
"""Finished slices of a bench that was stopped, in the first artifact's folder."""
THREADS = (1, 2, 4)


def bench_on_phone(
    artifacts: Sequence[Path | str],
    program: Program,
    *,
    serial: str | None = None,
    mode: str = "quick",
    threads: Sequence[int] | None = None,
    affinity: str | None = None,
    lengths: Sequence[int] | None = None,
    out: Path | str | None = None,
    seed: int = 0,
    tools: Sequence[str] = (),
    ticks: Ticks | None = None,
) -> BenchReport:
    """Time artifacts on a phone and write bench-PHONE.json into each.

    First every artifact answers its goldens there. Rows are measured in turns, with rests until the phone is cool. An
    emulator answers its goldens and gives no row: its times mean nothing.

    Args:
        artifacts: folders.
        program: what runs on the phone.
        serial: of the phone; the only one where none is named.
        mode: submission, quick or rapid.
        threads: thread counts, a set of rows each; when not given 1, 2 and 4, as far as there are so many cores.
        affinity: big, little or a hexadecimal mask of cores; none: as the phone likes.
        lengths: input lengths in tokens; the fixed lengths of the artifacts when not given, else 128.
        out: a file to write the report to as well.
        seed: of the texts and the order of turns.
        tools: NAME=FILE of other benchmark tools' programs, to be timed with too.
        ticks: time.

    Raises:
        ArtifactError: no artifact, one that was changed since it was exported, or one that the runner does not run.
        ConfigError: an unknown mode, a thread count below 1, a length that a model does not take.
        DeviceError: no usable phone, it went away and did not come back, or a tool failed; what was measured is kept.
        StorageError: the report cannot be written, which is tried out before anything is measured.
    """
    chosen, others = find_mode(mode), [parse_tool(tool) for tool in tools]
    if min(threads or THREADS) < 1:
        raise ConfigError(f"threads must be whole numbers of at least 1 (found {list(threads or THREADS)}).")
    subjects = artifact_subjects(artifacts, lengths)
    own, foreign = _shared_out(subjects, others)
    if any(subject.leaves_early for subject in own) and lengths is None:
        own = at_one_length(own)
    phone = adb.choose(adb.find_adb(), serial)
    facts = preflight.look(phone)
    preflight.refuse(facts, program.abi, program.size_bytes + sum(subject.size_bytes for subject in subjects))
    cores = preflight.cores_of(facts, affinity)
    counts, crowded = _threads(threads, len(cores or facts.card.cores))
    places = [subject.folder / name_of(facts.card) for subject in subjects] + ([Path(out)] if out else [])
    for place in places:
        files.refuse_unwritable(place)
    say(f"{facts.card.model}, Android {facts.card.android}: copying {program.size_bytes / 1e6:.0f} MB and the models")
    work = Workplace(phone, program, "qemu" if facts.is_emulator else "phone")
    driver.tidy(work, ticks)
    tests = tuple(test for subject in own for test in self_tests(work, subject, ticks))
    notes = [*_notes(work, facts, tests, affinity), *crowded, *foreign]
    slices: list[driver.Slice] = []
    rows: tuple[BenchRow, ...] = ()
    stated: list[StatedRow] = []
    variants = variants_of(own, chosen, counts, cores, seed)
    journal = subjects[0].folder / JOURNAL
    if not facts.is_emulator and all(test.source == "phone" for test in tests):
        key = _key(facts, variants, chosen, seed, program)
        slices = measured(work, variants, chosen, seed, journal, key, ticks) if variants else []
        rows = _rows(variants, slices, chosen, facts.card, journal)
        stated, more = times_by_tools(work, others, subjects, counts, cores, chosen, facts.card, seed, ticks)
        notes += more
    report = BenchReport(
        created=now(),
        command=_command(
            artifacts, phone.serial if serial else None, mode, counts, affinity, lengths, out, seed, tools
        ),
        environment=environment(),
        mode=chosen.name,
        seed=seed,
        rows=rows,
        notes=tuple(notes),
        phone=facts.card,
        runtime_build=program.runtime_build,
        self_tests=tests,
        timeline=moments(slices),
        stated=tuple(stated),
    )
    for place in places:
        reports.save(report, place)
    journal.unlink(missing_ok=True)  # not before: whatever fails until here, what was measured is kept
    return report


def _shared_out(subjects: Sequence[Subject], others: Sequence[Tool]) -> tuple[list[Subject], list[str]]:
    """The artifacts that the runner times, and a sentence for each that a user's own tool alone does.

    Raises:
        ArtifactError: one that neither of them runs.
    """
    own, foreign = [], []
    for subject in subjects:
        tools = [tool.name for tool in others if TARGETS[tool.name] == subject.target]
        if subject.target in get_args(Runtime) or not tools:
            runtime_of(read_manifest(subject.folder))
            own.append(subject)
        else:
            foreign.append(f"{subject.name} was run by {tools[0]} alone: its answers on the phone were not compared.")
    return own, foreign


def _threads(asked: Sequence[int] | None, cores: int) -> tuple[tuple[int, ...], list[str]]:
    """Thread counts, and a sentence where they are more than the cores they get; 0 cores: it does not say how many."""
    counts = tuple(sorted(set(asked or (count for count in THREADS if count <= cores or not cores or count == 1))))
    if not cores or max(counts) <= cores:
        return counts, []
    them = "one core" if cores == 1 else f"{cores} cores"
    crowded = f"{max(counts)} threads were asked for on {them}: they get in each other's way."
    say(f"warning: {crowded}")
    return counts, [crowded]


def _rows(
    variants: Sequence[Variant], slices: Sequence[driver.Slice], mode: Mode, card: PhoneCard, journal: Path
) -> tuple[BenchRow, ...]:  # fmt: skip
    try:
        return tuple(
            row_of(v.subject, v.length, v.threads, v.job.plan.cores, mode, card, [s for s in slices if s.job == v.name])
            for v in variants
        )
    except DeviceError:
        journal.unlink()  # nobody shall go on with slices that hold no times
        raise


def name_of(card: PhoneCard) -> str:
    """Name of a phone's report within an artifact: several phones lie beside each other."""
    slug = re.sub(r"[^a-z0-9]+", "-", card.model.lower()).strip("-")[:40] or "phone"
    return f"bench-{slug}-{card.serial_sha256[:6]}.json"


def _notes(work: Workplace, facts: Facts, tests: Sequence[SelfTest], affinity: str | None) -> list[str]:
    notes = [
        "Inputs are the artifact's own texts, cut by its own tokenizer to exactly the stated length; a model that may "
        "leave early takes them as they come.",
        f"Run by adb shell; an app in the foreground may be scheduled otherwise. Cores: {affinity or 'any'}.",
        "Each row was measured in turns with the others, and the phone rested until it was within 2 degrees of "
        "where it began, its temperature had settled, or 300 s had passed.",
    ]
    if facts.is_emulator or any(test.source == "qemu" for test in tests):
        notes.append("This is an emulator: its answers were compared, its times mean nothing and were not taken.")
    left = f"{work.program.size_bytes / 1e6:.0f} MB of programs and the models stay on the phone for the next time"
    return [*notes, f"{left}; to remove them: adb shell rm -r /data/local/tmp/edgedistill"]


def _key(facts: Facts, variants: Sequence[Variant], mode: Mode, seed: int, program: Program) -> str:
    """Hash of all that decides the numbers."""
    parts = [
        __version__, facts.card.model_dump(mode="json"), mode.name, seed, files.sha256_of_folder(program.folder),
        [(v.name, v.subject.manifest_sha256, v.job.plan.cores) for v in variants],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _command(
    artifacts: Sequence[Path | str],
    serial: str | None,
    mode: str,
    threads: Sequence[int],
    affinity: str | None,
    lengths: Sequence[int] | None,
    out: Path | str | None,
    seed: int,
    tools: Sequence[str],
) -> str:
    device = f"adb:{serial}" if serial else "adb"
    words = ["edgedistill", "bench", *map(str, artifacts), "--device", device, "--mode", mode]
    more: Mapping[str, str | None] = {
        "--threads": ",".join(map(str, threads)),
        "--affinity": affinity,
        "--lengths": ",".join(map(str, lengths)) if lengths is not None else None,
        "--out": str(out) if out is not None else None,
        "--seed": str(seed),
    }
    words += [word for name, value in more.items() if value is not None for word in (name, value)]
    return shlex.join([*words, *(word for tool in tools for word in ("--tool", tool))])
