"""What every recipe promises, tried on all of them by name: a new recipe is tested without writing a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors import safe_open

from edgedistill import plugins
from edgedistill.data.tasks import Kind
from edgedistill.models.loading import save
from edgedistill.recipes import Ingredients, RecipeConfig
from tests.recipes.kitchen import ROADS, STEPS, cook, ingredients_of, smoke_config

GOLDEN = Path(__file__).parent / "golden" / "recipes.json"
RECIPES = plugins.names("recipes")
CLOSE = 5e-3
"""Relative: what eight optimiser steps make of the last bits that processors round differently."""


class Cut(Exception):
    """A power cut in the middle of training."""


@pytest.fixture
def given(name: str, tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    return ingredients_of(name, tmp_path_factory.mktemp("kitchen"))


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@dataclass(frozen=True)
class Cooked:
    """A recipe's student and its log, and what the weights were before the first stage."""

    given: Ingredients
    student: torch.nn.Module
    lines: list[dict[str, Any]]
    before: dict[str, torch.Tensor]
    teacher_before: dict[str, torch.Tensor]


def teacher_of(given: Ingredients) -> torch.nn.Module:
    return getattr(given.teacher, "_model")  # type: ignore[no-any-return]  # noqa: B009


@pytest.fixture(scope="module")
def cooked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Cooked]:
    """Cooks each recipe once for all the tests that only look at it."""

    @cache
    def once(name: str) -> Cooked:
        before: dict[str, torch.Tensor] = {}
        given = ingredients_of(name, tmp_path_factory.mktemp("kitchen"))
        teacher_before, out = weights(teacher_of(given)), tmp_path_factory.mktemp("run")
        student, lines = cook(name, smoke_config(name), given, out, lambda model: before.update(weights(model)))
        return Cooked(given, student, lines, before, teacher_before)

    return once


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
def test_recipe_follows_its_stored_curve(name: str, cooked: Callable[[str], Cooked]) -> None:
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    lines = cooked(name).lines
    assert [(line["stage"], line["step"]) for line in lines] == [(s["stage"], s["step"]) for s in stored["curve"]]
    for line, wanted in zip(lines, stored["curve"], strict=True):
        where = f"{name}, stage {line['stage']}, step {line['step']}; stored by {stored['made_by']['command']}"
        assert line["terms"].keys() == wanted["terms"].keys(), where
        for term, value in wanted["terms"].items():
            assert line["terms"][term] == pytest.approx(value, rel=CLOSE, abs=1e-6), f"term {term}, {where}"


@pytest.mark.parametrize("name", ROADS)
def test_recipe_trains_the_student_and_nothing_else(name: str, cooked: Callable[[str], Cooked]) -> None:
    made = cooked(name)
    after, teacher_after = weights(made.student), weights(teacher_of(made.given))
    assert any(not torch.equal(value, after[key]) for key, value in made.before.items())
    assert all(torch.equal(value, teacher_after[key]) for key, value in made.teacher_before.items())
    assert len(made.lines) % STEPS == 0


@pytest.mark.parametrize("name", ROADS)
def test_the_saved_student_has_its_class_tensors_and_no_others(
    name: str, cooked: Callable[[str], Cooked], tmp_path: Path
) -> None:
    """No scaffold is left in the file; absent are tied weights' second names, and positions that the class computes."""
    student, tokenizer = cooked(name).student, cooked(name).given.data.tokenizer
    save(tmp_path, student, tokenizer)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        saved = set(file.keys())
    family = type(student)
    fresh = family.from_pretrained(tmp_path).state_dict()
    assert not saved - fresh.keys(), "more than the class has"
    kept, computed = {fresh[key].data_ptr() for key in saved}, set(family._keys_to_ignore_on_save or ())
    assert not [key for key in fresh.keys() - saved - computed if fresh[key].data_ptr() not in kept], "less than it has"
    assert all(torch.equal(value, fresh[key]) for key, value in weights(student).items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ROADS)
def test_recipe_accumulates_to_the_same_steps(name: str, given: Ingredients, tmp_path: Path) -> None:
    # A stochastic answer network draws for every row, and for a part of them something else.
    settings = {"pair_head": "classifier"} if name == "mtdnn_kd several" else {}
    _, whole = cook(name, smoke_config(name, settings), given, tmp_path / "8")
    _, parts = cook(name, smoke_config(name, settings, accumulate=4), given, tmp_path / "4x2")
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
