"""What others published of phones, shipped as data with its citation, and shown as published."""

from __future__ import annotations

from typing import Any

from edgedistill import resources
from edgedistill.config import build, parse_yaml
from edgedistill.errors import ConfigError
from edgedistill.reports import StatedLatency, StatedRow

FILE = "published.yaml"


def published() -> tuple[StatedRow, ...]:
    """Every published figure.

    Raises:
        ConfigError: the installation is incomplete, or its file is damaged.
    """
    path = resources.folder("android_bench") / FILE
    rows = parse_yaml(path.read_text(encoding="utf-8"), FILE)
    if not isinstance(rows, list):
        raise ConfigError(f"{FILE} must hold a list of figures. Install edgedistill again.")
    return tuple(_row(row, number) for number, row in enumerate(rows, start=1))


def _row(row: dict[str, Any], number: int) -> StatedRow:
    times = {name: row[name] for name in row if name in StatedLatency.model_fields}
    others = {name: value for name, value in row.items() if name not in times}
    made = build(StatedRow, {**others, "source": "published", "latency": times}, f"{FILE}, entry {number}")
    if not made.citation:
        raise ConfigError(f"{FILE}, entry {number}: a published figure needs a citation.")
    return made
