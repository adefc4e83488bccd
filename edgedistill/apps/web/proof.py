"""The goldens of a web package, run where that can be done: in Node, by the same module that the page runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedistill.apps import GoldenCheck, answered, not_run
from edgedistill.apps._tokenizer import GOLDENS as TOKENIZER_GOLDENS
from edgedistill.artifacts import GOLDENS

_SECONDS = 300
_MODEL = "model/"
_FILES = {"tokenizer": f"tests/{TOKENIZER_GOLDENS}", "answers": GOLDENS}


def run_goldens(folder: Path) -> tuple[GoldenCheck, ...]:
    """Ask the goldens of a package that is otherwise complete; nothing is written.

    Returns:
        Tokenizer and answers in Node, and what is left for browsers.
    """
    node = shutil.which("node")
    if node is None:
        return (*not_run(_FILES, "Node", "node is not installed here (make tools)"), *_browsers())
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    where = f"Node {version}, onnxruntime-web on WebAssembly"
    command = [node, "tests/check.mjs"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return (*_failed(where, f"it did not end within {_SECONDS} s"), *_browsers())
    if done.returncode != 0:
        return (*_failed(where, " ".join(done.stderr.split())[-400:] or "node failed"), *_browsers())
    return (*checks_of(json.loads(done.stdout), where), *_browsers())


def checks_of(said: Mapping[str, Any], where: str) -> tuple[GoldenCheck, ...]:
    """What `tests/check.mjs` or the page's self-test says, as checks.

    Args:
        said: `tokenizer`, and `answers` for each file of goldens; each with `asked` and `differ`.
        where: it was run.
    """
    answers = said["answers"] or [{"file": f"{_MODEL}{GOLDENS}", "asked": 0, "differ": []}]
    return (
        _check("tokenizer", said["tokenizer"], _FILES["tokenizer"], where),
        *(_check("answers", each, str(each["file"]).removeprefix(_MODEL), where) for each in answers),
    )


def _check(name: str, said: Mapping[str, Any], file: str, where: str) -> GoldenCheck:
    differ = [int(line) for line in said["differ"]]
    return answered(name, where, file, int(said["asked"]), differ, said.get("why") or "")


def _failed(where: str, reason: str) -> tuple[GoldenCheck, ...]:
    return tuple(answered(name, where, file, 0, why=reason) for name, file in _FILES.items())


def _browsers() -> tuple[GoldenCheck, ...]:
    return not_run(_FILES, "the user's browser", "open tests/index.html of the served folder in it: it runs both")
