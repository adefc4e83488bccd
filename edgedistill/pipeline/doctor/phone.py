"""The phone: can it be reached, is it one that a bench runs on, and does the program start there?"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from edgedistill.errors import DeviceError, EdgeDistillError
from edgedistill.graphs import Graph, Single
from edgedistill.phones import adb, bundle, heat, preflight
from edgedistill.phones.adb import Phone, quoted
from edgedistill.phones.preflight import Facts
from edgedistill.phones.printable import printable
from edgedistill.phones.protocol import Array, InputSet, Probe, RunRequest, Runtime
from edgedistill.phones.requests import REQUEST, RESULT
from edgedistill.phones.workplace import HERE, Program, Workplace
from edgedistill.pipeline.bench_anywhere import program_of
from edgedistill.pipeline.doctor.signs import Sign, broken, ok, warning

_LOW_BATTERY = 20
_USAGE = 2
"""Exit code of the runner when it is asked nothing: it has started, and its loader and C library with it."""
_ABSENT = "no-such-model"


def signs(serial: str | None, folder: Path | None = None) -> Iterator[Sign]:
    """Look at the host's tool, the phone, and the program on it, each only where the one before is well.

    Args:
        serial: of the phone; the only one where none is named.
        folder: a bundle; the cached one, made where there is none, when not given.
    """
    try:
        tool = adb.find_adb()
        yield ok("adb", tool)
        phone = adb.choose(tool, serial)
        facts = preflight.look(phone)
    except DeviceError as error:
        yield broken("phone", str(error))
        return
    yield ok("phone", f"{facts.card.model}, {facts.card.soc or 'processor not named'}, Android {facts.card.android}")
    found = preflight.faults(facts)
    yield from (broken(fault.name, fault.message) for fault in found)
    yield from _seen(facts)
    yield from _warmth(phone)
    if not found:
        yield from _program(phone, facts, folder)


def _seen(facts: Facts) -> Iterator[Sign]:
    card = facts.card
    clocks: dict[int | None, int] = {}
    for core in card.cores:
        clocks[core.max_khz] = clocks.get(core.max_khz, 0) + 1
    groups = [f"{count} at {f'{khz / 1e6:.2f} GHz' if khz else 'an unknown clock'}" for khz, count in clocks.items()]
    yield ok("cores", ", ".join(groups) or "it does not say")
    page = f"pages of {facts.page_bytes} bytes" if facts.page_bytes else "page size not said"
    yield ok("kernel", f"{card.kernel}, {page}, {', '.join(facts.abis)}")
    free = "not said" if facts.free_bytes is None else f"{facts.free_bytes / 1e9:.1f} GB free"
    yield ok("space", f"{free} in {preflight.TEMPORARY}")
    if facts.is_emulator:
        yield warning("emulator", "This is an emulator: it answers goldens, and no time is taken from it.")


def _warmth(phone: Phone) -> Iterator[Sign]:
    now = heat.read(phone)
    degrees = heat.temperature(now)
    if degrees is None:
        yield warning("temperature", "It says none: a bench cannot rest until it is cool. Wait between benches.")
    else:
        yield ok("temperature", f"{degrees:g} degrees; thermal status {now.thermal_status}")
    if now.battery_percent is not None and now.battery_percent < _LOW_BATTERY:
        yield warning("battery", f"{now.battery_percent} %: many phones run slower now. Charge it first.")
    elif now.battery_percent is not None:
        yield ok("battery", f"{now.battery_percent} %")


def _program(phone: Phone, facts: Facts, folder: Path | None) -> Iterator[Sign]:
    """Copy the program, let the probe look around, start the runner and let it load each runtime."""
    try:
        program = program_of(folder or bundle.cached_bundle())
        place = Workplace(phone, program, "qemu" if facts.is_emulator else "phone")
        folder_there = place.set_up()
        yield ok("copied", f"{place.copied} files, {place.skipped} were there, {program.size_bytes / 1e6:.0f} MB")
        yield _probe(phone, f"{HERE}/{folder_there}")
        started = _start(phone, program, f"{HERE}/{folder_there}")
        yield started
        if started.status == "ok":
            for target in program.libraries:
                yield _runtime(place, folder_there, target)
    except EdgeDistillError as error:
        yield broken("program", str(error))


def _probe(phone: Phone, folder: str) -> Sign:
    answer = phone.shell(f"cd {quoted(folder)} && exec ./{bundle.PROBE}")
    try:
        seen = Probe.model_validate(json.loads(answer.out))
    except (ValueError, RecursionError):
        said = printable(answer.err.strip()[:200]) or "it said nothing a probe says"
        return broken("probe", f"exit code {answer.code}: {said}.")
    return ok("probe", printable(f"{seen.machine}, {seen.kernel}; {', '.join(seen.hwcap) or 'no abilities named'}"))


def _start(phone: Phone, program: Program, folder: str) -> Sign:
    variables = [f"{name}={value}" for name, value in program.variables.items()]
    words = quoted(*(["env", *variables] if variables else []), *program.command)
    answer = phone.shell(f"cd {quoted(folder)} && exec {words}")
    if answer.code == _USAGE:
        return ok("runner", "it starts, with its loader and its C library")
    said = printable((answer.err + answer.out).strip()[:200]) or "it said nothing"
    return broken("runner", f"exit code {answer.code}: {said}. This phone does not start the bundle: use the app.")


def _runtime(place: Workplace, folder: str, target: str) -> Sign:
    """Ask for a model that is not there: whoever misses the model has loaded the runtime's library."""
    run, program = f"r-{secrets.token_hex(8)}", place.program
    library = program.libraries[target]
    a_byte = Array(name="input_ids", dtype="uint8", shape=(1, 1), file=REQUEST)  # never read by a model
    request = RunRequest(
        id="doctor", source=place.source, runtime=cast("Runtime", target), library=f"{folder}/{library}",
        graphs=(Graph(name="main", file=_ABSENT, inputs=(), outputs=()),), driver=Single(graph="main"),
        inputs=(InputSet(arrays=(a_byte,)),), warm_up_runs=0, warm_up_seconds=0, min_runs=0, min_seconds=0,
        max_seconds=0,
    )  # fmt: skip
    there, variables = f"{HERE}/{run}", [f"{name}={value}" for name, value in program.variables.items()]
    words = quoted(
        *(["env", *variables] if variables else []), *program.command, f"{there}/{REQUEST}", f"{there}/{RESULT}"
    )
    lines = [
        f"mkdir -p {quoted(there)} && ln -s {quoted(f'{HERE}/{folder}', f'{there}/{folder}')}",
        f"printf %s {quoted(request.model_dump_json())} > {quoted(f'{there}/{REQUEST}')}",
        f"cd {quoted(f'{HERE}/{folder}')} && exec {words}",
    ]
    try:
        answer = place.phone.shell("\n".join(lines))
    finally:
        place.clean(run)
    said = [line for line in (answer.err + answer.out).splitlines() if line.startswith("error: ")]
    if answer.code == _USAGE and said and _ABSENT in said[-1]:
        return ok(target, f"{library} is loaded there")
    why = printable(said[-1].removeprefix("error: ")[:300]) if said else f"exit code {answer.code}"
    return broken(target, f"{why}. No {target} artifact runs on this phone so: use the app.")
