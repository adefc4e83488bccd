"""bench --device app: requests for the in-app benchmark, and what to type next."""

from __future__ import annotations

import json as _json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edgedistill.cli.options import refuse_given

_TAKEN = ("artifacts", "mode", "threads", "lengths", "seed")
_OUT = Path("app-requests")


def app_requests(ctx: click.Context, asked: Mapping[str, Any], as_json: bool) -> None:
    """Write them, and print the commands that take each to the phone and its result back.

    Raises:
        ConfigError: an option that only other devices have.
    """
    from edgedistill.pipeline.app_requests import write_app_requests

    refuse_given(ctx, {*_TAKEN, "device", "out", "as_json"}, "to the app")
    out = asked["out"] or _OUT
    found = write_app_requests(out=out, **{name: asked[name] for name in _TAKEN})
    if as_json:
        rows = [{"name": one.name, "folder": str(one.folder), "commands": list(one.commands)} for one in found]
        return click.echo(_json.dumps(rows, indent=2, ensure_ascii=False))
    count = f"{len(found)} requests" if len(found) > 1 else "a request"
    click.echo(f"{out}: {count}. Build and install android_bench/app (its README says how), then:")
    for one in found:
        click.echo(f"\n# {one.name}")
        click.echo("\n".join(one.commands))
    return None
