import math

import numpy as np
import pytest
import torch

from edgedistill.losses.soft_targets import logit_mse, reverse_soft_targets, soft_targets, span_soft_targets


def numpy_kl(student, teacher, temperature=1.0):
    softmax = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)  # noqa: E731
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return (p * np.log(p / q)).sum(-1)


def test_worked_by_hand():
    # Teacher (3/4, 1/4), student (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2) = 0.130812 nats; second row agrees: 0.
    teacher = torch.tensor([[math.log(3), 0.0], [1.0, 2.0]])
    student = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    assert soft_targets(student, teacher).item() == pytest.approx(0.130812 / 2, abs=1e-6)


def test_t2_scaling_is_a_factor_of_temperature_squared():
    student, teacher = torch.randn(2, 5, 3).unbind()
    plain = soft_targets(student, teacher, 4.0, t2_scaling=False)
    assert soft_targets(student, teacher, 4.0).item() == pytest.approx(16 * plain.item(), rel=1e-6)


def test_agrees_with_numpy():
    student, teacher = torch.randn(2, 7, 5, dtype=torch.float64).unbind()
    expected = numpy_kl(student.numpy(), teacher.numpy(), 3.0).mean()
    assert soft_targets(student, teacher, 3.0, t2_scaling=False).item() == pytest.approx(expected, abs=1e-12)


def test_does_not_depend_on_batch_size_or_class_count_bookkeeping():
    student, teacher = torch.randn(2, 4, 6, dtype=torch.float64).unbind()
    once = soft_targets(student, teacher)
    twice = soft_targets(student.repeat(2, 1), teacher.repeat(2, 1))
    assert once.item() == pytest.approx(twice.item(), abs=1e-12)
    impossible = torch.full((4, 3), -1e4, dtype=torch.float64)
    wider = soft_targets(torch.cat((student, impossible), 1), torch.cat((teacher, impossible), 1))
    assert once.item() == pytest.approx(wider.item(), abs=1e-12)


def test_invariant_to_a_shift_of_all_logits_where_mse_is_not():
    student, teacher = torch.randn(2, 4, 6, dtype=torch.float64).unbind()
    assert soft_targets(student + 5, teacher).item() == pytest.approx(soft_targets(student, teacher).item(), abs=1e-12)
    assert logit_mse(student + 5, teacher).item() > logit_mse(student, teacher).item() + 1


def test_high_temperature_approaches_half_the_mse_of_centred_logits():
    student, teacher = torch.randn(2, 4, 6, dtype=torch.float64).unbind()
    centred = [z - z.mean(-1, keepdim=True) for z in (student, teacher)]
    assert soft_targets(student, teacher, 1e3).item() == pytest.approx(logit_mse(*centred).item() / 2, rel=5e-3)


@pytest.mark.parametrize("loss", [soft_targets, logit_mse])
def test_lowest_at_the_teacher(loss):
    teacher = torch.randn(4, 3, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max().item() < 1e-12
    assert loss(teacher + 0.1 * torch.randn_like(teacher), teacher).item() > 0


@pytest.mark.parametrize("loss", [soft_targets, logit_mse])
def test_gradient(loss):
    teacher = torch.randn(3, 4, dtype=torch.float64)
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher), (student,))


def test_logit_mse_by_hand():
    # ((1)^2 + (2)^2 + 0 + 0 + 0 + 3^2) / 6
    student = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    assert logit_mse(student, torch.zeros(2, 3)).item() == pytest.approx(14 / 6)


@pytest.mark.parametrize("loss", [soft_targets, logit_mse])
def test_answers_of_padding_are_ignored(loss):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    student, teacher = torch.randn(2, 2, 3, 4).unbind()
    expected = loss(student[mask.bool()], teacher[mask.bool()])
    student[mask == 0] = 1e6
    assert loss(student, teacher, mask=mask).item() == pytest.approx(expected.item(), rel=1e-6)


def test_span_softmax_runs_over_real_positions_only():
    mask = torch.tensor([[1, 1, 0]])
    teacher = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0], [50.0, 50.0]]])
    student = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [-50.0, 70.0]]])
    # Starts: teacher (3/4, 1/4) against (1/2, 1/2); ends agree. Averaged over the two boundaries.
    value = span_soft_targets(student, teacher, mask)
    assert value.item() == pytest.approx(0.130812 / 2, abs=1e-6)


def test_span_gradient_of_padding_is_zero():
    mask = torch.tensor([[1, 1, 0]])
    student = torch.randn(1, 3, 2, requires_grad=True)
    span_soft_targets(student, torch.randn(1, 3, 2), mask, 2.0).backward()
    assert student.grad[0, 2].abs().max().item() == 0
    assert torch.isfinite(student.grad).all()


def test_reverse_worked_by_hand():
    # Student (1/2, 1/2), teacher (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln(2) = 0.143841 nats; second row agrees: 0.
    teacher = torch.tensor([[math.log(3), 0.0], [1.0, 2.0]])
    student = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    assert reverse_soft_targets(student, teacher).item() == pytest.approx(0.143841 / 2, abs=1e-6)


def test_reverse_is_0_for_a_shift_and_has_a_gradient_in_the_student():
    teacher = torch.randn(4, 6, dtype=torch.float64)
    assert reverse_soft_targets(teacher + 5, teacher).item() == pytest.approx(0, abs=1e-12)
    student = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: reverse_soft_targets(s, teacher), (student,))
