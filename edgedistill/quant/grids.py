"""The grids that numbers are rounded to: exports store the integers, quantization-aware training goes on in float."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-8
"""Lower bound of a row's largest value, so that one of zeros has a scale."""
BLOCK = 32
"""Weights of four bits that share a scale: the smallest block that pays on processors."""
_MOST, _LOWEST, _HIGHEST = 127, -8, 7


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


def in_blocks(weight: Tensor) -> Tensor:
    """Round to the grid of `blocks`, in float."""
    integers, scales = blocks(weight)
    return (integers * scales).flatten(1)[:, : weight.shape[1]]
