"""The soft loss over a teacher's likeliest words (Chen et al., 2020, section 3.2)."""

import math

import pytest
import torch
import torch.nn.functional as F

from edgedistill.data.top_words import top_words
from edgedistill.losses.soft_targets import soft_targets, top_word_targets

FORMS = [(tempers, scales) for tempers in (False, True) for scales in (False, True)]


def drawn(seed=0, tokens=5, vocabulary=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, tokens, vocabulary, dtype=torch.float64, generator=generator).unbind()


def every_word(teacher):
    return torch.arange(teacher.shape[-1]).expand_as(teacher)


def test_worked_by_hand():
    # Teacher: 3/4 and 1/4 of its two likeliest words. Student: 1/2, 1/4, 1/4 of three.
    # KL = 3/4 ln(3/4 / 1/2) + 1/4 ln(1/4 / 1/4) = 0.304099.
    student = torch.tensor([[0.5, 0.25, 0.25]]).log()
    teacher = torch.tensor([[0.75, 0.25]]).log()
    found = top_word_targets(student, torch.tensor([[0, 2]]), teacher)
    assert found.item() == pytest.approx(0.75 * math.log(1.5), abs=1e-6)
    # With a rest as heavy as the two together, the teacher's are 3/8, 1/8 and 1/2; the student's rest is 1/4.
    found = top_word_targets(student, torch.tensor([[0, 2]]), teacher, torch.zeros(1))
    by_hand = 3 / 8 * math.log(3 / 4) + 1 / 8 * math.log(1 / 2) + 1 / 2 * math.log(2)
    assert found.item() == pytest.approx(by_hand, abs=1e-6)


def test_of_all_words_at_temperature_1_it_is_cross_entropy_less_the_teachers_entropy():
    student, teacher = drawn()
    p = teacher.softmax(-1)
    entropy = -(p * p.log()).sum(-1).mean()
    found = top_word_targets(student, every_word(teacher), teacher)
    assert (found + entropy).item() == pytest.approx(F.cross_entropy(student, p).item(), abs=1e-12)
    assert found.item() == pytest.approx(soft_targets(student, teacher).item(), abs=1e-12)
    assert top_word_targets(teacher, every_word(teacher), teacher).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("scales", [False, True])
def test_tempered_on_both_sides_it_is_the_usual_soft_loss(scales):
    student, teacher = drawn()
    found = top_word_targets(student, every_word(teacher), teacher, None, 3.0, temper_student=True, t2_scaling=scales)
    assert found.item() == pytest.approx(soft_targets(student, teacher, 3.0, t2_scaling=scales).item(), abs=1e-12)


@pytest.mark.parametrize(("tempers", "scales"), FORMS)
@pytest.mark.parametrize("has_rest", [False, True])
def test_the_targets_add_up_to_1_at_every_word(tempers, scales, has_rest):
    """The gradient by the logits is (student - target): its sum over the vocabulary is 0 where targets sum to 1."""
    student, teacher = drawn()
    student.requires_grad_()
    best = top_words(teacher, 3, 2.0)
    rest = best.rest.double() if has_rest else None
    loss = top_word_targets(
        student, best.words, best.logits.double(), rest, 2.0, temper_student=tempers, t2_scaling=scales
    )
    loss.backward()
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() > 1e-3
    assert student.grad.sum(-1).abs().max().item() == pytest.approx(0.0, abs=1e-9)


def test_the_rest_is_exact_for_a_student_that_agrees_on_the_words_kept():
    student, teacher = drawn()
    best = top_words(teacher, 3, 2.0)
    words, logits, rest = best.words, best.logits.double(), best.rest.double()
    same = top_word_targets(teacher, words, logits, rest, 2.0, temper_student=True)
    assert same.item() == pytest.approx(0.0, abs=1e-6)
    # Lumping words together can only hide a difference.
    lumped = top_word_targets(student, words, logits, rest, 2.0, temper_student=True)
    assert 0 < lumped.item() <= soft_targets(student, teacher, 2.0, t2_scaling=False).item()


def test_a_rest_of_no_words_changes_nothing():
    student, teacher = drawn()
    student.requires_grad_()
    best = top_words(teacher, 99, 2.0)
    assert best.words.shape == teacher.shape
    with_rest = top_word_targets(student, best.words, best.logits.double(), best.rest.double(), 2.0)
    (gradient,) = torch.autograd.grad(with_rest, student)
    assert torch.isfinite(gradient).all()
    without = top_word_targets(student, best.words, best.logits.double(), None, 2.0)
    assert with_rest.item() == pytest.approx(without.item(), abs=1e-9)


def test_gradient():
    student, teacher = drawn(tokens=2, vocabulary=5)
    best = top_words(teacher, 2, 2.0)
    logits, rest = best.logits.double(), best.rest.double()
    student.requires_grad_()
    for tempers, scales in FORMS:
        how = {"temper_student": tempers, "t2_scaling": scales}
        assert torch.autograd.gradcheck(lambda z: top_word_targets(z, best.words, logits, rest, 2.0, **how), student)  # noqa: B023
