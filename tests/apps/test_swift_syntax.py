"""The Swift sources parse; no compiler of Swift can be had here, so that is all a computer without one can say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill.apps import ios

_PARSES = """
import json, sys
import tree_sitter, tree_sitter_swift
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
def wrong(node):
    if node.type == "ERROR" or node.is_missing:
        yield node.start_point[0] + 1
    for child in node.children:
        yield from wrong(child)
print(json.dumps([[name, list(wrong(parser.parse(text.encode()).root_node))] for name, text in json.load(sys.stdin)]))
"""


def wrong_lines(sources: dict[str, str], packages: Path) -> dict[str, list[int]]:
    """Lines of each source that are no Swift, those without any left out."""
    python = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(packages)!r})\n{_PARSES}"]
    done = subprocess.run(python, input=json.dumps(list(sources.items())), capture_output=True, text=True, check=True)
    return {name: lines for name, lines in json.loads(done.stdout) if lines}


@pytest.mark.long
@pytest.mark.clients
def test_every_source_is_swift_and_a_broken_one_is_not(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path)]
    done = subprocess.run([*install, "tree-sitter", "tree-sitter-swift"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a package index: {done.stderr[-300:]}")
    apps = Path(ios.__file__).parent.parent
    paths = [*(apps / "ios").rglob("*.swift*"), *(apps / "tokenizers/swift").rglob("*.swift")]
    assert len(paths) > 10
    sources = {path.relative_to(apps).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    filled = {name: text.replace("%%SESSION%%", "OnnxSession").replace("%%", "") for name, text in sources.items()}
    filled = {
        name: text.replace("[DEPENDENCIES]", "[]").replace("PRODUCTS]", "]")
        if name.endswith("Package.swift.tmpl")
        else text
        for name, text in filled.items()
    }
    assert wrong_lines(filled, tmp_path) == {}
    assert wrong_lines({"broken": "func f( -> {"}, tmp_path) == {"broken": [1]}
