"""Recipes and targets by name: listed without importing, loaded one at a time, missing packages named."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from edgedistill import plugins
from edgedistill.errors import MissingExtraError, UnknownNameError
from edgedistill.plugins import Kind

KINDS: tuple[Kind, ...] = ("recipes", "targets", "apps")


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_is_the_list(kind: Kind) -> None:
    names = plugins.names(kind)
    assert names == sorted(names)
    assert names
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_one_has_a_line_about_it(kind: Kind) -> None:
    summaries = plugins.summaries(kind)
    assert list(summaries) == plugins.names(kind)
    assert not [name for name, line in summaries.items() if len(line) < 10]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_is_refused_with_the_list(kind: Kind) -> None:
    with pytest.raises(
        UnknownNameError, match=f"no {'platform' if kind == 'apps' else kind[:-1]} named 'nope'. There are: "
    ):
        plugins.load(kind, "nope")


@pytest.mark.parametrize(("kind", "extra"), [("recipes", "all"), ("targets", "onnx")])
def test_a_missing_package_names_the_extra(kind: Kind, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "onnx" if kind == "targets" else plugins.names("recipes")[0]

    def refuse(module: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'onnx.helper'", name="onnx.helper")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingExtraError, match=f"needs the package 'onnx'.*edgedistill\\[{extra}\\]"):
        plugins.load(kind, name)


def test_our_own_missing_module_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'edgedistill.gone'", name="edgedistill.gone")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ModuleNotFoundError, match=r"edgedistill\.gone"):
        plugins.load("targets", "onnx")


def test_outside_packages_add_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="theirs", value="json", group="edgedistill.targets")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])
    assert "theirs" in plugins.names("targets")
    assert plugins.summaries("targets")["theirs"] == "from json"
    assert plugins.load("targets", "theirs").__name__ == "json"
