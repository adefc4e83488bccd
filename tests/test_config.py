"""Settings: YAML that is read strictly, overrides, messages that name the key, and forms that read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from edgedistill.config import Settings, as_commented_yaml, build, parse_yaml, read_yaml, with_settings
from edgedistill.data.tasks import TASKS, Task
from edgedistill.errors import ConfigError
from edgedistill.pipeline.plan import Road


class Optim(Settings):
    lr: float = Field(5e-5, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates."""


class Recipe(Settings):
    layers: int = 4
    """Student depth."""
    name: str | None = None
    """A name."""
    optim: Optim = Optim()
    """How it learns."""


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-5", 5e-5), ("1E3", 1000.0), ("-2.5e+1", -25.0), ("1_0e1", 100.0), (".5e1", 5.0), ("5.0e-5", 5e-5)],
)
def test_numbers_with_an_exponent_are_numbers(text: str, value: float) -> None:
    assert parse_yaml(text, "here") == value


@pytest.mark.parametrize("text", ["e5", "5e", "1-e5", "v1e5x", "abc", "'5e-5'"])
def test_words_stay_words(text: str) -> None:
    assert isinstance(parse_yaml(text, "here"), str)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_back(number: float) -> None:
    assert build(Recipe, {"optim": {"betas": [number, 0.5]}}, "here").optim.betas[0] == number
    assert parse_yaml(repr(number), "here") == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 2"),
        ("a: 1\na: 2", "key 'a' is written twice"),
        ("b:\n  a: 1\n  a: 2", "key 'a' is written twice"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("- 1\n- 2", "must hold keys and values, not a list"),
        ("just words", "must hold keys and values, not a str"),
    ],
)
def test_bad_yaml_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml") as caught:
        read_yaml(path)
    assert message in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*Print a template with: edgedistill config NAME"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# only a comment\n", encoding="utf-8")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_set_reaches_any_depth_and_leaves_the_original_alone() -> None:
    values: dict[str, Any] = {"optim": {"lr": 1.0}}
    changed = with_settings(values, ["optim.lr=2e-5", "layers=6", "optim.betas=[0.8, 0.9]", "name=a=b"])
    assert build(Recipe, changed, "here") == Recipe(layers=6, name="a=b", optim=Optim(lr=2e-5, betas=(0.8, 0.9)))
    assert values == {"optim": {"lr": 1.0}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("layers", "--set takes key=value, not 'layers'"),
        ("=5", "--set takes key=value"),
        ("layers.more=5", "'layers' is a single value and has nothing below it"),
        ("layers=[1", "--set layers, line 1: not valid YAML"),
    ],
)
def test_bad_set_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_settings({"layers": 3}, [assignment])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer": 3}, "here: unknown key 'layer'. There are: layers, name, optim."),
        ({"optim": {"learning": 1}}, "here: unknown key 'optim.learning'. There are: betas, lr."),
        ({"layers": "many"}, "here: layers: Input should be a valid integer"),
        ({"optim": {"lr": -1}}, "here: optim.lr: Input should be greater than 0 (found -1)."),
        ({"optim": {"lr": float("nan")}}, "here: optim.lr:"),
        ({"optim": {"betas": {"a": 1}}}, "here: optim.betas: Input should be a valid tuple (found {'a': 1})."),
    ],
)
def test_wrong_settings_name_the_key_and_the_value(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Recipe, values, "here")
    assert message in str(caught.value)


def test_where_there_are_no_settings_none_are_listed() -> None:
    with pytest.raises(ConfigError, match="There are none here"):
        build(Settings, {"app_id": "com.example"}, "here")


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().layers = 5  # type: ignore[misc]


@pytest.mark.parametrize("values", [Recipe(), Recipe(name="x: y # z"), Recipe(optim=Optim(lr=1e-7))])
def test_the_form_reads_back_as_what_it_shows(values: Recipe) -> None:
    form = as_commented_yaml(Recipe, values)
    assert build(Recipe, parse_yaml(form, "form"), "form") == values
    assert "# Student depth." in form


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_task_prints_a_form_that_reads_back(task: Task) -> None:
    assert build(Task, parse_yaml(as_commented_yaml(Task, task), "form"), "form") == task


def test_the_empty_form_of_a_road_wants_only_what_is_required() -> None:
    values = parse_yaml(as_commented_yaml(Road), "form")
    assert [name for name, value in values.items() if value is None and name in {"out", "task"}] == ["out", "task"]
    assert build(Road, {**values, "out": "runs/x", "task": "sst2"}, "form") == Road(out=Path("runs/x"), task="sst2")


@pytest.mark.parametrize("model", [Road, Task])
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    assert not [name for name, field in model.model_fields.items() if not field.description]


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "n"])
def test_yes_and_no_are_no_booleans(word):
    assert parse_yaml(f"key: {word}", "here") == {"key": word}
    assert parse_yaml("key: true", "here") == {"key": True}
    assert parse_yaml("key: False", "here") == {"key": False}
