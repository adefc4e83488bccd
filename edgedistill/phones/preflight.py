"""What a phone says of itself, and whether a benchmark can run on it: looked at before anything is copied."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgedistill.errors import DeviceError
from edgedistill.phones.adb import Phone
from edgedistill.phones.printable import printable
from edgedistill.reports import Core, PhoneCard

TEMPORARY = "/data/local/tmp"
"""The one folder that programs may be started from without root."""
OLDEST_SDK = 24
"""Android 7, of 2016: the oldest that gives a program's exit code to adb."""

_PROPS = {
    "manufacturer": "ro.product.manufacturer", "model": "ro.product.model", "soc": "ro.soc.model",
    "board": "ro.board.platform", "android": "ro.build.version.release", "sdk": "ro.build.version.sdk",
    "abis": "ro.product.cpu.abilist", "abi": "ro.product.cpu.abi", "hardware": "ro.hardware",
    "qemu": "ro.kernel.qemu", "boot_qemu": "ro.boot.qemu",
}  # fmt: skip
_EMULATORS = {"goldfish", "ranchu", "cutf_cvm"}
_SCRIPT = "\n".join(
    [
        *(f'echo "{key}=$(getprop {name})"' for key, name in _PROPS.items()),
        'echo "kernel=$(uname -r)"',
        'echo "page=$(getconf PAGE_SIZE 2>/dev/null)"',
        f'echo "free=$(df -k {TEMPORARY} 2>/dev/null | tail -n 1)"',
        "for c in /sys/devices/system/cpu/cpu[0-9]*; do",
        'echo "core=${c##*/cpu} $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null)"; done',
        f'if mkdir -p {TEMPORARY}/edgedistill 2>/dev/null; then echo "writable=yes"; fi',
    ]
)


@dataclass(frozen=True)
class Facts:
    """A phone before a bench.

    Attributes:
        card: what a report keeps of it.
        abis: processor architectures it runs, the preferred first.
        free_bytes: room for the bench; none where it does not say.
        page_bytes: size of a memory page; none likewise.
        is_writable: whether its temporary folder can be used.
        is_emulator: whether it is one: its answers count, its times do not.
    """

    card: PhoneCard
    abis: tuple[str, ...]
    free_bytes: int | None
    page_bytes: int | None
    is_writable: bool
    is_emulator: bool


@dataclass(frozen=True)
class Fault:
    """Why a bench cannot run, with what to do."""

    name: str
    message: str


def look(phone: Phone) -> Facts:
    """Ask a phone what it is.

    Raises:
        LostPhoneError: the connection broke.
        DeviceError: it does not answer, or what it answers is no Android's.
    """
    said: dict[str, list[str]] = {}
    for line in phone.shell(_SCRIPT).out.splitlines():
        key, _, value = line.partition("=")
        said.setdefault(key.strip(), []).append(printable(value.strip()))
    one = {key: values[0] for key, values in said.items()}
    if not one.get("sdk", "").isdigit():
        raise DeviceError(
            f"phone {phone.serial} does not answer as Android does: no ro.build.version.sdk (found {one.get('sdk')!r})."
        )
    abis = tuple(part for part in (one.get("abis") or one.get("abi", "")).split(",") if part)
    card = PhoneCard(
        model=f"{one.get('manufacturer', '')} {one.get('model', '')}".strip() or "unknown",
        soc=one.get("soc") or one.get("board", ""),
        android=one.get("android", ""),
        sdk=int(one["sdk"]),
        abi=abis[0] if abis else "",
        kernel=one.get("kernel", ""),
        cores=_cores(said.get("core", [])),
        serial_sha256=hashlib.sha256(phone.serial.encode()).hexdigest(),
    )
    is_emulator = "1" in (one.get("qemu"), one.get("boot_qemu")) or one.get("hardware") in _EMULATORS
    return Facts(
        card, abis, _free(one.get("free", "")), _number(one.get("page", "")), "writable" in said, is_emulator
    )  # fmt: skip


