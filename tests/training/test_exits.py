"""Curve, area and calibration on answers made by hand: three classifiers, four texts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgedistill.data.tasks import Task
from edgedistill.errors import ConfigError
from edgedistill.models.fastbert import FastBertConfig, fastbert_for
from edgedistill.models.macs import exit_macs, full_macs
from edgedistill.training import exits
from edgedistill.training.exit_clock import milliseconds
from edgedistill.training.exits import (
    ExitAnswers,
    Target,
    area,
    calibrate,
    candidates,
    choose,
    curve,
    leave_at,
    point,
)
from tests.support import TinyRows, tiny_model

CONFIG = FastBertConfig(hidden_size=4, num_attention_heads=1, intermediate_size=8, num_hidden_layers=3, num_labels=2)
# Confidence in class 1 (negative: in class 0) of texts x layers. All are of class 1; the last layer errs on the last.
SURE = 8.0
LOGITS = np.array(
    [
        [SURE, SURE, SURE],  # right and certain at once
        [0.2, SURE, SURE],  # certain after two layers
        [-0.2, 0.1, SURE],  # wrong at first, certain after three
        [0.3, 0.2, -0.1],  # never certain
    ],
    dtype=np.float32,
)
LENGTHS = np.array([4, 8, 16, 16])


@pytest.fixture
def answers():
    logits = np.stack((np.zeros_like(LOGITS), LOGITS), axis=-1)
    task = Task(name="t", kind="single", text=("a",), labels=("no", "yes"))
    data = SimpleNamespace(task=task, max_length=32)
    return ExitAnswers(logits, LENGTHS, SimpleNamespace(labels=[1, 1, 1, 1]), data, CONFIG)


def test_where_texts_leave(answers):
    assert leave_at(answers.uncertainties, 0.0).tolist() == [3, 3, 3, 3]
    assert leave_at(answers.uncertainties, 0.5).tolist() == [1, 2, 3, 3]
    assert leave_at(answers.uncertainties, 1.01).tolist() == [1, 1, 1, 1]


def test_a_point_worked_by_hand(answers):
    found = point(answers, 0.5)
    assert (found.score, found.mean_layers, found.left_at) == (0.75, 2.25, (0.25, 0.25, 0.5))
    one, two, three = exit_macs(CONFIG, 32)
    assert found.macs["padded_linear"] == (one + two + 2 * three) / 4
    assert found.flops == 2 * found.macs["padded_linear"]
    assert found.speedup == pytest.approx(full_macs(CONFIG, 32) / found.macs["padded_linear"])
    own = [exit_macs(CONFIG, int(n), as_computed=True)[layer] for n, layer in zip(LENGTHS, (0, 1, 2, 2), strict=True)]
    assert found.macs["true_all"] == pytest.approx(np.mean(own))
    assert point(answers, 0.5, "reference").flops == found.flops - 2 * 2.25 * 128 * 2


def test_speed_0_costs_the_model_without_exits(answers):
    found = point(answers, 0.0)
    assert found.speedup == 1.0
    assert found.macs["padded_linear"] == full_macs(CONFIG, 32)


def test_cost_never_rises_with_speed(answers):
    layers = [found.mean_layers for found in curve(answers)]
    assert layers == sorted(layers, reverse=True)


def test_the_cheapest_speed_that_scores_enough(answers):
    points = candidates(answers)
    # With all leaving at once the third text is wrong and the fourth right: as good as the last layer, at a third.
    assert calibrate(points, score=0.75).score >= 0.75
    assert calibrate(points, score=0.75).mean_layers == min(p.mean_layers for p in points if p.score >= 0.75)
    assert calibrate(points, score=0.0).mean_layers == min(p.mean_layers for p in points)
    with pytest.raises(ConfigError, match=r"no speed scores 1\.0100"):
        calibrate(points, score=1.01)


def test_the_best_score_within_a_budget(answers):
    points = curve(answers, (0.0, 0.5, 1.01))
    assert calibrate(points, budget=2.0, costs=(1.0, 2.0, 3.0)).speed == 1.01
    assert calibrate(points, budget=2.25, costs=(1.0, 2.0, 3.0)).score == 0.75
    macs = points[1].macs["true_all"]
    assert calibrate(points, budget=macs).macs["true_all"] <= macs
    with pytest.raises(ConfigError, match=r"no speed costs 0\.5 or less; leaving at the first exit costs 1"):
        calibrate(points, budget=0.5, costs=(1.0, 2.0, 3.0))


def test_a_target_must_be_one_and_fit(answers):
    points = curve(answers)
    for targets in ({}, {"score": 0.5, "budget": 1.0}):
        with pytest.raises(ConfigError, match="one of them"):
            calibrate(points, **targets)
    with pytest.raises(ConfigError, match="2 numbers for 3 layers"):
        calibrate(points, budget=1.0, costs=(1.0, 2.0))


def test_area_worked_by_hand(answers):
    points = curve(answers, (0.0, 0.5, 1.01))
    fake = [
        p.model_copy(update={"score": s, "macs": {"true_all": c}})
        for p, s, c in zip(points, (0.9, 0.8, 0.5), (10, 6, 2), strict=True)
    ]
    # Budgets 2 to 6 buy 0.5, 6 to 10 buy 0.8.
    assert area(fake) == pytest.approx(0.65)
    worse_in_the_middle = [fake[0], fake[1].model_copy(update={"score": 0.3}), fake[2]]
    assert area(worse_in_the_middle) == pytest.approx(0.5)
    assert area(fake[:1]) == 0.9


@pytest.mark.slow
def test_a_student_is_given_the_best_speed_within_a_share_of_the_macs(answers, monkeypatch):
    said = []
    monkeypatch.setattr(exits, "say", said.append)
    whole = point(answers, 0.0)
    assert choose(answers, Target(0.0)).score == whole.score
    for each in candidates(answers):
        share = each.macs["true_all"] / whole.macs["true_all"]
        found = choose(answers, Target(0.0, max_cost=share + 1e-9))
        cheap = [other for other in candidates(answers) if other.macs["true_all"] <= each.macs["true_all"]]
        assert found.score == max(other.score for other in cheap)
        assert found.macs["true_all"] <= each.macs["true_all"]
    assert not said
    least = choose(answers, Target(0.0, max_cost=0.001))
    assert least.mean_layers == 1.0
    assert "max_cost is 0.001, but leaving at the first exit costs" in said[0]


def test_a_student_is_given_the_best_speed_within_so_many_milliseconds(answers, monkeypatch):
    said = []
    monkeypatch.setattr(exits, "say", said.append)
    ms = (1.0, 2.0, 4.0)
    for most in (1.0, 1.75, 2.0, 4.0):
        found = choose(answers, Target(0.0, max_ms=most, exit_ms=ms))
        cheap = [each for each in candidates(answers) if np.dot(each.left_at, ms) <= most]
        assert np.dot(found.left_at, ms) <= most
        assert found.score == max(each.score for each in cheap)
    assert not said
    assert choose(answers, Target(0.0, max_ms=0.5, exit_ms=ms)).mean_layers == 1.0
    assert said == ["max_ms is 0.5, but leaving at the first exit costs 1.000 already: that is taken"]


def test_no_speed_is_chosen_at_which_texts_stand_on_the_edge(answers):
    """Exits that have learnt nothing: their uncertainties are 1 but for the last bits, which no two runtimes share."""
    logits = answers.logits.copy()
    logits[:, :-1, 1] = [1e-4, 2e-4]
    torn = replace(answers, logits=logits)
    assert np.abs(torn.uncertainties[:, :-1] - 1).max() < 1e-5
    speeds = {each.speed for each in candidates(torn)}
    assert 1.0 not in speeds
    assert speeds >= {0.0, 0.5, 1.01}, "the others stay"
    assert 1.0 in {each.speed for each in candidates(answers)}
    least = choose(torn, Target(0.0, max_cost=0.001))
    assert (least.speed, least.mean_layers) == (1.01, 1.0)


def test_a_later_exit_takes_longer_and_threads_are_as_before():
    model = fastbert_for(tiny_model(layers=3), size=8, heads=2, keeps_head=False)
    threads = torch.get_num_threads()
    found = milliseconds(model, TinyRows(4), rounds=2)
    assert len(found) == 3
    assert 0 < found[0] < found[1] < found[2]
    assert torch.get_num_threads() == threads
