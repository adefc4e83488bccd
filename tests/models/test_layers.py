import pytest

from edgedistill.errors import ConfigError
from edgedistill.models.layers import layer_map, patient_layers, spread_layers, strategy_map


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
    ("teacher", "student", "skip", "last"),
    [
        (12, 6, (2, 4, 6, 8, 10), (7, 8, 9, 10, 11)),  # the paper's two sets
        (12, 3, (4, 8), (10, 11)),
        (24, 6, (4, 8, 12, 16, 20), (19, 20, 21, 22, 23)),
        (24, 3, (8, 16), (22, 23)),
        (6, 3, (2, 4), (4, 5)),
        (4, 2, (2,), (3,)),
        (12, 5, (2, 4, 7, 9), (8, 9, 10, 11)),
        (2, 1, (), ()),
    ],
)
def test_patient_layers(teacher, student, skip, last):
    assert patient_layers(teacher, student, "skip") == skip
    assert patient_layers(teacher, student, "last") == last


def test_patient_layers_are_one_fewer_than_the_students_and_never_the_last():
    for teacher in range(2, 25):
        for student in range(1, teacher):
            for strategy in ("skip", "last"):
                found = patient_layers(teacher, student, strategy)
                assert len(set(found)) == student - 1
                assert list(found) == sorted(found)
                assert set(found) <= set(range(1, teacher))


def test_patient_layers_can_be_chosen():
    assert patient_layers(12, 3, "skip", (10, 11)) == (10, 11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 6, "skip"), "6 layers is not shallower than its teacher of 6. Set num_layers to at most 5"),
        ((6, 7, "last"), "not shallower"),
        ((1, 1, "last"), "Give a deeper teacher"),
        ((12, 3, "skip", (4, 8, 12)), "3 entries for 2 student layers .the last one follows none"),
        ((12, 3, "skip", (4, 13)), "no teacher layer 13"),
        ((12, 3, "skip", (0, 4)), "no teacher layer 0"),
        ((12, 3, "skip", (4, 12)), "12 is the teacher's last layer"),
        ((12, 3, "skip", (8, 4)), "must not go back"),
    ],
)
def test_patient_layers_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        patient_layers(*arguments)


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
