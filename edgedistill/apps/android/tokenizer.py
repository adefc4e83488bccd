"""The Java tokenizer, from the one place where it lives."""

from __future__ import annotations

import shutil
from pathlib import Path

_SOURCES = Path(__file__).parents[1] / "tokenizers" / "java"


def write_tokenizer(java: Path) -> None:
    """Copy it into a folder of Java sources."""
    shutil.copytree(_SOURCES, java, dirs_exist_ok=True)
