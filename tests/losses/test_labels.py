import math

import pytest
import torch

from edgedistill.losses.labels import label_loss, next_sentence_loss, smoothed_word_loss


def test_classes_by_hand():
    # Right class has probability 3/4 and 1/2: (ln(4/3) + ln 2) / 2.
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    for kind in ("single", "pair"):
        assert label_loss(kind, logits, torch.tensor([0, 1])).item() == pytest.approx(math.log(8 / 3) / 2, abs=1e-6)


def test_regression_by_hand():
    assert label_loss("regression", torch.tensor([[1.0], [4.0]]), torch.tensor([2.0, 2.0])).item() == 2.5


def test_span_by_hand():
    # Start at token 0 has probability 3/4 of two; the end is even: (ln(4/3) + ln 2) / 2.
    logits = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0]]])
    assert label_loss("span", logits, torch.tensor([[0, 1]])).item() == pytest.approx(math.log(8 / 3) / 2, abs=1e-6)


def test_tags_ignore_minus_100():
    logits = torch.tensor([[[math.log(3), 0.0], [9.0, 0.0], [0.0, 0.0]]])
    labels = torch.tensor([[0, -100, 1]])
    assert label_loss("tokens", logits, labels).item() == pytest.approx(math.log(8 / 3) / 2, abs=1e-6)


def test_nothing_to_answer_is_zero_not_nan():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    value = label_loss("tokens", logits, torch.full((2, 3), -100))
    value.backward()
    assert value.item() == 0
    assert logits.grad.abs().max().item() == 0


@pytest.mark.parametrize(
    ("kind", "shape", "labels"),
    [
        ("single", (3, 4), torch.tensor([0, 3, 1])),
        ("regression", (3, 1), torch.tensor([0.5, 1.0, -2.0])),
        ("span", (2, 5, 2), torch.tensor([[0, 3], [2, 4]])),
        ("tokens", (2, 3, 4), torch.tensor([[0, 3, -100], [1, -100, -100]])),
    ],
)
def test_gradient(kind, shape, labels):
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: label_loss(kind, z, labels), (logits,))


def test_next_sentence_by_hand():
    # The first pair follows, said with probability 3/4; the second does not, said with 1/2: (ln(4/3) + ln 2) / 2.
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    assert next_sentence_loss(logits, torch.tensor([0, 1])).item() == pytest.approx(math.log(8 / 3) / 2, abs=1e-6)
    assert next_sentence_loss(logits, torch.tensor([1, 1])).item() == pytest.approx(math.log(8) / 2, abs=1e-6)


def test_smoothing_by_hand():
    # Four words of 1/2, 1/4, 1/8, 1/8, the last one padding: 0.9 ln 2 + 0.1 / 2 (ln 4 + ln 8).
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    found = smoothed_word_loss(logits, torch.tensor([0]), 0.1, 3).item()
    assert found == pytest.approx((0.9 + 0.05 * 5) * math.log(2), abs=1e-6)


def test_no_smoothing_is_cross_entropy():
    logits, words = torch.randn(6, 5, dtype=torch.float64), torch.tensor([1, 2, 3, 4, 1, 1])
    plain = torch.nn.functional.cross_entropy(logits, words)
    assert smoothed_word_loss(logits, words, 0.0, 0).item() == pytest.approx(plain.item(), abs=1e-12)


def test_smoothed_gradient_is_the_answer_less_the_softened_label():
    logits = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    smoothed_word_loss(logits, torch.tensor([2]), 0.3, 0).backward()
    softened = torch.tensor([[0.0, 0.1, 0.7, 0.1, 0.1]], dtype=torch.float64)
    assert torch.allclose(logits.grad, logits.detach().softmax(-1) - softened, atol=1e-12)
