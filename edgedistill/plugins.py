"""Recipes, targets, apps and importers by name: the folder is the list, the file name is the name.

`names` and `summaries` read no module, so `edgedistill ls` imports no torch; `load` imports just the one
that was asked for. Outside packages add theirs through the entry points `edgedistill.recipes`,
`edgedistill.targets`, `edgedistill.apps` and `edgedistill.importers`, with the same contract.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal

from edgedistill.errors import MissingExtraError, UnknownNameError

Kind = Literal["recipes", "targets", "apps", "importers"]

_HERE = Path(__file__).parent
_SINGULAR = {"recipes": "recipe", "targets": "target", "apps": "platform", "importers": "importer"}


def names(kind: Kind) -> list[str]:
    """Names of every recipe, target, platform or importer, built in and installed beside us, sorted."""
    return sorted({*_own(kind), *_outside(kind)})


def summaries(kind: Kind) -> dict[str, str]:
    """One line about each: the first of its docstring, read without importing it; the package of those from outside."""
    outside = {name: f"from {point.value}" for name, point in _outside(kind).items()}
    own = {name: _first_line(path) for name, path in _own(kind).items()}
    return dict(sorted({**outside, **own}.items()))


def summaries_in(folder: str) -> dict[str, str]:
    """The same of the modules in any folder of ours that is a list."""
    return {name: _first_line(path) for name, path in sorted(_modules(_HERE / folder)) if not name.startswith("_")}


def load(kind: Kind, name: str) -> ModuleType:
    """Import one of them.

    Raises:
        UnknownNameError: there is none of that name.
        MissingExtraError: a package it needs is not installed.
    """
    singular = _SINGULAR[kind]
    if name not in names(kind):
        raise UnknownNameError(singular, name, names(kind))
    try:
        if name in _own(kind):
            return importlib.import_module(f"edgedistill.{kind}.{name.replace('-', '_')}")
        module = _outside(kind)[name].load()
        assert isinstance(module, ModuleType)
        return module
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "edgedistill"}:
            raise
        # A target's extra has its name; recipes need only what every full installation has.
        extra = name if kind == "targets" else "all"
        raise MissingExtraError(f"{singular} '{name}'", missing, extra) from error


def _own(kind: Kind) -> dict[str, Path]:
    found = {name: path for name, path in _modules(_HERE / kind) if not name.startswith("_")}
    if kind == "apps":  # platforms are spelled as people type them: linux-arm64 is linux_arm64.py
        return {name.replace("_", "-"): path for name, path in found.items()}
    return found


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.suffix == ".py":
            yield path.stem, path
        elif (path / "__init__.py").is_file():
            yield path.name, path / "__init__.py"


def _outside(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"edgedistill.{kind}")}


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
