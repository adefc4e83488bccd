import math
from itertools import pairwise

import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.errors import ConfigError
from edgedistill.models.answers import answer
from edgedistill.models.early_exit import answer_early, uncertainty
from tests.models.test_fastbert import made, tokens


@pytest.fixture(scope="module")
def model():
    """The deeper the classifier, the more certain it is, so that every layer has its texts."""
    torch.manual_seed(0)
    model = made().double()
    with torch.no_grad():
        for own, factor in zip(model.exits, (1.0, 4.0, 16.0, 16.0), strict=True):
            own.classifier.weight.mul_(factor)
            own.classifier.bias.zero_()
    return model


@pytest.fixture(scope="module")
def speeds(model):
    """From never to at once, and where this model's uncertainties lie."""
    with torch.no_grad():
        found = uncertainty(model.exit_logits(tokens(24)))[:, :-1].flatten()
    return [0.0, *(found.quantile(torch.linspace(0.05, 0.95, 7, dtype=found.dtype)) + 1e-6).tolist(), 1.01]


def one(encoded, row):
    """A text alone, without padding."""
    length = int(encoded.attention_mask[row].sum())
    return Encoded(*(tensor[row : row + 1, :length] for tensor in vars(encoded).values()))


@pytest.mark.parametrize("classes", [2, 3, 150])
def test_uncertainty_is_1_for_uniform_and_0_for_one_hot(classes):
    assert uncertainty(torch.full((1, classes), 3.0)).item() == pytest.approx(1.0, abs=1e-5)
    certain = torch.zeros(1, classes)
    certain[0, 1] = 1e4  # the other probabilities are 0 exactly
    assert uncertainty(certain).item() == pytest.approx(0.0, abs=1e-5)


def test_uncertainty_worked_by_hand():
    # (3/4, 1/4): 3/4 log2(4/3) + 1/4 log2(4) = 0.811278 of 1 bit.
    assert uncertainty(torch.tensor([[math.log(3), 0.0]])).item() == pytest.approx(0.811278, abs=1e-6)


def test_uncertainty_does_not_know_the_classes_order_or_a_shift():
    logits = torch.randn(5, 4, dtype=torch.float64)
    assert torch.allclose(uncertainty(logits), uncertainty(logits[:, [2, 0, 3, 1]] + 7.0), atol=1e-12)


def test_speed_0_is_the_model_itself_bit_for_bit_one_at_a_time():
    model, encoded = made(), tokens(12)
    for row in range(12):
        alone = one(encoded, row)
        found = answer_early(model, alone, speed=0.0)
        with torch.no_grad():
            assert torch.equal(found.logits, answer(model, alone).logits)
        assert found.layers.tolist() == [4]


def test_speed_above_1_leaves_at_the_first_layer(model):
    found = answer_early(model, tokens(), speed=1.01)
    assert found.layers.tolist() == [1] * 6
    assert torch.allclose(found.logits, model.exit_logits(tokens())[:, 0], atol=1e-12)


def test_a_text_does_not_notice_its_company(model, speeds):
    encoded = tokens(24)
    for speed in speeds:
        together = answer_early(model, encoded, speed)
        for row in range(24):
            alone = answer_early(model, one(encoded, row), speed)
            assert alone.layers.item() == together.layers[row].item()
            assert torch.allclose(alone.logits[0], together.logits[row], atol=1e-9)


def test_texts_leave_at_different_layers_and_sooner_the_higher_the_speed(model, speeds):
    found = [answer_early(model, tokens(24), speed).layers for speed in speeds]
    assert len({*torch.stack(found).flatten().tolist()}) == 4, "the test says little if no text leaves in between"
    assert any(len({*layers.tolist()}) > 2 for layers in found)
    for slower, faster in pairwise(found):
        assert bool((faster <= slower).all())


def test_each_answer_is_the_first_certain_classifiers(model, speeds):
    encoded, speed = tokens(24), speeds[4]
    with torch.no_grad():
        every = model.exit_logits(encoded)
    found = answer_early(model, encoded, speed)
    for row, layer in enumerate(found.layers.tolist()):
        unsure = uncertainty(every[row])
        assert all(value >= speed for value in unsure[: layer - 1])
        assert layer == 4 or unsure[layer - 1] < speed
        assert torch.allclose(found.logits[row], every[row, layer - 1], atol=1e-9)


def test_only_open_texts_go_on(model, speeds, monkeypatch):
    seen = []
    layer = model.layer
    monkeypatch.setattr(
        model, "layer", lambda number, hidden, mask: seen.append(tuple(mask.shape)) or layer(number, hidden, mask)
    )
    encoded = tokens(24)
    found = answer_early(model, encoded, speeds[4])
    for number, (rows, width) in enumerate(seen, start=1):
        is_open = found.layers >= number
        assert rows == int(is_open.sum())
        assert width == int(encoded.attention_mask[is_open].sum(dim=1).max()) or rows == 24


def test_its_own_speed_is_the_default(model):
    model.config.speed = 1.01
    assert answer_early(model, tokens()).layers.tolist() == [1] * 6
    model.config.speed = 0.0
    assert answer_early(model, tokens()).layers.tolist() == [4] * 6


@pytest.mark.parametrize("speed", [-0.1, float("nan")])
def test_a_speed_that_means_nothing_is_refused(model, speed):
    with pytest.raises(ConfigError, match="is no uncertainty"):
        answer_early(model, tokens(), speed)
