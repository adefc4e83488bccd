import pytest

from edgedistill.errors import ConfigError, UnknownNameError
from edgedistill.gate.tolerances import read_tolerances


def test_defaults_are_the_published_ones():
    tolerances, changed = read_tolerances()
    assert changed == {}
    assert (tolerances.fp32_max_abs, tolerances.fp32_relative, tolerances.fp16_relative) == (1e-4, 1e-5, 1e-2)
    assert (tolerances.int8_agreement, tolerances.metric_drop_points, tolerances.teacher_ratio) == (0.98, 1.0, 0.97)


def test_what_is_changed_is_recorded():
    tolerances, changed = read_tolerances(["metric_drop_points=2", "fp32_relative=1e-3"])
    assert (tolerances.metric_drop_points, tolerances.fp32_relative) == (2.0, 1e-3)
    assert changed == {"metric_drop_points": 2.0, "fp32_relative": 1e-3}


def test_setting_the_default_changes_nothing():
    assert read_tolerances(["metric_drop_points=1.0"])[1] == {}


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'fp32_max_abs'"):
        read_tolerances(["fp32_maxabs=1"])


@pytest.mark.parametrize(
    "setting", ["fp32_max_abs=much", "fp32_max_abs=.inf", "fp32_max_abs=.nan", "fp32_max_abs=-1", "fp32_max_abs",
                "int8_agreement=1.5", "fp32_max_abs=true"],
)  # fmt: skip
def test_what_is_no_sensible_number_is_refused(setting):
    with pytest.raises(ConfigError):
        read_tolerances([setting])
