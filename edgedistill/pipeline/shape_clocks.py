"""Where the shapes of a plan are timed: on this computer, or on a phone through adb."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edgedistill import plugins
from edgedistill.errors import ConfigError, DeviceError, UnknownNameError
from edgedistill.measure.modes import Mode, find_mode
from edgedistill.phones import adb, driver, preflight
from edgedistill.phones.driver import Ticks
from edgedistill.phones.preflight import Facts
from edgedistill.phones.workplace import Program, Workplace
from edgedistill.pipeline import trials
from edgedistill.pipeline.bench_anywhere import phone_program
from edgedistill.pipeline.phone_rows import row_of
from edgedistill.pipeline.phone_turns import measured, variants_of
from edgedistill.pipeline.subjects import artifact_subjects
from edgedistill.progress import say
from edgedistill.reports import BenchRow, PhoneCard

MODE = "rapid"
_GLANCE = Mode("rapid", min_runs=8, min_seconds=2.0, max_seconds=20.0)
_JOURNAL = ".plan-phone.partial"


class Clock(Protocol):
    """Times converted shapes, all of one length and one thread count."""

    @property
    def device(self) -> Literal["host", "phone"]:
        """Where the times come from."""

    @property
    def phone(self) -> PhoneCard | None:
        """Which phone it is; none for this computer."""

    def glance(self, folder: Path) -> float:
        """About the p90 to expect, milliseconds, from a few seconds."""

    def rows(self, folders: Sequence[Path]) -> tuple[BenchRow, ...]:
        """Every folder's times, measured in turns."""


def clock_of(
    device: str, target: str, length: int, threads: int, seed: int, affinity: str | None, bundle: Path | None,
    aar: Path | None,
) -> Clock:  # fmt: skip
    """The clock that `--device` names; what keeps a phone from being one is told before anything is converted.

    Raises:
        ConfigError: options of a phone for this computer, or a device that nothing is timed on.
        NoRuntimeError: this computer has no runtime for the target.
        DeviceError: no usable phone, an emulator, or one whose program has no runtime for the target.
    """
    kind, _, serial = device.partition(":")
    if kind not in {"host", "adb"} or (kind == "host" and serial):
        raise UnknownNameError("device", device, ("host", "adb", "adb:SERIAL"))
    options = {"--affinity": affinity, "--bundle": bundle, "--aar": aar}
    given = [name for name, value in options.items() if value is not None]
    if kind == "host":
        if given:
            raise ConfigError(f"{given[0]} goes with --device adb. Leave it out, or add --device adb.")
        getattr(plugins.load("targets", target), "refuse_elsewhere", lambda: None)()
        return HostClock(length, threads, seed)
    phone = adb.choose(adb.find_adb(), serial or None)
    return phone_clock(phone, lambda: phone_program(bundle, aar), target, length, threads, seed, affinity)


@dataclass(frozen=True)
class HostClock:
    """This computer."""

    length: int
    threads: int
    seed: int
    device: Literal["host"] = "host"
    phone: None = None

    def glance(self, folder: Path) -> float:
        """See `Clock`."""
        return trials.glance(folder, self.length, self.threads, self.seed)

    def rows(self, folders: Sequence[Path]) -> tuple[BenchRow, ...]:
        """See `Clock`."""
        from edgedistill.pipeline.bench import bench

        lengths, threads = [self.length], [self.threads]
        return bench(folders, mode=MODE, reference=False, lengths=lengths, threads=threads, seed=self.seed).rows


def phone_clock(
    phone: adb.Phone,
    program: Callable[[], Program],
    target: str,
    length: int,
    threads: int,
    seed: int,
    affinity: str | None = None,
    ticks: Ticks | None = None,
) -> PhoneClock:
    """A phone as a clock.

    Args:
        phone: which.
        program: makes what runs there; asked once the phone is known to be one.
        target: runtime of the shapes.
        length: tokens of every text.
        threads: given to the runtime.
        seed: of the texts and the order of turns.
        affinity: big, little or a hexadecimal mask of cores; none: as the phone likes.
        ticks: time.

    Raises:
        DeviceError: an emulator, a phone that no bench runs on, or a program without that runtime.
    """
    facts = preflight.look(phone)
    if facts.is_emulator:
        raise DeviceError(
            f"{facts.card.model} is an emulator, whose times mean nothing. Use a phone, or --device host."
        )
    made = program()
    preflight.refuse(facts, made.abi, made.size_bytes)
    cores = preflight.cores_of(facts, affinity)
    if target not in made.libraries:
        known = ", ".join(sorted(made.libraries))
        raise DeviceError(f"on a phone plan times {known}, not '{target}'. Take --target {known} or --device host.")
    say(f"{facts.card.model}, Android {facts.card.android}: copying {made.size_bytes / 1e6:.0f} MB and the shapes")
    return PhoneClock(Workplace(phone, made, "phone"), facts, cores, length, threads, seed, ticks)


@dataclass(frozen=True)
class PhoneClock:
    """A phone: shapes are run by the bench's own runner there, with rests between them."""

    work: Workplace
    facts: Facts
    cores: tuple[int, ...]
    length: int
    threads: int
    seed: int
    ticks: Ticks | None = None
    device: Literal["phone"] = "phone"

    @property
    def phone(self) -> PhoneCard:
        """See `Clock`."""
        return self.facts.card

    def glance(self, folder: Path) -> float:
        """See `Clock`."""
        (subject,) = artifact_subjects([folder], [self.length])
        (variant,) = variants_of([subject], _GLANCE, [self.threads], self.cores, self.seed)
        result, _ = driver.again(self.work, lambda: self.work.run(variant.job), self.ticks)
        if result.source != "phone" or not result.samples_ns:
            raise DeviceError(f"{self.phone.model} gave no times that are a phone's. Use another, or --device host.")
        return 1e-6 * trials.P90_OF_MEDIAN * statistics.median(result.samples_ns)

    def rows(self, folders: Sequence[Path]) -> tuple[BenchRow, ...]:
        """See `Clock`."""
        subjects, mode = artifact_subjects(folders, [self.length]), find_mode(MODE)
        variants = variants_of(subjects, mode, [self.threads], self.cores, self.seed)
        journal = folders[0] / _JOURNAL
        slices = measured(self.work, variants, mode, self.seed, journal, "plan", self.ticks)
        journal.unlink()
        found = {v.name: [one for one in slices if one.job == v.name] for v in variants}
        return tuple(
            row_of(v.subject, self.length, self.threads, self.cores, mode, self.phone, found[v.name]) for v in variants
        )
