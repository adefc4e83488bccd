import pytest

from edgedistill.errors import ConfigError
from edgedistill.models.layers import layer_map, strategy_map


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        (6, 6, (1, 2, 3, 4, 5, 6)),
        (12, 4, (3, 6, 9, 12)),
        (6, 4, (2, 3, 4, 6)),
        (24, 1, (24,)),
    ],
)
def test_evenly_spread_with_the_last_one(teacher, student, expected):
    assert layer_map(teacher, student) == expected


def test_a_choice_is_kept():
    assert layer_map(6, 2, (1, 6)) == (1, 6)
    assert layer_map(2, 4, (1, 1, 2, 2)) == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 6), "deeper than its teacher of 4"),
        ((6, 2, (1, 2, 3)), "3 entries for 2"),
        ((6, 2, (1, 7)), "no teacher layer 7"),
        ((6, 2, (0, 6)), "no teacher layer 0"),
        ((6, 2, (6, 1)), "must not go back"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        layer_map(*arguments)


@pytest.mark.parametrize(
    ("depths", "strategy", "expected"),
    [
        ((12, 4), "uniform", (3, 6, 9, 12)),
        ((6, 3), "uniform", (2, 4, 6)),
        ((6, 6), "uniform", (1, 2, 3, 4, 5, 6)),
        ((12, 4), "top", (9, 10, 11, 12)),
        ((12, 4), "bottom", (1, 2, 3, 4)),
    ],
)
def test_strategies(depths, strategy, expected):
    assert strategy_map(*depths, strategy) == expected


@pytest.mark.parametrize(("depths", "strategy"), [((6, 8), "uniform"), ((6, 8), "top"), ((6, 8), "bottom")])
def test_no_strategy_for_a_deeper_student(depths, strategy):
    with pytest.raises(ConfigError, match="deeper than its teacher of 6"):
        strategy_map(*depths, strategy)


def test_uneven_depths_are_refused_with_those_that_fit():
    with pytest.raises(ConfigError, match=r"4 layers cannot be spread evenly over the teacher's 6. Set it to 1, 2, 3,"):
        strategy_map(6, 4, "uniform")
