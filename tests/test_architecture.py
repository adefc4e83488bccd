"""The house rules that can be read off the source: who imports whom, what stays lazy, how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import edgedistill
from edgedistill import plugins, resources
from edgedistill.config import build, read_yaml
from edgedistill.errors import MissingExtraError

PACKAGE = Path(edgedistill.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300

# From the ground up. A room imports from lower floors and from itself, never from a neighbour on its floor
# (except where a floor is one house: models, losses and data share the shapes of a batch).
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"files", "progress", "runner", "resources", "plugins", "config", "environment", "memory"}),
    frozenset({"data.tasks"}),
    frozenset({"artifacts", "clients", "drivers", "graphs", "reports", "searches", "spread", "times", "words"}),
    frozenset({"models", "losses", "data"}),
    frozenset({"training", "quant", "evaluate", "parity"}),
    frozenset({"phones"}),
    frozenset({"recipes", "targets", "gate", "measure", "apps", "pages", "importers"}),
    frozenset({"pipeline"}),
    frozenset({"cli"}),
    frozenset({"__init__", "__main__"}),
)
OPEN_FLOORS = (1, 3, 4, 5)
"""Floors whose rooms may see each other; the recipes' floor is not one of them."""

USES_TORCH = ("recipes", "targets", "training", "quant", "models", "losses", "data")
NEVER_TORCH = ("data.tasks", "data.encoding", "data.probes", "quant.schemes")
TORCH = ("torch", "transformers", "accelerate", "safetensors.torch")


def name_of(path: Path) -> str:
    """`edgedistill/data/tasks.py` -> `data.tasks`; a room's __init__ is the room; the top one `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The longest name in the floors that `module` belongs to."""
    for name in (module, module.partition(".")[0]):
        if any(name in floor for floor in FLOORS):
            return name
    raise AssertionError(f"edgedistill.{module} has no place in the house: add it to FLOORS")


def floor_of(room: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


def imports(path: Path, at_top: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full name of every import that runs; those for type checkers only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) if _is_for_types(node) for inner in ast.walk(node)}
    if at_top:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        skipped |= {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide where a name comes from"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def own(name: str) -> str | None:
    """The module of ours that `name` comes from; none for others."""
    if name.partition(".")[0] != "edgedistill":
        return None
    inner = name.removeprefix("edgedistill").lstrip(".")
    parts = inner.split(".")
    while parts and not (PACKAGE.joinpath(*parts).is_dir() or PACKAGE.joinpath(*parts).with_suffix(".py").is_file()):
        parts.pop()
    return ".".join(parts) or "__init__"


def may_import(importer: str, imported: str) -> bool:
    here, there = room_of(importer), room_of(imported)
    if here == there:
        # A recipe imports no recipe, a target no target: a checkpoint or a manifest is their only contract.
        is_same_plugin = importer.split(".")[:2] == imported.split(".")[:2]
        return here not in {"recipes", "targets"} or imported == here or is_same_plugin
    if floor_of(here) == floor_of(there):
        return floor_of(here) in OPEN_FLOORS
    if there == "__init__":
        return True  # the version
    return floor_of(there) < floor_of(here)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_only_from_below(path: Path) -> None:
    here = name_of(path)
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: '{here}' must not import '{there}'"
        for line, name in imports(path)
        if (there := own(name)) is not None and not may_import(here, there)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    here = name_of(path)
    is_free = room_of(here).partition(".")[0] in USES_TORCH and here not in NEVER_TORCH
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: '{here}' must not import '{name}'"
        for line, name in imports(path, at_top=here.startswith("pipeline"))
        if not is_free and (name + ".").startswith(tuple(f"{torch}." for torch in TORCH))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "imported", "is_fine"),
    [
        ("recipes.mobilebert", "losses.hidden", True),
        ("recipes.mobilebert", "targets", False),
        ("recipes.mobilebert", "recipes.finetune", False),
        ("recipes.mobilebert", "recipes", True),
        ("recipes.mobilebert.stages", "recipes.mobilebert.student", True),
        ("targets.onnx.convert", "targets.tflite.runtime", False),
        ("losses.hidden", "training.stage", False),
        ("data.tasks", "artifacts", False),
        ("artifacts", "data.tasks", True),
        ("gate.rungs", "measure.timing", False),
        ("pipeline.check", "gate.rungs", True),
        ("gate.rungs", "pipeline.check", False),
    ],
)
def test_the_rule_itself(importer: str, imported: str, is_fine: bool) -> None:
    assert may_import(importer, imported) is is_fine


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_stay_short_enough_to_read(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path.name} has {lines} lines: make it a folder of rooms"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ls"],
        ["ls", "--json"],
        ["distill", "--help"],
        ["plan", "--help"],
        ["cache", "--help"],
        ["cache", "ls", "docs"],
        ["config", "task"],
        ["config", "road"],
    ],
)
def test_help_and_lists_import_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "transformers", "datasets", "accelerate", "onnx", "onnxruntime", "scipy", "sklearn", "numpy")
    code = (
        f"import sys; sys.argv = ['edgedistill', *{arguments!r}]\n"
        "from edgedistill.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n"
        f"    sys.stderr.write(repr((done.code, [name for name in {heavy!r} if name in sys.modules])))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "(0, [])"


@pytest.mark.parametrize("kind", ["recipes", "targets", "schemes"])
def test_a_list_of_names_builds_no_settings(kind: str) -> None:
    """Recipes and targets are listed by their files' first lines: `ls` answers as fast as Python starts."""
    code = (
        f"import sys; sys.argv = ['edgedistill', 'ls', {kind!r}]\n"
        "from edgedistill.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    sys.stderr.write(' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {"pydantic", "yaml", "jinja2", "filelock"}
    assert not [name for name in loaded if name.startswith(("edgedistill.recipes", "edgedistill.targets"))]


def test_importing_edgedistill_imports_none_of_its_rooms() -> None:
    code = "import sys, edgedistill; sys.stdout.write(' '.join(m for m in sys.modules if m.startswith('edgedistill.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_public_names_are_the_verbs() -> None:
    assert edgedistill.__all__ == ["bench", "check", "distill", "export", "package", "plan", "report", "run"]
    assert set(edgedistill.__all__) <= set(dir(edgedistill))
    with pytest.raises(AttributeError, match="has no attribute 'distil'"):
        _ = edgedistill.distil


@pytest.mark.parametrize("name", edgedistill.__all__)
def test_every_public_name_is_a_documented_typed_function(name: str) -> None:
    function = getattr(edgedistill, name)
    assert callable(function)
    assert "Raises:" in (function.__doc__ or "")
    assert "return" in function.__annotations__


def test_the_version_is_one() -> None:
    try:
        assert version("edgedistill") == edgedistill.__version__
    except PackageNotFoundError:
        pytest.skip("edgedistill is not installed here, only on the path")


SHIPPED = sorted(resources.folder("export_configs").glob("*.yaml"))


def test_every_target_has_a_shipped_config() -> None:
    assert {read_yaml(path).get("target") for path in SHIPPED} == set(plugins.names("targets"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_loads(path: Path) -> None:
    values = read_yaml(path)
    assert path.stem == f"{values['target']}-{values['scheme']}", "the file is named after what it asks for"
    try:
        target = plugins.load("targets", values["target"])
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert build(target.Config, values, path.name).scheme in target.SCHEMES
