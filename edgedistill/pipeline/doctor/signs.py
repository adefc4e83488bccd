"""What the doctor says."""

from __future__ import annotations

from typing import Literal

from edgedistill.config import Settings

Status = Literal["ok", "missing", "note", "warning", "broken"]
WORST: tuple[Status, ...] = ("ok", "missing", "note", "warning", "broken")
"""Statuses from the best to the worst."""


class Sign(Settings):
    """One thing that was looked at."""

    name: str
    """Such as free_shape or pickle_only."""
    status: Status
    """ok; missing: optional and not there, or not looked at; note: works, and is worth knowing; warning: works, but
    likely a mistake; broken: cannot work."""
    detail: str
    """What was found, and what to do."""


class Checkup(Settings):
    """Everything that was looked at."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    subject: str
    """What was examined."""
    signs: tuple[Sign, ...]
    """One by one."""

    @property
    def is_broken(self) -> bool:
        """Whether something cannot work."""
        return any(sign.status == "broken" for sign in self.signs)


def ok(name: str, detail: str) -> Sign:
    """All is well."""
    return Sign(name=name, status="ok", detail=detail)


def warning(name: str, detail: str) -> Sign:
    """It works, but is likely a mistake."""
    return Sign(name=name, status="warning", detail=detail)


def broken(name: str, detail: str) -> Sign:
    """It cannot work."""
    return Sign(name=name, status="broken", detail=detail)


def note(name: str, detail: str) -> Sign:
    """It works; some runtime or accelerator would not take it, or takes longer."""
    return Sign(name=name, status="note", detail=detail)
