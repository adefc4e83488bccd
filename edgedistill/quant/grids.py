"""The grids that numbers are rounded to: exports store the integers, quantization-aware training goes on in float."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-8
"""Lower bound of a row's largest value, so that one of zeros has a scale."""
BLOCK = 32
"""Weights of four bits that share a scale: the smallest block that pays on processors."""
_MOST, _LOWEST, _HIGHEST = 127, -8, 7
_MOST_OF_A_PAIR = 128
"""255 x 128 < 2**15: products of unsigned 8-bit numbers with both weights of a pair add up within 16 bits."""
_WIDER = tuple(float(step) for step in torch.linspace(1.0, 2 * _MOST / _MOST_OF_A_PAIR, 17))
"""Scales that are tried, as multiples of the narrowest; at the last one no pair is beyond."""


def rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric 8 bits with a scale for every row: of a token, an embedding or an output channel.

    Args:
        values: (..., N) float32.

    Returns:
        (..., N) int8 in [-127, 127] and (..., 1) scales: a value is about its integer x scale.
    """
    largest = values.abs().amax(dim=-1, keepdim=True).clamp(min=TINY)
    # By a tensor: a GPU divides by a plain number in another way, which costs a last bit.
    scales = largest / largest.new_tensor(_MOST)
    return (values / scales).round().clamp(-_MOST, _MOST).to(torch.int8), scales


def paired(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric 8 bits with a scale for every output channel, of which no two neighbours add up to more than 128.

    x86 processors without 8-bit dot products multiply unsigned by signed numbers two at a time and add them up in 16
    bits, which saturate in silence (docs/adr/0004). Weights of such pairs are multiplied exactly everywhere. A
    channel's scale is the one of a few that loses least; pairs still beyond it give up the excess, half of it each.

    Args:
        weight: (out, in) float32; inputs 0 and 1 are a pair, 2 and 3, ...

    Returns:
        (out, in) int8 in [-127, 127] and (out, 1) scales: a weight is about its integer x scale.
    """
    narrowest = rows(weight)[1]
    found, scales = _bounded(weight, narrowest), narrowest
    least = _lost(weight, found, scales)
    for wider in _WIDER[1:]:
        tried = narrowest * wider
        integers = _bounded(weight, tried)
        lost = _lost(weight, integers, tried)
        is_better = lost < least
        found, scales = torch.where(is_better, integers, found), torch.where(is_better, tried, scales)
        least = torch.minimum(lost, least)
    return found.to(torch.int8), scales


def _bounded(weight: Tensor, scales: Tensor) -> Tensor:
    """(out, in) whole numbers in float."""
    integers = (weight / scales).round().clamp(-_MOST, _MOST)
    pairs = torch.nn.functional.pad(integers, (0, weight.shape[1] % 2)).reshape(len(weight), -1, 2)
    sums = pairs.sum(dim=2)
    excess = (sums.abs() - _MOST_OF_A_PAIR).clamp(min=0)
    given_up = torch.stack([(excess / 2).floor(), (excess / 2).ceil()], dim=2) * sums.sign()[..., None]
    return (pairs - given_up).flatten(1)[:, : weight.shape[1]]


def _lost(weight: Tensor, integers: Tensor, scales: Tensor) -> Tensor:
    """(out, 1) squared error."""
    return (integers * scales - weight).square().sum(dim=1, keepdim=True)


def blocks(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Four bits in blocks of 32 along the inputs, each with a scale; missing inputs are zeros.

    The value furthest from zero becomes exactly -8, so that all 16 levels are used.

    Args:
        weight: (out, in) float32.

    Returns:
        (out, blocks, 32) int8 in [-8, 7] and (out, blocks, 1) scales, of either sign.
    """
    padded = torch.nn.functional.pad(weight, (0, -weight.shape[1] % BLOCK)).reshape(len(weight), -1, BLOCK)
    furthest = padded.gather(2, padded.abs().argmax(dim=2, keepdim=True))
    scales = torch.where(furthest.abs() < TINY, TINY, furthest / _LOWEST)
    return (padded / scales).round().clamp(_LOWEST, _HIGHEST).to(torch.int8), scales


def in_rows(values: Tensor) -> Tensor:
    """Round to the grid of `rows`, in float."""
    integers, scales = rows(values)
    return integers * scales


def in_pairs(weight: Tensor) -> Tensor:
    """Round to the grid of `paired`, in float."""
    integers, scales = paired(weight)
    return integers * scales


def in_blocks(weight: Tensor) -> Tensor:
    """Round to the grid of `blocks`, in float."""
    integers, scales = blocks(weight)
    return (integers * scales).flatten(1)[:, : weight.shape[1]]
