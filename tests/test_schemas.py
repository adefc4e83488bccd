"""The published schemas and help pages say what the code says, and describe what it writes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import TypeAdapter

from tests.made import write_artifact, write_verdict

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(generate: ModuleType) -> None:
    assert generate.stale() == [], "Run: python docs/generate.py"


def test_plugins_that_are_left_out_say_what_is_missing(generate: ModuleType) -> None:
    _, left_out = generate.pages()
    assert all("pip install" in reason for reason in left_out.values())


def test_every_field_of_every_format_is_described(generate: ModuleType) -> None:
    bare = []
    for name, model in generate.FORMATS.items():
        schema = model.model_json_schema()
        for owner, part in {name: schema, **schema.get("$defs", {})}.items():
            bare += [
                f"{owner}.{key}" for key, field in part.get("properties", {}).items() if "description" not in field
            ]
    assert bare == []


def test_what_is_written_has_the_schemas_keys(generate: ModuleType, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder)
    for name, file in (("manifest", "manifest.json"), ("verdict", "parity.json")):
        schema = json.loads((DOCS / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
        written = json.loads((folder / file).read_text(encoding="utf-8"))
        assert set(written) == set(schema["properties"])
        assert set(schema["required"]) <= set(written)
        assert TypeAdapter(generate.FORMATS[name]).validate_python(written)
