"""What every recipe promises, tried on all of them by name: a new recipe is tested without writing a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from edgedistill import plugins
from edgedistill.data.tasks import Kind
from edgedistill.recipes import Ingredients, RecipeConfig
from tests.recipes.kitchen import ON_RAW_TEXT, STEPS, cook, ingredients_of, smoke_config

GOLDEN = Path(__file__).parent / "golden" / "recipes.json"
RECIPES = plugins.names("recipes")
ROADS = (*RECIPES, *ON_RAW_TEXT)
CLOSE = 5e-3
"""Relative: what eight optimiser steps make of the last bits that processors round differently."""


class Cut(Exception):
    """A power cut in the middle of training."""


@pytest.fixture
def given(name: str, tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    return ingredients_of(name, tmp_path_factory.mktemp("kitchen"))


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_keeps_its_protocol(name: str) -> None:
    module = plugins.load("recipes", name)
    assert issubclass(module.Config, RecipeConfig)
    assert set(get_args(Kind)) >= module.KINDS
    assert isinstance(module.NEEDS_TEACHER, bool)
    summary = plugins.summaries("recipes")[name]
    assert summary.endswith(".")
    assert ": needs " in summary, "`ls recipes` says what each needs and gives"
    assert "; gives " in summary
    module.Config()


@pytest.mark.parametrize("name", ROADS)
def test_recipe_follows_its_stored_curve(name: str, given: Ingredients, tmp_path: Path) -> None:
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    _, lines = cook(name, smoke_config(name), given, tmp_path)
    assert [(line["stage"], line["step"]) for line in lines] == [(s["stage"], s["step"]) for s in stored["curve"]]
    for line, wanted in zip(lines, stored["curve"], strict=True):
        where = f"{name}, stage {line['stage']}, step {line['step']}; stored by {stored['made_by']['command']}"
        assert line["terms"].keys() == wanted["terms"].keys(), where
        for term, value in wanted["terms"].items():
            assert line["terms"][term] == pytest.approx(value, rel=CLOSE, abs=1e-6), f"term {term}, {where}"


@pytest.mark.parametrize("name", ROADS)
def test_recipe_trains_the_student_and_nothing_else(name: str, given: Ingredients, tmp_path: Path) -> None:
    before: dict[str, torch.Tensor] = {}
    teacher = getattr(given.teacher, "_model")  # noqa: B009
    teacher_before = weights(teacher)
    student, lines = cook(name, smoke_config(name), given, tmp_path, lambda model: before.update(weights(model)))
    after = weights(student)
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(torch.equal(teacher_before[key], value) for key, value in weights(teacher).items())
    assert len(lines) % STEPS == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ROADS)
def test_recipe_accumulates_to_the_same_steps(name: str, given: Ingredients, tmp_path: Path) -> None:
    _, whole = cook(name, smoke_config(name), given, tmp_path / "8")
    _, parts = cook(name, smoke_config(name, accumulate=4), given, tmp_path / "4x2")
    for one, two in zip(whole, parts, strict=True):
        for term, value in one["terms"].items():
            assert two["terms"][term] == pytest.approx(value, rel=CLOSE), f"term {term}, step {one['step']}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ROADS)
def test_recipe_resumes_bit_equal(name: str, given: Ingredients, tmp_path: Path) -> None:
    straight, lines = cook(name, smoke_config(name), given, tmp_path / "straight")
    for cut_at in (3, len(lines) - 2):
        calls = 0

        def cut(stage: str, model: torch.nn.Module, cut_at: int = cut_at) -> None:
            nonlocal calls
            calls += 1
            if calls == cut_at:
                raise Cut

        with pytest.raises(Cut):
            cook(name, smoke_config(name), given, tmp_path / str(cut_at), on_step=cut)
        resumed, again = cook(name, smoke_config(name), given, tmp_path / str(cut_at))
        assert again == lines
        assert all(torch.equal(value, weights(resumed)[key]) for key, value in weights(straight).items())
