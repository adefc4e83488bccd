"""Smoothing before the conversion: nothing changes in exact arithmetic, and integer products lose less."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.models.views import view_of
from edgedistill.quant.torch_smoothing import Smoothed, smoothed
from tests.targets.test_onnx import batch_for, lively

BY_NORM = {"bert": 8, "electra": 7, "albert": 1, "mobilebert": 0}
"""Linears of two layers that read a LayerNorm: query, key, value and the first of the feed-forward. ELECTRA's
first layer reads a projection of one; ALBERT's one layer is shared; MobileBERT has no LayerNorm."""


@pytest.fixture
def texts():
    inputs = batch_for(lively(layers=1))
    return [{name: value[row : row + 1] for name, value in inputs.items()} for row in range(6)]


def answers(piece, texts):
    with torch.inference_mode():
        return torch.stack([piece(**{n: torch.from_numpy(t[n]) for n in piece.input_names})[0] for t in texts])


@pytest.mark.parametrize("family", sorted(BY_NORM))
def test_exact_arithmetic_gives_the_same_and_the_given_model_is_untouched(family, texts):
    piece = view_of(lively(family, layers=2, hidden=32)).pieces[0].eval()
    before = copy.deepcopy(piece.state_dict())
    made = smoothed(piece, texts)
    wrapped = [name for name, module in made.named_modules() if isinstance(module, Smoothed)]
    assert len(wrapped) >= BY_NORM[family]
    assert bool(wrapped) == bool(BY_NORM[family])
    torch.testing.assert_close(answers(made, texts), answers(piece, texts), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in piece.state_dict().items())


def test_integer_products_lose_less_where_a_channel_is_large(texts):
    piece = view_of(lively("bert", layers=2, hidden=64)).pieces[0].eval()
    for name, module in piece.named_modules():
        if isinstance(module, nn.LayerNorm) and "output" in name:
            module.weight.data[3] *= 60
    right = answers(piece, texts)
    plain, better = (float((answers(rounded(each), texts) - right).norm()) for each in (piece, smoothed(piece, texts)))
    assert better < 0.7 * plain


def rounded(piece):
    """Every linear reads eight bits a token, as LiteRT's do."""
    piece = copy.deepcopy(piece)

    def eight_bits(_module, given):
        low, high = (edge(given[0], -1, keepdim=True) for edge in (torch.amin, torch.amax))
        scale = (high.clamp(min=0) - low.clamp(max=0)) / 255 + np.finfo(np.float32).tiny
        return (given[0] / scale).round() * scale

    for module in piece.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(eight_bits)
    return piece
