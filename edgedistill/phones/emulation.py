"""What emulation says of an artifact: parity on arm64 and instruction counts. There is no word for a time here."""

from __future__ import annotations

from typing import Literal

from edgedistill.config import Settings
from edgedistill.environment import Environment
from edgedistill.reports import Rung

EMULATION = "qemu.json"
"""Its name in an artifact's folder."""


class EmulationRow(Settings):
    """One artifact as one emulated processor runs it."""

    artifact: str
    """Folder name."""
    manifest_sha256: str
    """Of the manifest, tying the numbers to the bytes."""
    target: str
    """Runtime."""
    runtime_version: str
    """Of the runtime's arm64 library."""
    scheme: str
    """Precision."""
    source: Literal["qemu"] = "qemu"
    """What it ran on. A row of this kind has no latency, and a row that has one knows no such source."""
    profile: str
    """Emulated processor."""
    cpu: str
    """What the emulator was told it is."""
    length: int
    """Tokens of the text whose inference was counted."""
    instructions: int
    """Of one inference, one thread: the median of `counted`."""
    kinds: dict[str, int]
    """Multiply-accumulates among them by what the processor must have for them: which kernels ran."""
    counted: tuple[int, ...]
    """Instructions of every inference that was counted, in order."""
    rungs: tuple[Rung, ...]
    """Parity with the artifact's stored answers, and the count against the stored one."""


class EmulationReport(Settings):
    """Rows of artifacts and emulated processors."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC, ISO 8601."""
    command: str
    """What was typed."""
    environment: Environment
    """Where it was emulated."""
    emulator: str
    """The emulator's version."""
    rows: tuple[EmulationRow, ...]
    """The numbers."""

    @property
    def has_passed(self) -> bool:
        """Whether no rung failed."""
        return not any(rung.status == "failed" for row in self.rows for rung in row.rungs)
