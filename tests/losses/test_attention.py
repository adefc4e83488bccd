import numpy as np
import pytest
import torch

from edgedistill.losses.attention import attention_kl, score_mse

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])


def attention(mask=MASK, heads=3, seed=0, dtype=torch.float64):
    scores = torch.randn(*mask.shape[:1], heads, mask.shape[1], mask.shape[1], dtype=dtype)
    return scores.masked_fill(mask[:, None, None, :] == 0, float("-inf")).softmax(-1)


def test_worked_by_hand():
    # Query 1: teacher (3/4, 1/4), student (1/2, 1/2): 0.130812 nats. Query 2 agrees. Mean over two queries.
    teacher = torch.tensor([[[[0.75, 0.25], [0.5, 0.5]]]])
    student = torch.full((1, 1, 2, 2), 0.5)
    assert attention_kl(student, teacher, torch.ones(1, 2)).item() == pytest.approx(0.130812 / 2, abs=1e-6)


def test_agrees_with_numpy():
    student, teacher = attention(), attention()
    values = []
    for row, length in enumerate((3, 2)):
        for head in range(3):
            for query in range(length):
                p = teacher[row, head, query, :length].numpy()
                q = student[row, head, query, :length].numpy()
                values.append((row, (p * np.log(p / q)).sum()))
    expected = np.mean([value for _, value in values])  # every head has the same queries: one mean over all
    assert attention_kl(student, teacher, MASK).item() == pytest.approx(expected, abs=1e-9)


def test_gradient():
    teacher = attention()
    scores = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    hard = MASK[:, None, None, :] == 0
    assert torch.autograd.gradcheck(
        lambda z: attention_kl(z.masked_fill(hard, -1e9).softmax(-1), teacher, MASK), (scores,)
    )


def test_padding_is_ignored_as_query_and_as_key():
    student, teacher = attention(), attention()
    expected = attention_kl(student, teacher, MASK).item()
    student[0, :, 3, :] = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    student[0, :, :, 3] = float("nan")
    student[1, :, :, 2:] = 0.7
    assert attention_kl(student, teacher, MASK).item() == expected


def test_zero_and_lowest_at_the_teacher():
    teacher = attention()
    assert attention_kl(teacher.clone(), teacher, MASK).item() == pytest.approx(0, abs=1e-12)
    assert attention_kl(attention(), teacher, MASK).item() > 0


def test_a_probability_that_underflowed_gives_a_large_finite_loss():
    teacher = torch.tensor([[[[0.5, 0.5], [0.5, 0.5]]]])
    student = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]], requires_grad=True)
    value = attention_kl(student, teacher, torch.ones(1, 2))
    value.backward()
    assert 10 < value.item() < 28
    assert torch.isfinite(student.grad).all()


def test_gradient_is_that_of_the_cross_entropy():
    teacher = attention()
    scores = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    student = scores.masked_fill(MASK[:, None, None, :] == 0, -1e9).softmax(-1)
    (kl,) = torch.autograd.grad(attention_kl(student, teacher, MASK), scores, retain_graph=True)
    entropy = -(teacher * student.clamp(min=1e-12).log()).sum(-1).transpose(1, 2).mean(-1)
    (ce,) = torch.autograd.grad(entropy[MASK.bool()].mean(), scores)
    assert torch.allclose(kl, ce, atol=1e-12)


def scores(mask=MASK, heads=3):
    return torch.randn(mask.shape[0], heads, mask.shape[1], mask.shape[1], dtype=torch.float64)


def test_scores_worked_by_hand():
    # One head, two real tokens: differences 1, 0, 2, -1, squared 1 + 0 + 4 + 1, over 4 pairs. The third is padding.
    student = torch.zeros(1, 1, 3, 3)
    teacher = torch.tensor([[[[-1.0, 0.0, 9.0], [-2.0, 1.0, 9.0], [9.0, 9.0, 9.0]]]])
    assert score_mse(student, teacher, torch.tensor([[1, 1, 0]])).item() == 1.5
    # As the reference counts: padded keys are 0 on both sides, the padded query's two real keys are 81 each, over 9.
    value = score_mse(student, teacher, torch.tensor([[1, 1, 0]]), counts_padding=True)
    assert value.item() == pytest.approx((6 + 2 * 81) / 9)


def test_scores_agree_with_numpy():
    student, teacher = scores(), scores()
    squares = [
        (student - teacher)[row, :, :length, :length].square().mean(0).flatten() for row, length in enumerate((3, 2))
    ]
    expected = torch.cat(squares).mean().item()
    assert score_mse(student, teacher, MASK).item() == pytest.approx(expected, abs=1e-12)


def test_score_gradient_is_zero_at_padding():
    student, teacher = scores().requires_grad_(), scores()
    assert torch.autograd.gradcheck(lambda z: score_mse(z, teacher, MASK), (student,))
    score_mse(student, teacher, MASK).backward()
    is_real = MASK.bool()
    pairs = (is_real[:, None, :, None] & is_real[:, None, None, :]).expand_as(student)
    assert (student.grad[~pairs] == 0).all()
    assert (student.grad[pairs] != 0).all()


def test_more_padding_changes_no_score_loss():
    student, teacher = scores(), scores()
    expected = score_mse(student, teacher, MASK).item()
    wider = [torch.nn.functional.pad(each, (0, 3, 0, 3), value=float("nan")) for each in (student, teacher)]
    assert score_mse(*wider, torch.nn.functional.pad(MASK, (0, 3))).item() == pytest.approx(expected, abs=1e-12)


def test_scores_may_be_shifted_together_and_not_alone():
    student, teacher = scores(), scores()
    expected = score_mse(student, teacher, MASK).item()
    assert score_mse(student + 3, teacher + 3, MASK).item() == pytest.approx(expected, abs=1e-12)
    assert abs(score_mse(student + 3, teacher, MASK).item() - expected) > 1
    assert score_mse(teacher.clone(), teacher, MASK).item() == 0


def test_other_numbers_of_heads_compare_their_means():
    teacher = scores(heads=4)
    student = teacher.mean(dim=1, keepdim=True).repeat(1, 3, 1, 1)
    assert score_mse(student, teacher, MASK).item() == pytest.approx(0, abs=1e-12)
    assert score_mse(student + 1, teacher, MASK).item() == pytest.approx(1)
