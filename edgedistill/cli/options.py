"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from edgedistill.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def whole_numbers(text: str) -> tuple[int, ...]:
    """Read `32,128` as (32, 128)."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is not a list of whole numbers such as 32,128.") from error
    if min(numbers) < 1:
        raise click.BadParameter(f"{min(numbers)} is too small; the least is 1.")
    return numbers


def refuse_given(ctx: click.Context, taken: Collection[str], why: str) -> None:
    """Refuse an option that was given on the command line, but has no meaning there.

    Args:
        ctx: of the running command.
        taken: names of the parameters that have one.
        why: where it has none: "under qemu: no times are taken there".

    Raises:
        ConfigError: there is one.
    """
    for option in ctx.command.params:
        was_given = option.name and ctx.get_parameter_source(option.name) == ParameterSource.COMMANDLINE
        if was_given and option.name not in taken:
            raise ConfigError(f"'{option.opts[-1]}' means nothing {why}. Leave it out.")


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is already there.")
dry_run = click.option("--dry-run", is_flag=True, help="Check everything and say what would be done; write nothing.")
config_option = click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="YAML of settings.")
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the task's rows: .jsonl[.gz], .parquet, .csv or .tsv.",
)


def set_option(example: str) -> Callable[[F], F]:
    """The option --set, explained by an example that fits the verb."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"One setting, such as {example}; may be repeated.",
    )


def out_option(what: str, required: bool = False) -> Callable[[F], F]:
    """The option --out, saying what is made there."""
    return click.option("--out", type=click.Path(path_type=Path), metavar="PATH", required=required, help=what)


client_option = click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="NAME",
    help="Refuse what fails in this runtime or library; repeatable.",
)
