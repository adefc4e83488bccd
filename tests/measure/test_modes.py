import pytest

from edgedistill.errors import UnknownNameError
from edgedistill.measure import modes


@pytest.mark.parametrize(
    ("name", "runs", "seconds", "cap"), [("submission", 1024, 60, 600), ("quick", 128, 10, 60), ("rapid", 64, 6, 60)]
)
def test_modes_are_mlperf_mobiles(name: str, runs: int, seconds: int, cap: int) -> None:
    mode = modes.find_mode(name)
    assert (mode.min_runs, mode.min_seconds, mode.max_seconds) == (runs, seconds, cap)


def test_both_minimums_must_be_met() -> None:
    quick = modes.find_mode("quick")
    assert quick.is_met(128, 10.0)
    assert not quick.is_met(127, 100.0)
    assert not quick.is_met(10_000, 9.99)


def test_an_unknown_mode_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no mode named 'quik'. Did you mean 'quick'\?"):
        modes.find_mode("quik")
