"""From what a phone answered, slice by slice, to rows and the course of its temperature."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from edgedistill.errors import DeviceError
from edgedistill.measure.modes import Mode
from edgedistill.phones.driver import Slice
from edgedistill.phones.heat import hottest
from edgedistill.phones.preflight import mask_of
from edgedistill.phones.protocol import Reading
from edgedistill.pipeline.subjects import Subject
from edgedistill.pipeline.timed_rows import timed_row
from edgedistill.reports import BenchRow, Heat, Moment, PhoneCard

_NANO = 1e-9


def row_of(
    subject: Subject, length: int, threads: int, cores: Sequence[int], mode: Mode, card: PhoneCard,
    slices: Sequence[Slice],
) -> BenchRow:  # fmt: skip
    """One row out of all its slices, in the order they were run.

    Raises:
        DeviceError: the phone measured nothing, or an emulator answered: it has no times.
    """
    if any(one.result.source != "phone" for one in slices):
        raise DeviceError(f"{subject.name} was answered by an emulator. Its times are no phone's and are not taken.")
    seconds = [sample * _NANO for one in slices for sample in one.result.samples_ns]
    first = slices[0].result if slices else None
    if first is None or not seconds or first.first_ns is None or first.load_ns is None:
        raise DeviceError(f"the phone gave no times for {subject.name} at {length} tokens. Try again.")
    memory = [one.result.peak_rss_bytes for one in slices if one.result.peak_rss_bytes is not None]
    layers = [float(passed) for one in slices for passed in one.result.layers]
    return timed_row(
        subject, seconds, mode, first_ms=1e-6 * first.first_ns, load_ms=1e-6 * first.load_ns, source="phone",
        device=f"{card.model}, {card.soc}" if card.soc else card.model, threads=threads, affinity=mask_of(cores),
        length=length, mean_layers=fmean(layers) if layers and subject.leaves_early else None,
        peak_rss_bytes=max(memory, default=None), heat_before=slices[0].before, heat_after=slices[-1].after,
    )  # fmt: skip


def moments(slices: Sequence[Slice]) -> tuple[Moment, ...]:
    """How hot the phone was: before and after every slice, and while it ran, where its sensors can be read there."""
    found = []
    for one in slices:
        found.append(Moment(seconds=one.began_seconds, what=f"before {one.job}", heat=one.before))
        for reading in one.result.readings:
            heat = _heat(reading)
            if heat is not None and one.began_seconds + reading.seconds < one.ended_seconds:
                found.append(Moment(seconds=round(one.began_seconds + reading.seconds, 3), what=one.job, heat=heat))
        found.append(Moment(seconds=one.ended_seconds, what=one.job, heat=one.after))
    return tuple(found)


def _heat(reading: Reading) -> Heat | None:
    celsius = hottest(list(reading.zones.items()))
    mhz = round(fmean(reading.clocks.values()), 1) if reading.clocks else None
    return None if celsius is None and mhz is None else Heat(celsius=celsius, mhz=mhz)
