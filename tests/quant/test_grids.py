"""Pairs of weights that no processor saturates at."""

import pytest
import torch

from edgedistill.quant.grids import in_pairs, in_rows, paired


def lost(weight, rounded):
    return float((rounded - weight).norm() / weight.norm())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_no_pair_is_beyond_what_16_bits_hold(size):
    weight = torch.randn(9, size, generator=torch.Generator().manual_seed(size))
    weight[0], weight[1] = 1.0, -2.0
    integers, scales = paired(weight)
    assert (integers.shape, integers.dtype, scales.shape) == ((9, size), torch.int8, (9, 1))
    whole = torch.nn.functional.pad(integers.int(), (0, size % 2))
    assert int(whole.reshape(9, -1, 2).sum(2).abs().max()) * 255 < 2**15
    assert lost(weight[:2], integers[:2] * scales[:2]) < 1e-6, "equal weights are stored exactly"


def test_it_costs_less_than_half_a_bit():
    """Seven bits, which no processor saturates at either, double the error."""
    weight = torch.randn(128, 384, generator=torch.Generator().manual_seed(0))
    assert lost(weight, in_pairs(weight)) < 1.45 * lost(weight, in_rows(weight))


def test_weights_whose_pairs_fit_lose_no_more_than_alone():
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    weight[:, 1::2] *= -weight[:, 1::2].sign() * weight[:, ::2].sign()  # of other signs: no pair adds up
    rows_lost, pairs_lost = ((rounded - weight).norm(dim=1) for rounded in (in_rows(weight), in_pairs(weight)))
    assert (pairs_lost <= rows_lost).all()


def test_zeros_stay_zeros_and_a_pair_shares_what_there_is():
    assert not paired(torch.zeros(2, 4))[0].any()
    weight = torch.full((1, 4000), 0.1)
    weight[0, ::2] *= -1
    weight[0, :2] = 1.0
    integers, scales = paired(weight)
    assert integers[0, :2].tolist() == [64, 64], "both give up as much"
    assert float(scales) < 1 / 64, "two of 4000 do not coarsen the others to where they are right themselves"