def _cores(lines: Sequence[str]) -> tuple[Core, ...]:
    pairs = [line.partition(" ") for line in lines]
    found = [Core(number=int(number), max_khz=_number(khz)) for number, _, khz in pairs if number.isdigit()]
    return tuple(sorted(found, key=lambda core: core.number))


def _free(row: str) -> int | None:
    """Bytes of the fourth column from the left of `df -k`; from the right, names with spaces do no harm."""
    columns = row.split()
    kib = _number(columns[-3]) if len(columns) >= 4 else None
    return None if kib is None else kib * 1024


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def faults(facts: Facts, abi: str = "arm64-v8a", needed_bytes: int = 0) -> list[Fault]:
    """What keeps a bench from running; empty where nothing does."""
    found, card = [], facts.card
    if card.sdk < OLDEST_SDK:
        found.append(
            Fault(
                "old_android",
                f"{card.model} has Android {card.android} (API {card.sdk}); the oldest that works is API {OLDEST_SDK}, "
                "Android 7. Use a newer phone, or the app in android_bench/app.",
            )
        )
    if abi not in facts.abis:
        found.append(
            Fault(
                "wrong_abi",
                f"{card.model} runs {', '.join(facts.abis) or 'unknown code'}; the runner is built for {abi}. Use a "
                "64-bit ARM phone with a 64-bit Android.",
            )
        )
    if not facts.is_writable:
        found.append(Fault("read_only", f"{card.model} lets nobody write to {TEMPORARY}. Restart it, then try again."))
    if facts.free_bytes is not None and facts.free_bytes < 1.1 * needed_bytes:
        found.append(
            Fault(
                "no_space",
                f"{card.model} has {facts.free_bytes / 1e6:,.1f} MB free in {TEMPORARY}; the bench takes "
                f"{needed_bytes / 1e6:,.1f} MB. Free some on it, then try again.",
            )
        )
    return found


def refuse(facts: Facts, abi: str = "arm64-v8a", needed_bytes: int = 0) -> None:
    """Stop where a bench cannot run.

    Raises:
        DeviceError: with the first fault.
    """
    for fault in faults(facts, abi, needed_bytes):
        raise DeviceError(fault.message)


def cores_of(facts: Facts, affinity: str | None) -> tuple[int, ...]:
    """The cores that are meant.

    Args:
        facts: of the phone.
        affinity: `big`, `little`, or a mask in hexadecimal as `taskset` takes it (`f0`); none: no binding.

    Returns:
        Core numbers, rising; empty for no binding. Big are those with the highest clock; little with the lowest.

    Raises:
        DeviceError: the phone does not say its clocks, all are alike, or the mask names cores it has not.
    """
    cores = facts.card.cores
    if affinity is None:
        return ()
    if affinity in {"big", "little"}:
        clocks = {core.max_khz for core in cores if core.max_khz is not None}
        if len(clocks) < 2:
            alike = "all its cores have the same clock" if clocks else "it does not say its cores' clocks"
            raise DeviceError(f"{facts.card.model} has no {affinity} cores: {alike}. Give a mask, such as f0.")
        wanted = max(clocks) if affinity == "big" else min(clocks)
        return tuple(core.number for core in cores if core.max_khz == wanted)
    mask = int(affinity, 16) if re.fullmatch(r"(0x)?[0-9a-f]{1,16}", affinity, re.IGNORECASE) else 0
    chosen = tuple(number for number in range(mask.bit_length()) if mask >> number & 1)
    known = {core.number for core in cores}
    if not chosen or not set(chosen) <= known:
        raise DeviceError(
            f"'{affinity}' is no mask of this phone's cores. Give big, little, or a hexadecimal mask of cores "
            f"{min(known, default=0)} to {max(known, default=0)}, such as {1 << max(known, default=0):x}."
        )
    return chosen


def mask_of(cores: Sequence[int]) -> str:
    """Cores as `taskset` writes them: 4,5 -> 30; "all" for no binding."""
    return f"{sum(1 << core for core in cores):x}" if cores else "all"
