"""The patient loss: which way a text's states point, layer by layer, whatever their length."""

from __future__ import annotations

import torch
from torch import Tensor

_SHORTEST = 1e-12


def patience(student_cls: Tensor, teacher_cls: Tensor) -> Tensor:
    """Squared distance between the directions of matched [CLS] states.

    Args:
        student_cls: (B, M, H) float, the states after M student layers.
        teacher_cls: (B, M, H) float, after the teacher layers they follow.

    Returns:
        A scalar from 0 (same direction) over 2 (unrelated) to 4 (opposite): summed over features, averaged over layers
        and rows. A state of length 0 has no direction: it counts 1 against any other and gets no gradient.

    Reference: Sun et al., 2019 (Patient KD), section 3.2, which sums over the layers: M times this value.
    The reference code averages over the features too: this value divided by H.
    Relations: 2 - 2 cos, twice `hidden_cosine` of the first tokens.
    """
    return (_directions(student_cls) - _directions(teacher_cls)).pow(2).sum(dim=-1).mean()


def _directions(states: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    has_none = lengths < _SHORTEST
    # Dividing by a tiny constant instead would give a state of 0 a gradient of 1e12.
    return (states / lengths.masked_fill(has_none, 1.0)).masked_fill(has_none, 0.0)
