"""The verbs about teachers' caches: list, verify, remove."""

from __future__ import annotations

from pathlib import Path

import click

from edgedistill.cli.group import GATE_FAILED
from edgedistill.cli.options import as_json


@click.group(invoke_without_command=False)
def cache() -> None:
    """List, verify or remove stored answers of teachers.

    `distill --teacher-cache DIR` fills them; `--teacher-cache auto` below $EDGEDISTILL_CACHE, which is
    ~/.cache/edgedistill/teachers unless set. CACHE is a cache's folder, or its name there.
    """


@cache.command()
@click.argument("place", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@as_json
def ls(place: Path | None, as_json: bool) -> None:
    """List the caches in DIR, by default those made with `auto`."""
    from edgedistill.cli import show_caches
    from edgedistill.pipeline.caches import caches

    show_caches.caches(caches(place), as_json)


@cache.command()
@click.argument("cache", metavar="CACHE")
@click.option("--rows", type=click.IntRange(min=1), default=8, show_default=True, help="How many to ask about.")
@click.option("--teacher", metavar="ID|DIR", multiple=True, help="Where the teacher is now, if it was moved.")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Where the rows are now, if moved.")
@click.option("--seed", type=int, help="Of the choice of rows.  [default: another one every time]")
@as_json
@click.pass_context
def verify(
    ctx: click.Context,
    cache: str,
    rows: int,
    teacher: tuple[str, ...],
    data: Path | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Ask the teacher about random rows of CACHE again.

    Every byte of it is compared with what was written, too. Exits with 1 when the answers differ, and with 2 when the
    teacher or the rows are no longer those that the cache is about.
    """
    from edgedistill.cli import show_caches
    from edgedistill.pipeline.caches import verify as run_verify

    found = run_verify(cache, teacher=teacher, data=data, rows=rows, seed=seed)
    show_caches.check(found, as_json)
    if not found.is_same:
        ctx.exit(GATE_FAILED)


@cache.command()
@click.argument("caches", nargs=-1, required=True, metavar="CACHE...")
@as_json
def rm(caches: tuple[str, ...], as_json: bool) -> None:
    """Remove each CACHE; where one of them is none, or holds anything else, none is removed."""
    from edgedistill.cli import show_caches
    from edgedistill.pipeline.caches import remove

    show_caches.removed(remove(caches), as_json)
