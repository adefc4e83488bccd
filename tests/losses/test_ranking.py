import math

import pytest
import torch
import torch.nn.functional as F

from edgedistill.losses.labels import label_loss
from edgedistill.losses.ranking import by_question, candidate_probabilities, ranking_loss, ranking_soft_targets

QUESTIONS = torch.tensor([7, 7, 7, 2, 2])
LABELS = torch.tensor([0, 1, 0, 1, 0])


def scores(seed=0):
    return torch.randn(5, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_questions_candidates_are_one_row():
    found = by_question(torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), QUESTIONS)
    assert found.shape == (2, 3)
    assert found[:, :2].tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert found.softmax(dim=-1)[1, 2] == 0.0


def test_worked_by_hand():
    # Odds 1 : 2 : 1 and 3 : 1, so the right ones have 1/2 and 3/4.
    given = torch.tensor([[0.0], [math.log(2)], [0.0], [math.log(3)], [0.0]], dtype=torch.float64)
    wanted = (math.log(2) + math.log(4 / 3)) / 2
    assert ranking_loss(given, LABELS, QUESTIONS).item() == pytest.approx(wanted, rel=1e-9)
    assert label_loss("ranking", given, LABELS, QUESTIONS).item() == pytest.approx(wanted, rel=1e-9)


def test_is_the_cross_entropy_over_candidates():
    given = scores()
    table = by_question(given, QUESTIONS)
    wanted = F.cross_entropy(table, torch.tensor([1, 0]))
    torch.testing.assert_close(ranking_loss(given, LABELS, QUESTIONS), wanted)


def test_two_right_candidates_share_the_probability():
    given = torch.zeros(5, 1, dtype=torch.float64)
    found = ranking_loss(given, torch.tensor([1, 1, 0, 1, 0]), QUESTIONS)
    assert found.item() == pytest.approx((math.log(3 / 2) + math.log(2)) / 2)


def test_what_all_candidates_have_in_common_does_not_count():
    given, other = scores(), scores(1)
    moved = given + torch.tensor([[5.0]] * 3 + [[-2.0]] * 2, dtype=torch.float64)
    for loss in (lambda s: ranking_loss(s, LABELS, QUESTIONS), lambda s: ranking_soft_targets(s, other, QUESTIONS)):
        torch.testing.assert_close(loss(given), loss(moved))


def test_equal_answers_and_sure_teachers():
    given = scores()
    assert ranking_soft_targets(given, 3 + given, QUESTIONS).item() == pytest.approx(0.0, abs=1e-12)
    sure = 200.0 * LABELS.double().unsqueeze(-1)
    torch.testing.assert_close(
        ranking_soft_targets(given, sure, QUESTIONS), ranking_loss(given, LABELS, QUESTIONS), rtol=1e-9, atol=1e-9
    )


def test_probabilities_add_up_question_by_question():
    found = candidate_probabilities(scores(), QUESTIONS)
    assert found.shape == (5, 1)
    assert [found[:3].sum().item(), found[3:].sum().item()] == pytest.approx([1.0, 1.0], abs=1e-9)


def test_a_question_alone_has_the_same_loss_as_beside_a_longer_one():
    given = scores()
    parts = [ranking_loss(given[part], LABELS[part], QUESTIONS[part]) for part in (slice(0, 3), slice(3, 5))]
    torch.testing.assert_close(ranking_loss(given, LABELS, QUESTIONS), torch.stack(parts).mean())


def test_gradients_are_the_differences_of_probabilities():
    given = scores().requires_grad_()
    ranking_loss(given, LABELS, QUESTIONS).backward()
    wanted = (candidate_probabilities(given.detach(), QUESTIONS) - LABELS.unsqueeze(-1)) / 2
    torch.testing.assert_close(given.grad, wanted)
