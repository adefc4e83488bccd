import numpy as np
import pytest
import torch

from edgedistill.losses.hidden import (
    feature_map,
    feature_mean,
    feature_variance,
    hidden_cosine,
    hidden_mse,
    masked_mean,
)

LOSSES = [feature_map, feature_mean, feature_variance, hidden_mse, hidden_cosine]
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])


def normalised(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)


NUMPY = {
    feature_map: lambda s, t: ((normalised(s) - normalised(t)) ** 2).mean(-1),
    feature_mean: lambda s, t: (s.mean(-1) - t.mean(-1)) ** 2,
    feature_variance: lambda s, t: np.abs(s.var(-1) - t.var(-1)),
    hidden_mse: lambda s, t: ((s - t) ** 2).mean(-1),
    hidden_cosine: lambda s, t: 1 - (s * t).sum(-1) / np.linalg.norm(s, axis=-1) / np.linalg.norm(t, axis=-1),
}


def pair(dtype=torch.float64):
    return torch.randn(2, 2, 4, 5, dtype=dtype).unbind()


def test_masked_mean_by_hand():
    values = torch.tensor([[1.0, 2.0, 99.0], [3.0, 99.0, 99.0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert masked_mean(values, mask).item() == 2.0
    assert masked_mean(values, torch.zeros(2, 3)).item() == 0.0


def test_masked_mean_averages_trailing_axes():
    values = torch.tensor([[[1.0, 3.0], [7.0, 7.0]]])
    assert masked_mean(values, torch.tensor([[1, 0]])).item() == 2.0


def test_worked_by_hand():
    # One real token each. Student (0, 2): mean 1, variance 1, normalised (-1, 1). Teacher (3, 1): 2, 1, (1, -1).
    student, teacher = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[3.0, 1.0]]])
    one = torch.ones(1, 1)
    assert feature_map(student, teacher, one).item() == pytest.approx(4.0)
    assert feature_mean(student, teacher, one).item() == pytest.approx(1.0)
    assert feature_variance(student, teacher, one).item() == pytest.approx(0.0)
    assert feature_variance(2 * student, teacher, one).item() == pytest.approx(3.0)
    assert hidden_mse(student, teacher, one).item() == pytest.approx(5.0)
    assert hidden_cosine(student, teacher, one).item() == pytest.approx(1 - 2 / (2 * 10**0.5))


@pytest.mark.parametrize("loss", LOSSES)
def test_agrees_with_numpy(loss):
    student, teacher = pair()
    expected = NUMPY[loss](student.numpy(), teacher.numpy())[MASK.bool().numpy()].mean()
    assert loss(student, teacher, MASK).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient(loss):
    student, teacher = pair()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, MASK), (student.requires_grad_(),))


@pytest.mark.parametrize("filler", [1e6, float("nan"), float("inf")])
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_is_ignored_whatever_it_holds(loss, filler):
    student, teacher = pair()
    expected = loss(student, teacher, MASK).item()
    student[MASK == 0] = filler
    student.requires_grad_()
    value = loss(student, teacher, MASK)
    value.backward()
    assert value.item() == expected
    assert torch.isfinite(student.grad[MASK == 1]).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_and_lowest_at_the_teacher(loss):
    _, teacher = pair()
    assert loss(teacher.clone(), teacher, MASK).item() == pytest.approx(0, abs=1e-12)
    assert loss(teacher + 0.1 * torch.randn_like(teacher), teacher, MASK).item() > 0


def test_normalised_term_ignores_shift_and_positive_scale_where_the_statistics_do_not():
    student, teacher = pair()
    other = 3.0 * student + 2.0
    same = feature_map(student, teacher, MASK).item()
    assert feature_map(other, teacher, MASK).item() == pytest.approx(same, abs=1e-9)
    assert feature_mean(other, teacher, MASK).item() != pytest.approx(feature_mean(student, teacher, MASK).item())
    assert feature_variance(other, teacher, MASK).item() != pytest.approx(
        feature_variance(student, teacher, MASK).item()
    )


def test_opposite_features_are_4_apart():
    student, _ = pair()
    assert feature_map(-student, student, MASK).item() == pytest.approx(4.0, abs=1e-6)
