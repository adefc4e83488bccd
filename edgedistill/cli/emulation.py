"""bench --device qemu: parity on arm64 and instruction counts, as a table or as JSON. No times."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from edgedistill.cli.group import GATE_FAILED
from edgedistill.cli.options import refuse_given
from edgedistill.cli.tables import print_table, shared_start, status, table
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from edgedistill.phones.emulation import EmulationReport

_TAKEN = ("artifacts", "device", "lengths", "out", "as_json")


def emulated_bench(ctx: click.Context, asked: Mapping[str, Any], as_json: bool) -> None:
    """Emulate what was asked for; exits with 1 when a rung failed.

    Raises:
        ConfigError: an option that only times anything.
    """
    from edgedistill.pipeline.emulate import LENGTH, device_profiles, emulate

    refuse_given(ctx, _TAKEN, "under qemu: no times are taken there")
    lengths = asked["lengths"] or (LENGTH,)
    if len(lengths) > 1:
        raise ConfigError(f"under qemu one length is counted, not {list(lengths)}. Give one.")
    report = emulate(asked["artifacts"], device_profiles(asked["device"]) or (), length=lengths[0], out=asked["out"])
    show(report, as_json)
    if not report.has_passed:
        ctx.exit(GATE_FAILED)


def show(report: EmulationReport, as_json: bool) -> None:
    """One line per artifact and processor."""
    if as_json:
        return click.echo(_json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False))
    kinds = [name for name in report.rows[0].kinds if any(row.kinds.get(name) for row in report.rows)]
    names = ("length", "instructions", *kinds)
    shared = shared_start([row.artifact for row in report.rows])
    title = f"{shared.rstrip('-')} under qemu {report.emulator}, millions of instructions an inference"
    rows = table("artifact", "processor", *names, "arm64 parity", "stored count", title=title.lstrip(), numeric=names)
    for row in report.rows:
        counts = (row.instructions, *(row.kinds.get(kind, 0) for kind in kinds))
        rows.add_row(
            row.artifact.removeprefix(shared), row.profile, str(row.length),
            *(f"{count / 1e6:.2f}" if count else "-" for count in counts), *(status(rung.status) for rung in row.rungs),
        )  # fmt: skip
    print_table(rows)
    for row in report.rows:
        for rung in (rung for rung in row.rungs if rung.status == "failed"):
            print_table(Text(f"{row.artifact} on {row.profile}: {rung.title}: {rung.reason}"))
    return None
