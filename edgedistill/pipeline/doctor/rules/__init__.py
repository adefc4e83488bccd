"""The rules for model files: the folder is the list. One file a rule, whose first line says what it looks for.

A rule has `FORMATS`, the kinds of file it reads, `HINT`, what to do about what it finds, and `found(model)`, which
yields what it found; `MOST`, where it wants more than three of them told. It raises `NotLookedAt` where it needs what
is not there.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edgedistill.errors import EdgeDistillError
from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.signs import WORST, Sign, Status, ok

_SHOWN = 3


class NotLookedAt(Exception):
    """Why a rule could not look."""


@dataclass(frozen=True)
class Found:
    """One thing a rule found.

    Attributes:
        status: how bad it is.
        text: what and where, as a sentence.
    """

    status: Status
    text: str


def names() -> list[str]:
    """Names of all rules."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> ModuleType:
    """One rule's module."""
    return importlib.import_module(f"{__name__}.{name}")


def signs(model: Model, but: frozenset[str] = frozenset()) -> Iterator[Sign]:
    """What every rule for this kind of file finds, but the ones named; those that find nothing in one line."""
    quiet = []
    for name in sorted(set(names()) - but):
        rule = load(name)
        if model.format not in rule.FORMATS:
            continue
        try:
            found = list(rule.found(model))
        except (NotLookedAt, EdgeDistillError, OSError) as error:
            yield Sign(name=name, status="missing", detail=f"not looked at: {error}")
            continue
        if found:
            yield _sign(name, found, rule.HINT, getattr(rule, "MOST", _SHOWN))
        else:
            quiet.append(name)
    if quiet:
        yield ok("rules", f"nothing found: {', '.join(quiet)}")


def _sign(name: str, found: list[Found], hint: str, most: int) -> Sign:
    """All that one rule found as one sign of the worst status, with what to do where it is not well."""
    status = max((one.status for one in found), key=WORST.index)
    worst_first = sorted(found, key=lambda one: -WORST.index(one.status))
    text = " ".join(one.text for one in worst_first[:most])
    if len(found) > most:
        text += f" And {len(found) - most} more."
    return Sign(name=name, status=status, detail=text if status == "ok" else f"{text} {hint}")
