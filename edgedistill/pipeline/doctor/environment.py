"""The installation: Python, packages against their declared versions, tools. Nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from edgedistill import plugins
from edgedistill.artifacts import environment
from edgedistill.pipeline.doctor.signs import Sign, broken, ok

_TOOLS = {"adb": "measuring on an Android phone; it comes with Android's platform-tools"}


def signs() -> Iterator[Sign]:
    """Look at Python, the processor, every declared package and the tools."""
    yield _python()
    yield ok("processor", f"{environment().cpu}, {os.cpu_count()} cores, {environment().system}")
    declared = [Requirement(text) for text in requires("edgedistill") or ()]
    seen: set[str] = set()
    for extra in (None, *plugins.names("targets"), "demo"):
        needs = [need for need in declared if _belongs(need, extra) and need.name not in seen]
        seen |= {need.name for need in needs}
        yield from (_package(need, extra) for need in needs)
    for tool, purpose in _TOOLS.items():
        place = shutil.which(tool)
        yield ok(tool, place) if place else Sign(name=tool, status="missing", detail=f"needed for {purpose}")


def _python() -> Sign:
    wanted = SpecifierSet(metadata("edgedistill")["Requires-Python"])
    found = platform.python_version()
    if wanted.contains(found):
        return ok("python", found)
    return broken("python", f"{found}; edgedistill supports {wanted}.")


def _belongs(need: Requirement, extra: str | None) -> bool:
    """Whether `need` is asked for here by just that extra (none: by every installation)."""
    if need.name == "edgedistill":
        return False
    always = need.marker is None or need.marker.evaluate({"extra": ""})
    if extra is None:
        return always
    return not always and need.marker is not None and need.marker.evaluate({"extra": extra})


def _package(need: Requirement, extra: str | None) -> Sign:
    name = f"{extra}: {need.name}" if extra else need.name
    try:
        found = version(need.name)
    except PackageNotFoundError:
        if extra:
            return Sign(name=name, status="missing", detail=f'pip install "edgedistill[{extra}]"')
        return broken(name, "not installed. Run: pip install edgedistill")
    if need.specifier.contains(found, prereleases=True):
        return ok(name, found)
    return broken(name, f'{found}; edgedistill needs {need.specifier}. Run: pip install "{need.name}{need.specifier}"')
