import math

import numpy as np
import pytest

from edgedistill import parity
from edgedistill.gate import resampled


def test_difference_worked_by_hand():
    first = [np.array([3.0, 4.0]), np.array([0.0, 2.0])]
    second = [np.array([3.0, 4.0]), np.array([0.3, 1.6])]
    found = parity.difference(first, second)
    assert found.max_abs == pytest.approx(0.4)
    assert found.relative == pytest.approx(0.5 / math.sqrt(29))
    assert found.sqnr_db == pytest.approx(20 * math.log10(math.sqrt(29) / 0.5))
    assert found.cosine == pytest.approx((1 + 3.2 / (2 * math.hypot(0.3, 1.6))) / 2)
    assert (found.worst_text, found.is_finite) == (1, True)


def test_equal_outputs_have_no_difference():
    found = parity.difference([np.zeros(2)], [np.zeros(2)])
    assert (found.max_abs, found.relative, found.sqnr_db, found.cosine) == (0, 0, math.inf, 1)


def test_small_outputs_do_not_hide_behind_small_differences():
    found = parity.difference([np.full(2, 1e-6)], [np.full(2, -1e-6)])
    assert found.max_abs < 1e-5
    assert found.relative == pytest.approx(2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_infinitely_far(bad):
    found = parity.difference([np.ones(2), np.ones(2)], [np.ones(2), np.array([1.0, bad])])
    assert (found.relative, found.is_finite, found.worst_text) == (math.inf, False, 1)


def test_other_shapes_are_infinitely_far():
    assert parity.difference([np.ones(2)], [np.ones(3)]).relative == math.inf


@pytest.mark.parametrize(
    ("first", "second", "band", "share"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 5], 0.0, 0.75),
        ([1.0, 2.0], [1.05, 2.2], 0.1, 0.5),
        ([(1, 2), (3, 4)], [(1, 2), (3, 5)], 0.0, 0.5),
        ([(1, 2, 3, 4)], [(1, 2, 3, 5)], 0.0, 0.75),
    ],
)
def test_agreement(first, second, band, share):
    assert parity.agreement(first, second, band) == share


def test_correlation_ignores_what_both_models_always_add():
    random = np.random.default_rng(0)
    bias = np.array([50.0, -50.0])
    first = list(random.normal(size=(200, 2)) + bias)
    assert abs(parity.correlation(first, list(random.normal(size=(200, 2)) + bias))) < 0.2
    assert parity.correlation(first, [3 * row + 7 for row in first]) == pytest.approx(1)
    assert parity.correlation(first, [bias] * 200) == 0


def accuracy(contributions):
    rows = np.asarray(contributions, dtype=float)
    return lambda weights: weights @ rows / weights.sum(axis=1)


def test_paired_interval_is_the_closed_form_of_the_paired_differences():
    random = np.random.default_rng(1)
    first = random.random(600) < 0.9
    second = np.where(random.random(600) < 0.05, ~first, first)
    found = parity.paired_bootstrap(accuracy(first), accuracy(second), 600)
    gaps = first.astype(float) - second
    error = gaps.std() / math.sqrt(600)
    assert found.value == pytest.approx(gaps.mean())
    assert found.low == pytest.approx(gaps.mean() - 1.96 * error, abs=2 / 600)  # percentiles move in steps of one row
    assert found.high == pytest.approx(gaps.mean() + 1.96 * error, abs=2 / 600)  # percentiles move in steps of one row


def test_pairing_cancels_what_is_hard_for_both():
    shared = np.random.default_rng(2).random(400) < 0.6
    found = parity.paired_bootstrap(accuracy(shared), accuracy(shared), 400)
    assert (found.low, found.high) == (0, 0)


def test_ratio_and_seed():
    first, second = accuracy([1, 1, 1, 1, 0]), accuracy([1, 1, 0, 1, 0])
    one = parity.paired_bootstrap(first, second, 5, statistic="ratio", resamples=500, seed=3)
    assert one.value == pytest.approx(0.75)
    assert one == parity.paired_bootstrap(first, second, 5, statistic="ratio", resamples=500, seed=3)


def test_resamples_draw_every_row_as_often():
    weights = np.concatenate(list(parity.resampled_weights(7, 3000, seed=0)))
    assert weights.shape == (3000, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)


def test_weights_come_in_chunks_that_fit_memory():
    assert max(chunk.size for chunk in parity.resampled_weights(50_000, 200, seed=0)) <= 2_000_000


def test_rule_of_three_widens_what_looks_certain():
    sure = parity.with_rule_of_three(parity.Interval(0.0, 0.0, 0.0), 30)
    assert (sure.low, sure.high) == (-0.1, 0.1)
    wide = parity.Interval(0.0, -0.5, 0.5)
    assert parity.with_rule_of_three(wide, 30) == wide


def test_rows_needed_shrink_the_margin():
    assert parity.rows_needed(parity.Interval(0.0, -0.02, 0.02), 100, widest=0.01) == 400


def test_ten_thousand_resamples_of_a_judged_split_take_well_under_seconds(recwarn):
    import time

    random = np.random.default_rng(4)
    right = random.integers(150, size=4500)
    given = np.where(random.random(4500) < 0.9, right, 0)
    score = resampled.weighted_score("accuracy", given, right)
    start = time.perf_counter()
    parity.paired_bootstrap(score, score, 4500)
    assert time.perf_counter() - start < 10
