import numpy as np
import pytest

from edgedistill import evaluate
from edgedistill.gate import resampled

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "accuracy_f1", "matthews", "macro_f1"])
@pytest.mark.parametrize("classes", [2, 5])
def test_weighted_score_of_a_resample_is_the_score_of_its_rows(metric, classes):
    right = RANDOM.integers(classes, size=60)
    given = np.where(RANDOM.random(60) < 0.7, right, RANDOM.integers(classes, size=60))
    assert_weighted(metric, given, right)


def test_weighted_correlations_handle_ties():
    right = RANDOM.integers(6, size=60) / 2.0
    assert_weighted("pearson_spearman", np.round(right + RANDOM.normal(size=60), 1), right)


def test_weighted_squad():
    answers = [RANDOM.choice(["red cat", "cat", "dog"]) for _ in range(20)]
    assert_weighted("squad_f1", answers, [["cat"]] * 20)


def test_weighted_entities_and_their_chance():
    right = [(("PER", 0, 1), ("LOC", 3, int(RANDOM.integers(3, 9)))) for _ in range(60)]
    given = [row if RANDOM.random() < 0.7 else row[:1] for row in right]
    assert_weighted("entity_f1", given, right)
    assert resampled.chance("entity_f1", right) == 0
    assert resampled.chance_p_value("entity_f1", right, right) < 0.05
    assert resampled.chance_p_value("entity_f1", [()] * 60, right) > 0.05


def rankings_of(count, share):
    """Of 3 candidates, the right one first in a share of the questions."""
    right = [(int(place),) for place in RANDOM.integers(3, size=count)]
    orders = [(place, *({0, 1, 2} - {place})) for (place,) in right]
    return [o if n < share * count else (o[1], o[0], o[2]) for n, o in enumerate(orders)], right


def test_weighted_rankings():
    assert_weighted("ranking", *rankings_of(30, 0.6))


def test_chance_test_of_rankings():
    assert resampled.chance("ranking", [(0,), (1,), (1, 2), (1,)]) == 0.75
    assert resampled.chance_p_value("ranking", *rankings_of(80, 0.9)) < 0.05
    _, right = rankings_of(80, 0.9)
    assert resampled.chance_p_value("ranking", [(0, 1, 2)] * 80, right) > 0.05


def assert_weighted(metric, given, right):
    rows = len(right)
    drawn = [np.arange(rows), *RANDOM.integers(rows, size=(4, rows))]
    weights = np.stack([np.bincount(rows_, minlength=rows) for rows_ in drawn]).astype(np.float32)
    expected = [
        evaluate.headline(metric, evaluate.score(metric, [given[r] for r in rows_], [right[r] for r in rows_]))
        for rows_ in drawn
    ]
    np.testing.assert_allclose(resampled.weighted_score(metric, given, right)(weights), expected, atol=1e-6)


def test_chance_is_the_best_constant_answer():
    assert resampled.chance("accuracy", [0, 1, 1, 1]) == 0.75
    assert resampled.chance("f1", [0, 1, 1, 1]) == pytest.approx(6 / 7)
    assert resampled.chance("matthews", [0, 1, 1]) == 0
    assert resampled.chance("pearson_spearman", [0.1, 0.2]) == 0


@pytest.mark.parametrize("metric", ["accuracy", "f1", "accuracy_f1", "matthews", "macro_f1"])
def test_chance_test_tells_knowledge_from_none(metric):
    right = RANDOM.integers(2, size=200)
    good = np.where(RANDOM.random(200) < 0.85, right, 1 - right)
    assert resampled.chance_p_value(metric, good, right) < 0.01
    assert resampled.chance_p_value(metric, np.ones(200, int), right) > 0.05
    assert resampled.chance_p_value(metric, np.roll(right, 57), right) > 0.01


def test_chance_test_of_correlations_and_spans():
    right = RANDOM.normal(size=80)
    assert resampled.chance_p_value("pearson_spearman", right + RANDOM.normal(size=80), right) < 0.01
    assert resampled.chance_p_value("pearson_spearman", RANDOM.normal(size=80), right) > 0.05
    golds = [[f"word{n}"] for n in range(30)]
    assert resampled.chance_p_value("squad_f1", [f"word{n}" for n in range(30)], golds) < 0.05
    assert resampled.chance_p_value("squad_f1", ["the"] * 30, golds) > 0.05


def test_three_right_answers_prove_nothing():
    assert resampled.chance_p_value("accuracy", [0, 1, 0], [0, 1, 0]) > 0.05


def test_answers_of_one_row_are_weighted_together():
    right, given, row_of = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 0, 0]), np.array([0, 0, 1, 1, 2])
    weights = np.array([[1, 1, 1], [2, 0, 1]], dtype=np.float32)
    for metric in ("accuracy", "macro_f1"):
        drawn = [[0, 1, 2, 3, 4], [0, 1, 0, 1, 4]]
        expected = [evaluate.headline(metric, evaluate.score(metric, given[d], right[d])) for d in drawn]
        found = resampled.weighted_score(metric, given, right, row_of)(weights)
        np.testing.assert_allclose(found, expected, atol=1e-6)
