import pytest

from edgedistill.errors import ConfigError
from edgedistill.models.layers import layer_map, spread_layers


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
    ("teacher", "student", "layers"),
    [
        (12, 6, (1, 3, 5, 8, 10, 12)),
        (6, 3, (1, 3, 6)),
        (24, 6, (1, 6, 10, 15, 19, 24)),
        (4, 4, (1, 2, 3, 4)),
        (6, 1, (6,)),
    ],
)
def test_copied_layers_reach_from_the_first_to_the_last(teacher, student, layers):
    assert spread_layers(teacher, student) == layers
