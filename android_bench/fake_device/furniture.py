"""What lies on a device: properties, sensors, cores, and the commands that only a phone has."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

PROPS = {
    "ro.product.manufacturer": "Acme",
    "ro.product.model": "Double",
    "ro.soc.model": "AC1000",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
}
LITTLE_KHZ, BIG_KHZ = 1_800_000, 2_400_000


def furnish(root: Path, props: Mapping[str, str]) -> None:
    """Lay everything out: four little and four big cores, one thermal zone, a battery at 30 degrees."""
    (root / "data" / "local" / "tmp").mkdir(parents=True, exist_ok=True)
    _command(root, "getprop", _getprop({**PROPS, **props}))
    _command(root, "dumpsys", _dumpsys())
    _command(root, "uname", 'case "$1" in -r) echo 5.10.0-double;; -m) echo aarch64;; *) echo Linux;; esac')
    set_celsius(root, [40.0])
    set_free(root, 8_000_000_000)
    zone = root / "sys/class/thermal/thermal_zone0"
    _write(zone / "type", "cpu-0-0")
    _command_file(zone / "temp", root)
    for core in range(8):
        folder = root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        khz = LITTLE_KHZ if core < 4 else BIG_KHZ
        _write(folder / "cpuinfo_max_freq", str(khz))
        _write(folder / "scaling_cur_freq", str(khz))


def set_celsius(root: Path, degrees: Sequence[float]) -> None:
    """What the thermal zone says, reading after reading; the last one stays."""
    _write(root / "celsius", "\n".join(f"{1000 * value:.0f}" for value in degrees))


def set_free(root: Path, size_bytes: int) -> None:
    """Room on it."""
    kib = size_bytes // 1024
    _command(
        root, "df", f"echo 'Filesystem 1K-blocks Used Available Use% Mounted on'; echo '/dev/x 9 1 {kib} 1% /data'"
    )


def _getprop(props: Mapping[str, str]) -> str:
    cases = "".join(f"{shlex.quote(name)}) echo {shlex.quote(value)};; " for name, value in props.items())
    return f'case "$1" in {cases} *) echo;; esac'


def _dumpsys() -> str:
    return (
        'case "$1" in battery) echo "  level: 80"; echo "  temperature: 300";; '
        'thermalservice) echo "Thermal Status: 0";; esac'
    )


def _command_file(path: Path, root: Path) -> None:
    """A sensor is a file; what makes this one say the next number is a `cat` that looks for it."""
    _write(path, "40000")
    _command(
        root,
        "cat",
        f'case "$1" in *thermal_zone0/temp) head -n 1 {shlex.quote(str(root))}/celsius; '
        f"if [ $(wc -l < {shlex.quote(str(root))}/celsius) -gt 0 ]; "
        f'then sed -i 1d {shlex.quote(str(root))}/celsius; fi;; *) exec /bin/cat "$@";; esac',
    )


def _command(root: Path, name: str, script: str) -> None:
    path = root / "bin" / name
    _write(path, f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
