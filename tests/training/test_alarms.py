import random

import pytest

from edgedistill.training.alarms import Watch
from edgedistill.training.journal import Line


def line(step, loss=0.5, norm=1.0):
    return Line("distill", step, 0.0, 0.0, 1e-3, loss, {}, norm, 8, 80, 96, {}, None)


@pytest.fixture
def watched(capsys):
    def watched(lines):
        watch = Watch()
        for one in lines:
            watch(one)
        return capsys.readouterr().err

    return watched


def test_a_jump_of_the_loss_is_said_with_what_was_usual(watched):
    said = watched([*(line(step, loss=0.5 + 0.01 * (step % 5)) for step in range(1, 41)), line(41, loss=4.0)])
    assert "distill, step 41: the loss is 4, the median of the 40 steps before it 0.52" in said
    assert "lower learning rate" in said


def test_a_jump_of_the_gradient_is_said(watched):
    said = watched([*(line(step) for step in range(1, 41)), line(41, norm=11.0)])
    assert "step 41: the gradient norm is 11, the median of the 40 steps before it 1" in said


def test_noise_and_a_falling_loss_are_not(watched):
    dice = random.Random(0)
    noisy = [line(step, loss=abs(dice.gauss(0.3, 0.2)), norm=dice.lognormvariate(0, 0.8)) for step in range(1, 400)]
    assert watched(noisy) == ""
    assert watched([line(step, loss=10 * 0.99**step) for step in range(1, 400)]) == ""
    assert watched([line(step, loss=0.0, norm=0.0) for step in range(1, 400)]) == ""


def test_nothing_is_said_too_early_or_too_often(watched):
    assert watched([line(1), line(2), line(3, loss=50.0)]) == ""
    wild = [line(step, loss=9.0 if step > 60 and step % 3 == 0 else 0.5) for step in range(1, 160)]
    assert watched(wild).count("the loss is 9") == 2
