"""The verbs that only look: shapes to train, what there is to choose from, its settings, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgedistill.cli.group import GATE_FAILED
from edgedistill.cli.options import as_json, data_option, set_option


@click.command()
@click.option("--teacher", required=True, metavar="ID|DIR", help="Checkpoint the student will learn from.")
@click.option("--target", required=True, metavar="NAME", help="Runtime; see: edgedistill ls targets.")
@click.option("--scheme", metavar="NAME", default="int8_weight", show_default=True, help="Precision.")
@click.option("--length", type=int, default=128, show_default=True, help="Tokens of every text.")
@click.option("--threads", type=int, default=1, show_default=True, help="Given to the runtime.")
@click.option("--p90-ms", type=float, metavar="MS", help="Longest p90 latency of one inference.  [default: any]")
@click.option("--bytes", "size", metavar="SIZE", help="Most bytes of model files: 6MB, 5.5MiB.  [default: any]")
@click.option(
    "--device", default="host", show_default=True, metavar="host|adb[:SERIAL]", help="Time on this computer or a phone."
)
@click.option("--affinity", metavar="big|little|MASK", help="Cores of the phone: its fast or slow ones, or such as f0.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Runner for the phone.  [default: made]")
@click.option("--aar", type=click.Path(path_type=Path), metavar="FILE", help="Android library to run in its stead.")
@click.option("--task", metavar="NAME|FILE", help="Vocabularies cut to this task's training rows are listed too.")
@data_option
@click.option("--corpus", metavar="FILE", help="The same for raw text, .txt[.gz].")
@click.option("--shapes", type=int, default=4, show_default=True, help="Most shapes to time, about 25 s each.")
@set_option("num_layers=4")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the texts and the order of turns.")
@as_json
@click.pass_context
def plan(ctx: click.Context, /, as_json: bool, **asked: Any) -> None:
    """Say which student shapes meet a budget, before training one.

    Lists MobileBERT students around the teacher with their parameters and bytes, and times a few untrained ones on this
    computer, or with --device adb on the attached phone; the others' times are scaled from those, with a ~. Exits
    with 1 when nothing that was timed meets the budget.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline.advise import plan as run_plan

    made = run_plan(**asked)
    show.plan(made, as_json)
    if made.best is None:
        ctx.exit(GATE_FAILED)


@click.command()
@click.argument("kind", required=False, metavar="[recipes|targets|schemes|tasks|apps|rules]")
@as_json
def ls(kind: str | None, as_json: bool) -> None:
    """List recipes, targets, schemes, tasks, apps or the rules of doctor; all of them when not told."""
    from edgedistill.cli import show
    from edgedistill.pipeline import listing

    kinds = (kind,) if kind else listing.KINDS
    show.listing({each: listing.summaries(each) for each in kinds}, as_json)


@click.command()
@click.argument("name")
@as_json
def config(name: str, as_json: bool) -> None:
    """Print NAME's settings as commented YAML, to keep and edit.

    NAME is a recipe, a target, an app, a task, `check` for the gate's tolerances, or `road` or `task` for an empty
    form. With --json, the JSON Schema.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline import listing

    if as_json:
        show.json(listing.schema(name))
    else:
        click.echo(listing.config_yaml(name), nl=False)


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--device", metavar="adb[:SERIAL]", help="Look at a phone instead, and start the runner there.")
@click.option("--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Runner for the phone.  [default: made]")
@as_json
@click.pass_context
def doctor(ctx: click.Context, path: Path | None, device: str | None, bundle: Path | None, as_json: bool) -> None:
    """Look for known faults in PATH, in a phone, or in this installation.

    PATH is an artifact, a checkpoint, an app (.apk, .aar), or any .onnx or .tflite file. Where a tokenizer.json lies
    beside a model file, a few texts are run through it to see how far its numbers reach. Exits with 1 when something is
    broken.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline.doctor import doctor as run_doctor

    checkup = run_doctor(path, device, bundle)
    show.checkup(checkup, as_json)
    if checkup.is_broken:
        ctx.exit(GATE_FAILED)
