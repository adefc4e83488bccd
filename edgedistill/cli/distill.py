"""The verb that trains, here or in several processes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from edgedistill.cli.group import ARGUMENTS
from edgedistill.cli.options import as_json, config_option, data_option, dry_run, out_option, overwrite, set_option

F = TypeVar("F", bound=Callable[..., Any])

_LAUNCHING = ("launch", "machines", "machine_rank", "main_machine")


def launch_options(function: F) -> F:
    """The options that say in how many processes, and on which machines."""
    for option in (
        click.option("--main-machine", metavar="HOST:PORT", help="Where the machine of rank 0 is reached by all."),
        click.option("--machine-rank", type=click.IntRange(min=0), metavar="RANK", help="Which machine this one is."),
        click.option(
            "--machines", type=click.IntRange(min=1), metavar="N", help="So many machines, --launch processes on each."
        ),
        click.option(
            "--launch",
            type=click.IntRange(min=1),
            metavar="N",
            help="Train in N processes on this machine, one for each GPU.  [default: in this one]",
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("recipe")
@click.option("--teacher", metavar="ID|DIR", multiple=True, help="Checkpoint to learn from; repeated: an ensemble.")
@click.option(
    "--teacher-cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Ask the teacher once; keep its answers here, or in a folder of their own: auto.",
)
@click.option(
    "--cache-dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="How precisely its logits are kept.",
)
@click.option("--student", metavar="ID|DIR", help="Checkpoint to start from, instead of the recipe's own start.")
@click.option(
    "--task",
    metavar="NAME|FILE",
    multiple=True,
    help="A known task, or the YAML of your own; none: raw text alone; repeated: several, each with its own DIR/NAME.",
)
@data_option
@click.option(
    "--corpus",
    metavar="FILE|URL",
    help="Unlabelled text, .txt[.gz], a paragraph per line; here, or streamed from s3://, gs://, hf:// ...",
)
@out_option("Run folder to make.", required=True)
@click.option("--limit", type=click.IntRange(min=1), help="Use only so many rows of each split.")
@config_option
@set_option("optim.lr=2e-5")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run of the same settings stopped.")
@launch_options
@click.option(
    "--shard-teacher", is_flag=True, help="Share a large teacher's layers out among the processes of --launch (FSDP)."
)
@click.option("--profile", is_flag=True, help="Trace a few steps of each stage into PATH/profile/.")
@overwrite
@dry_run
@as_json
@click.pass_context
def distill(ctx: click.Context, /, recipe: str, as_json: bool, **asked: Any) -> None:
    """Train a small student by RECIPE.

    RECIPE is a name of `edgedistill ls recipes`; its settings are listed by `edgedistill config RECIPE`.
    """
    from edgedistill.cli import show
    from edgedistill.pipeline.distill import distill as run_distill
    from edgedistill.progress import is_main_process

    if _is_launching({name: asked.pop(name) for name in _LAUNCHING}, ctx.meta[ARGUMENTS]):
        return
    made = run_distill(recipe, **asked)
    if is_main_process():
        show.student(made, as_json, is_made=not asked["dry_run"])


def _is_launching(asked: dict[str, Any], arguments: Sequence[str]) -> bool:
    """Run the whole command in several processes, if that was asked for and this is not one of them."""
    processes, given = asked["launch"], {name: value for name, value in asked.items() if value is not None}
    if not given:
        return False
    if processes is None:
        option = "--" + next(iter(given)).replace("_", "-")
        raise click.UsageError(f"{option} is about several processes: give --launch N too.")
    from edgedistill.pipeline.launch import Launch, is_launched, launch

    if is_launched():
        return False
    given["processes"] = given.pop("launch")
    launch(Launch(**given), arguments)
    return True
