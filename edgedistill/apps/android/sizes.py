"""How many bytes a runtime's native libraries take, by processor: read from a table with the source of every number."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from edgedistill.config import Settings, build, read_yaml

PHONE = "arm64-v8a"
"""What phones are; other ABIs are emulators' and laptops'."""
Basis = Literal["measured", "published", "estimated"]
_TABLE = Path(__file__).parent / "data" / "runtimes.yaml"


class RuntimeSize(Settings):
    """One runtime on one processor."""

    runtime: str
    """Target whose artifacts it runs."""
    abi: str
    """Android's name of the processor; `web` for WebAssembly in a browser."""
    bytes: int
    """Its native libraries as they lie on the phone."""
    gzip_bytes: int | None
    """Under gzip, about what is downloaded; none where nobody measured it."""
    basis: Basis
    """measured: of the very files an app takes in. published: their size as somebody else stores it. estimated:
    measured of the Linux build in a wheel, which is near it."""
    version: str
    """That was measured."""
    source: str
    """Where the number is from."""


class _Table(Settings):
    runtimes: tuple[RuntimeSize, ...]


@lru_cache(maxsize=1)
def runtime_sizes() -> tuple[RuntimeSize, ...]:
    """All rows of the table."""
    return build(_Table, read_yaml(_TABLE), str(_TABLE)).runtimes


def runtime_size(runtime: str, abi: str = PHONE) -> RuntimeSize | None:
    """The first row of a runtime on a processor; none where the table has none."""
    return next((row for row in runtime_sizes() if (row.runtime, row.abi) == (runtime, abi)), None)
