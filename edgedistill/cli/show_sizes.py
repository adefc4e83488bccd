"""Where an app's megabytes go, as tables or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from edgedistill.cli.show import json
from edgedistill.cli.tables import print_table, size, status, table

if TYPE_CHECKING:
    from edgedistill.pipeline.size_plan import SizeOption, SizePlan


def plan(made: SizePlan, as_json: bool) -> None:
    """The parts on every processor, the budget, and the options, smallest first."""
    if as_json:
        whole = made.model_dump(mode="json")
        return json(
            whole | {"totals": {abi.abi: {"bytes": abi.bytes, "gzip_bytes": abi.gzip_bytes} for abi in made.abis}}
        )
    numeric = ("on the device", "gzip")
    parts = table("processor", "part", *numeric, "bytes are", title=made.artifact, numeric=numeric)
    for abi in made.abis:
        for part in abi.parts:
            parts.add_row(abi.abi, part.name, size(part.bytes), _or_unknown(part.gzip_bytes), part.basis)
        parts.add_row(abi.abi, Text("together", "bold"), Text(size(abi.bytes), "bold"), _or_unknown(abi.gzip_bytes))
    print_table(parts)
    if made.options:
        print_table(_options(made))
        for option in made.options:
            click.echo(f"{option.change}: {option.command}")
    click.echo("")
    for abi in made.abis:
        click.echo(f"runtime on {abi.abi}: {next(part.source for part in abi.parts if part.name == 'runtime')}")
    for note in made.notes:
        click.echo(note)
    if made.budget_bytes is not None:
        word, total = ("fits" if made.fits else "too_large"), size(made.abis[0].bytes)
        print_table(Text.assemble(f"budget {size(made.budget_bytes)}, takes {total}: ", status(word)))
    return None


def _options(made: SizePlan) -> Table:
    names = (f"on {made.abis[0].abi}", "coverage", "score")
    rows = table(
        "option", "runtime", "scheme", *names, "model's bytes are", "answers", "budget", title="options", numeric=names
    )
    for option in made.options:
        word = "" if option.fits is None else "fits" if option.fits else "too_large"
        rows.add_row(
            option.change, option.target, option.scheme, size(option.bytes),
            "" if option.coverage is None else f"{option.coverage:.2%}", _score(option), option.basis, option.cost,
            status(word),
        )  # fmt: skip
    return rows


def _score(option: SizeOption) -> str:
    if option.score is None:
        return "not_run"
    return f"{option.score:.4f}" + ("" if option.score_now is None else f" (now {option.score_now:.4f})")


def _or_unknown(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else size(size_bytes)
