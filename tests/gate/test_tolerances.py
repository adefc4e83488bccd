import pytest

from edgedistill.errors import ConfigError, UnknownNameError
from edgedistill.gate.tolerances import read_tolerances
from edgedistill.quant.schemes import SCHEMES


def test_defaults_are_the_published_ones():
    tolerances, changed = read_tolerances()
    assert changed == {}
    assert (tolerances.fp32_max_abs, tolerances.fp32_relative, tolerances.fp16_relative) == (1e-4, 1e-5, 1e-2)
    assert (tolerances.int8_agreement, tolerances.metric_drop_points, tolerances.teacher_ratio) == (0.98, 1.0, 0.97)
    assert (tolerances.metric_drop_margin, tolerances.teacher_ratio_margin) == (1.0, 0.03)


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="teacher_ratio_margin"):
        read_tolerances(["teacher_ratio_margin=0"])


def test_what_a_device_may_differ_grows_with_the_answers_and_never_below_one():
    tolerances, _ = read_tolerances()
    assert tolerances.device("fp32", [[-20.0], [3.0]]) == pytest.approx(2e-3)
    assert tolerances.device("int8_dynamic", [[0.2]]) == pytest.approx(0.05)


def test_every_scheme_has_a_device_tolerance():
    tolerances, _ = read_tolerances()
    assert all(tolerances.device(name, [[1.0]]) > 0 for name in SCHEMES)


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
