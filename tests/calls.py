"""Calls of the command line within this process, and stand-ins for the verbs behind it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgedistill.cli.verbs import edgedistill


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgedistill, [str(argument) for argument in arguments], prog_name="edgedistill")


def stand_in(monkeypatch: pytest.MonkeyPatch, verb: str, made: Any) -> dict[str, Any]:
    """Let `verb` return `made`, or raise it; the arguments it was called with."""
    seen: dict[str, Any] = {}

    def function(*positional: Any, **named: Any) -> Any:
        seen.update(named, positional=positional)
        if isinstance(made, BaseException):
            raise made
        return made

    home = "road" if verb == "run" else verb
    module = ModuleType(f"edgedistill.pipeline.{home}")
    setattr(module, verb, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen
