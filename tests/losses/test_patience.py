import pytest
import torch

from edgedistill.losses.hidden import hidden_cosine
from edgedistill.losses.patience import patience


def pair(rows=3, layers=2, width=5):
    return torch.randn(2, rows, layers, width, dtype=torch.float64).unbind()


def test_worked_by_hand():
    # Directions (0.6, 0.8) and (1, 0): 0.16 + 0.64 = 0.8. The second layer agrees: 0. Mean over the two layers: 0.4.
    student = torch.tensor([[[3.0, 4.0], [0.0, 5.0]]])
    teacher = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    assert patience(student, teacher).item() == pytest.approx(0.4)


def test_only_directions_count():
    student, teacher = pair()
    expected = patience(student, teacher).item()
    scales = torch.rand(2, 3, 2, 1, dtype=torch.float64) * 100 + 1e-3
    assert patience(student * scales[0], teacher * scales[1]).item() == pytest.approx(expected, abs=1e-12)


def test_gradient_is_orthogonal_to_the_states():
    student, teacher = pair()
    patience(student.requires_grad_(), teacher).backward()
    assert student.grad.norm() > 1e-3
    assert (student.grad * student).sum(-1).abs().max().item() < 1e-15


def test_from_0_for_the_same_to_4_for_opposite_directions():
    student, teacher = pair(rows=1000, layers=1)
    each = torch.stack([patience(s[None], t[None]) for s, t in zip(student, teacher, strict=True)])
    assert each.min().item() > 0
    assert each.max().item() < 4
    assert patience(3 * teacher, teacher).item() == pytest.approx(0, abs=1e-15)
    assert patience(-3 * teacher, teacher).item() == pytest.approx(4)


def test_a_state_of_length_0_counts_1_and_gets_no_gradient():
    student, teacher = pair(rows=2, layers=1)
    student[0] = 0
    assert patience(student[:1], teacher[:1]).item() == pytest.approx(1)
    patience(student.requires_grad_(), teacher).backward()
    assert student.grad[0].abs().max().item() == 0
    assert 0 < student.grad[1].abs().max().item() < 10


def test_means_the_same_whatever_the_batch_and_the_layers():
    student, teacher = pair()
    expected = patience(student, teacher).item()
    assert patience(student.repeat(2, 3, 1), teacher.repeat(2, 3, 1)).item() == pytest.approx(expected, abs=1e-15)


def test_is_twice_the_cosine_distance():
    student, teacher = pair()
    every = torch.ones(3, 2)
    assert patience(student, teacher).item() == pytest.approx(2 * hidden_cosine(student, teacher, every).item())


def test_gradient():
    student, teacher = pair()
    assert torch.autograd.gradcheck(lambda s: patience(s, teacher), (student.requires_grad_(),))
