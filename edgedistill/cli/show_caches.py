"""What there is to say about teachers' caches, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from edgedistill.cli.show import json
from edgedistill.cli.tables import print_table, size, status, table
from edgedistill.data.cache_card import removal

if TYPE_CHECKING:
    from edgedistill.pipeline.caches import CacheCheck, CacheFacts

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def caches(found: Sequence[CacheFacts], as_json: bool) -> None:
    """One line each."""
    if as_json:
        return json([one.model_dump(mode="json") for one in found])
    if not found:
        return click.echo("no caches")
    rows = table("cache", "teacher", "task", "kept", "rows", "size", "age", "status", numeric=("rows", "size", "age"))
    for one in found:
        known = "?" if one.rows is None else f"{one.rows:,}"
        wanted = f" of {one.rows_wanted:,}" if one.rows_wanted not in (None, one.rows) else ""
        teacher = f"{Path(one.teacher).name} {one.teacher_sha256[:8]}".strip()
        rows.add_row(
            Text(Path(one.path).name, "bold"), teacher, one.task, one.kept, known + wanted, size(one.size_bytes),
            _age(one.age_s), status(one.status),
        )  # fmt: skip
    print_table(rows)
    for one in found:
        if one.message:
            click.echo(one.message)
    return None


def check(found: CacheCheck, as_json: bool) -> None:
    """Whether it is what it says, by how much not, and what to do then."""
    if as_json:
        return json(found.model_dump(mode="json"))
    click.echo(
        f"{found.path}: {found.rows} random rows (seed {found.seed}), largest difference {found.difference:.2g} in the "
        f"{found.what} of '{found.worst}', {found.allowed:.2g} allowed"
    )
    if found.is_same:
        return print_table(Text.assemble("it says what its teacher says: ", status("passed")))
    print_table(Text.assemble("it does not say what its teacher says: ", status("failed")))
    click.echo(f"next: {removal(Path(found.path))}")
    return None


def removed(freed: Mapping[str, int], as_json: bool) -> None:
    """What room there is now."""
    if as_json:
        return json(freed)
    for cache, size_bytes in freed.items():
        click.echo(f"removed {cache}, {size(size_bytes)}")
    return None


def _age(seconds: float) -> str:
    name, unit = next(((name, unit) for name, unit in _UNITS if seconds >= unit), _UNITS[-1])
    return f"{seconds / unit:.0f} {name}"
