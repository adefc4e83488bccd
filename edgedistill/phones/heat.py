"""How hot a phone is and how fast its clocks run, and waiting until it has cooled down.

Reference:
    MLPerf Mobile lets a phone rest up to five minutes between tests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from statistics import fmean

from edgedistill.phones.adb import Phone
from edgedistill.reports import Heat

COOL_SECONDS = 300.0
"""The longest rest."""
CLOSE_CELSIUS = 2.0
"""This much above where it began counts as cool again."""
STEADY_CELSIUS = 0.3
"""Readings within so much of each other have settled."""
_STEADY_READINGS = 4
_PAUSE_SECONDS = 5.0

_SCRIPT = """for z in /sys/class/thermal/thermal_zone*; do echo "zone=$(cat $z/type) $(cat $z/temp)"; done 2>/dev/null
cd /sys/devices/system/cpu
for c in cpu[0-9]*; do echo "clock=${c#cpu} $(cat $c/cpufreq/scaling_cur_freq)"; done 2>/dev/null
dumpsys battery 2>/dev/null
dumpsys thermalservice 2>/dev/null | grep -i 'thermal status'
true"""
_NO_HEAT = re.compile(r"soc(?: \d+)?", re.IGNORECASE)
"""Qualcomm's zone of that very name says what is gone of the battery's charge, in percent; `soc_therm` is warmth."""
_PROCESSOR = re.compile(r"cpu|soc|tsens|big|little|mid|gold|silver|apc", re.IGNORECASE)


def read(phone: Phone, cores: Sequence[int] = ()) -> Heat:
    """What the sensors say now; each figure none where nobody may read it.

    Args:
        phone: the phone.
        cores: whose clocks count; all where none are named.

    Raises:
        LostPhoneError: the connection broke.
    """
    text = phone.shell(_SCRIPT).out
    clocks = {int(core): int(khz) for core, khz in re.findall(r"^clock=(\d+) (\d+)$", text, re.MULTILINE)}
    wanted = [khz for core, khz in clocks.items() if not cores or core in cores]
    battery = re.search(r"^\s*temperature: (-?\d+)", text, re.MULTILINE)
    level = re.search(r"^\s*level: (\d+)", text, re.MULTILINE)
    status = re.search(r"thermal status: (\d)", text, re.IGNORECASE)
    zones = re.findall(r"^zone=(.*\S) (-?\d+)$", text, re.MULTILINE)
    return Heat(
        celsius=hottest([(name, _celsius(int(number))) for name, number in zones]),
        mhz=round(fmean(wanted) / 1000.0, 1) if wanted else None,
        thermal_status=int(status.group(1)) if status else None,
        battery_celsius=int(battery.group(1)) / 10.0 if battery else None,
        battery_percent=int(level.group(1)) if level else None,
    )


def hottest(zones: Sequence[tuple[str, float]]) -> float | None:
    """Of the processor's zones, degrees Celsius; of all where none is named so. Nonsense is left out."""
    degrees = [(name, value) for name, value in zones if 0.0 < value < 150.0 and not _NO_HEAT.fullmatch(name)]
    processor = [value for name, value in degrees if _PROCESSOR.search(name)]
    return round(max(processor or [value for _, value in degrees]), 1) if degrees else None


def _celsius(number: int) -> float:
    """Zones say thousandths of a degree; a few say degrees."""
    return number / 1000.0 if abs(number) >= 1000 else float(number)


def cool_down(
    phone: Phone,
    start: Heat,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Heat, float]:
    """Wait until the phone is as cool as at the start, no longer gets cooler, or has rested for 300 s.

    Args:
        phone: the phone.
        start: before the first measurement.
        clock: monotonic seconds.
        sleep: waits so many seconds.

    Returns:
        The last reading, and how long it rested, seconds. A phone that says no temperature does not rest.

    Raises:
        LostPhoneError: the connection broke.
    """
    began, seen = clock(), [read(phone)]
    aim = temperature(start)
    while True:
        now = temperature(seen[-1])
        if aim is None or now is None or now <= aim + CLOSE_CELSIUS:
            break
        last = [value for heat in seen[-_STEADY_READINGS:] if (value := temperature(heat)) is not None]
        is_steady = len(last) == _STEADY_READINGS and max(last) - min(last) <= STEADY_CELSIUS
        if is_steady or clock() - began >= COOL_SECONDS:
            break
        sleep(_PAUSE_SECONDS)
        seen.append(read(phone))
    return seen[-1], clock() - began


def temperature(heat: Heat) -> float | None:
    """The processor's, else the battery's."""
    return heat.celsius if heat.celsius is not None else heat.battery_celsius
