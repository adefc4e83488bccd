"""What this machine lets a process do and know: cores, affinity, heat and clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from edgedistill.reports import Heat

_THERMAL = Path("/sys/class/thermal")
_CPUS = Path("/sys/devices/system/cpu")
_CORES_OF_A_PHONE = 16


def cores() -> tuple[int, ...]:
    """Numbers of the cores this process may use, rising; all there are where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def refuse_more_threads(count: int) -> None:
    """Make sure that a run here is given no more threads than cores, or than a phone has: beyond, they only wait.

    Raises:
        ConfigError: it is.
    """
    if count > (most := max(_CORES_OF_A_PHONE, len(cores()))):
        raise ConfigError(f"threads must be at most {most} here (found {count}): more only wait.")


def affinity() -> str:
    """The same as `taskset -c` writes it, such as 0-3,6."""
    spans: list[list[int]] = []
    for core in cores():
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def heat(thermal: Path = _THERMAL, cpus: Path = _CPUS) -> Heat | None:
    """How hot the processor is and how fast its clock runs now; none where the system says neither.

    Virtual machines usually say neither.
    """
    from edgedistill.reports import Heat  # here: a process that is weighed imports this file and asks for no heat

    degrees = [milli / 1000.0 for zone in thermal.glob("thermal_zone*/temp") if (milli := _number(zone)) is not None]
    clocks = [_number(cpus / f"cpu{core}" / "cpufreq" / "scaling_cur_freq") for core in cores()]
    kilohertz = [clock for clock in clocks if clock is not None]
    if not degrees and not kilohertz:
        return None
    return Heat(
        celsius=round(max(degrees), 1) if degrees else None,
        mhz=round(sum(kilohertz) / len(kilohertz) / 1000.0, 1) if kilohertz else None,
    )


def _number(path: Path) -> int | None:
    """A whole number from a file of the system's; none where there is none, or its sensor is off."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
