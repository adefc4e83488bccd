"""Tests that need a command of the system (a compiler, an emulator, a browser) say so, and are skipped without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip unless every command is on the PATH and every file (named with its /) is there (`make tools`)."""
    missing = [tool for tool in tools if not (Path(tool).exists() if "/" in tool else shutil.which(tool))]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: make tools")
