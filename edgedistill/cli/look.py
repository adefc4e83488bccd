"""The verbs that only look: what there is to choose from, its settings, and what is wrong with what is there."""

from __future__ import annotations

from pathlib import Path

import click

from edgedistill.cli.group import GATE_FAILED
from edgedistill.cli.options import as_json


@click.command()
@click.argument("kind", required=False, metavar="[recipes|targets|schemes|tasks]")
@as_json
def ls(kind: str | None, as_json: bool) -> None:
    """List recipes, targets, schemes or tasks; all of them when not told."""
    from edgedistill.cli import show
    from edgedistill.pipeline import listing

    kinds = (kind,) if kind else listing.KINDS
    show.listing({each: listing.summaries(each) for each in kinds}, as_json)


@click.command()
@click.argument("name")
@as_json
def config(name: str, as_json: bool) -> None:
    """Print NAME's settings as commented YAML, to keep and edit.

    NAME is a recipe, a target, a task, `check` for the gate's tolerances, or `road` or `task` for an empty form.
    With --json, the JSON Schema.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline import listing

    if as_json:
        show.json(listing.schema(name))
    else:
        click.echo(listing.config_yaml(name), nl=False)


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@as_json
@click.pass_context
def doctor(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """Look for known faults in PATH, or in this installation.

    PATH is an artifact or a checkpoint. Nothing is run. Exits with 1 when something is broken.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline.doctor import doctor as run_doctor

    checkup = run_doctor(path)
    show.checkup(checkup, as_json)
    if checkup.is_broken:
        ctx.exit(GATE_FAILED)
