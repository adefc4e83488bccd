"""Projects from templates: files copied as they are, and those ending in .tmpl with each %%NAME%% filled in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path


def fill(source: Path, destination: Path, words: Mapping[str, str], skip: tuple[str, ...] = ()) -> None:
    """Copy a folder of templates, what stands for a name filled in.

    Args:
        source: files, of which those that end in .tmpl are templates.
        destination: made if it is not there.
        words: what stands for each %%NAME%%.
        skip: folders in it to leave out.
    """
    for path in sorted(source.rglob("*")):
        inner = path.relative_to(source)
        if path.is_file() and not inner.as_posix().startswith(tuple(f"{folder}/" for folder in skip)):
            fill_file(path, destination / inner, words)


def fill_file(path: Path, destination: Path, words: Mapping[str, str]) -> None:
    """Copy one file; a template without its .tmpl."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".tmpl":
        shutil.copyfile(path, destination)
        return
    first, *rest = path.read_text(encoding="utf-8").split("%%")
    # NAME and text take turns; what was filled in is not looked at again, whatever it holds.
    filled = [words[part] if number % 2 == 0 else part for number, part in enumerate(rest)]
    destination.with_suffix("").write_text(first + "".join(filled), encoding="utf-8")
