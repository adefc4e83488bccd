import numpy as np
import pytest

from edgedistill.measure import statistics
from edgedistill.measure.modes import find_mode
from edgedistill.spread import is_throttled


def test_summary_of_one_to_a_hundred_is_the_one_worked_by_hand() -> None:
    found = statistics.latency([float(n) for n in range(1, 101)], first_ms=7.0, load_ms=80.0)
    assert (found.runs, found.min_ms, found.max_ms, found.mean_ms) == (100, 1.0, 100.0, 50.5)
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == (50.5, 90.1, 95.05, 99.01)
    assert found.std_ms == pytest.approx(np.sqrt((100**2 - 1) / 12), abs=1e-4), "population, not sample"
    assert (found.first_ms, found.load_ms) == (7.0, 80.0)


def test_order_of_samples_does_not_change_the_summary() -> None:
    samples = [3.0, 1.0, 2.0, 9.0]
    assert statistics.latency(samples, 1, 1) == statistics.latency(sorted(samples), 1, 1)


def test_one_sample_is_enough_for_a_summary() -> None:
    found = statistics.latency([4.0], 1, 1)
    assert (found.p50_ms, found.p99_ms, found.std_ms) == (4.0, 4.0, 0.0)


@pytest.mark.parametrize(
    ("runs", "seconds", "word"),
    [(128, 10.0, "valid"), (127, 10.0, "semi"), (127, 60.0, "semi"), (128, 9.9, "invalid"), (0, 0.0, "invalid")],
)
def test_validity_is_mlperfs_rule(runs: int, seconds: float, word: str) -> None:
    assert statistics.validity(runs, seconds, find_mode("quick")) == word


def test_throttled_means_a_last_third_more_than_ten_per_cent_slower() -> None:
    steady = [10.0] * 30
    assert not is_throttled(steady)
    assert not is_throttled([10.0] * 20 + [11.0] * 10), "ten per cent exactly is not more than ten per cent"
    assert is_throttled([10.0] * 20 + [11.1] * 10)
    assert not is_throttled([11.1] * 10 + [10.0] * 20), "getting faster is no throttling"
    assert not is_throttled([10.0] * 26 + [99.0] * 4), "a median does not mind a few"
    assert not is_throttled([1.0, 2.0])


def test_milliseconds_are_rounded_to_a_tenth_of_a_microsecond() -> None:
    assert statistics.milliseconds([0.00123456789]) == (1.2346,)
