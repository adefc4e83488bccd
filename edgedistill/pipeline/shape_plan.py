"""What `plan` says: shapes of students, what each weighs, and what those that were timed take."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from edgedistill.artifacts import Environment, Source
from edgedistill.config import Settings
from edgedistill.errors import ConfigError
from edgedistill.reports import Latency, PhoneCard

ShapeStatus = Literal["fits", "too_slow", "not_timed", "too_large"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


class Budget(Settings):
    """What the app can afford."""

    p90_ms: float | None = Field(default=None, gt=0)
    """Longest p90 of one inference; none for any."""
    size_bytes: int | None = Field(default=None, gt=0)
    """Most bytes of model files; none for any."""


class ScaledTime(Settings):
    """A time that nobody measured."""

    p90_ms: float
    """By the line through the shapes below over the multiplications of a text."""
    anchors: tuple[str, ...]
    """Shapes timed on the same device, nearest in work, that it was scaled from; one where only one was timed."""


class ShapeRow(Settings):
    """One shape."""

    name: str
    """Such as intra72-ffn2-emb128."""
    settings: dict[str, int]
    """What to set in the recipe."""
    parameters: int
    """All of the student's, exactly."""
    block_parameters: int
    """Those inside the blocks: the capacity that embeddings do not have."""
    computed_bytes: dict[str, int]
    """Model files by scheme, computed from the parameters."""
    measured_bytes: int | None = None
    """Model files of the asked scheme as written; none where the shape was not converted."""
    latency: Latency | None = None
    """Times on the plan's device; none where the shape was not timed."""
    scaled: ScaledTime | None = None
    """What it may take by those that were timed; none where it was timed itself, or nothing was."""
    validity: Literal["valid", "semi", "invalid"] | None = None
    """Of the times, by MLPerf's rule; none where there are none."""
    is_throttled: bool = False
    """Whether the processor slowed down meanwhile."""
    peak_rss_bytes: int | None = None
    """Peak memory of a fresh process that loads and runs only this; none where it was not timed."""
    status: ShapeStatus
    """fits: measured within every budget. too_large: by its bytes, and so never timed."""


class ShapePlan(Settings):
    """Advice about shapes, before anything is trained."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it was measured."""
    recipe: Literal["mobilebert"] = "mobilebert"
    """Whose students these are."""
    teacher: Source
    """The students' teacher."""
    target: str
    """Runtime."""
    scheme: str
    """Precision that was measured."""
    length: int
    """Tokens of every timed text, and the model's one fixed length."""
    threads: int
    """The runtime was given."""
    device: Literal["host", "phone"] = "host"
    """Where the times come from: this machine, or the phone below."""
    phone: PhoneCard | None = None
    """The phone; none for this machine."""
    budget: Budget
    """What had to be met."""
    rows: tuple[ShapeRow, ...]
    """Those that fit first, most capacity first."""
    best: str | None
    """Row that fits with the most parameters inside its blocks; none where nothing measured fits."""
    nearest: str | None = None
    """Where nothing fits: the row that comes nearest."""
    next_commands: tuple[str, ...] = ()
    """To train and export the best one; TASK and RUN are to be filled in where they are not known."""
    notes: tuple[str, ...] = ()
    """How it was measured, and what the numbers do not say."""

    def row(self, name: str) -> ShapeRow:
        """The row of that name, which is in the plan."""
        return next(row for row in self.rows if row.name == name)


def bytes_of(text: str) -> int:
    """Read `6MB`, `5.5 MiB` or `6000000` as bytes; decimal units count by 1000, as app stores do.

    Raises:
        ConfigError: no such size.
    """
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    size = round(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise ConfigError(f"'{text}' is no size in bytes. Write it as 6MB, 5.5MiB, 800kB or 6000000.")
    return size
