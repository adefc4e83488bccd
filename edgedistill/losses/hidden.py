"""Losses between hidden states, and the one masked mean that every loss over tokens uses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_LN_EPS = 1e-12  # BERT's; small enough for the normalised loss not to notice the features' scale


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens; what padding holds, NaN included, changes neither value nor gradient.

    Args:
        values: (B, S) or (B, S, ...) float; trailing axes are averaged too.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar; 0 where no token is real.
    """
    is_real = mask.bool()
    per_token = values.flatten(2).mean(dim=-1) if values.dim() > 2 else values
    kept = per_token.masked_fill(~is_real, 0.0)
    return kept.sum() / is_real.sum().clamp(min=1)


def feature_map(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of layer-normed features: their pattern, whatever their mean and scale.

    Args:
        student_hidden: (B, S, H) float, one layer.
        teacher_hidden: (B, S, H) float, the layer it follows.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar from 0 (same pattern) over 2 (unrelated) to 4 (opposite), per feature.

    Reference: Sun et al., 2020 (MobileBERT), section 3.5; the reference code weighs it 100.
    Relations: blind to a token's mean and variance, which `feature_mean` and `feature_variance` match.
    """
    shape = student_hidden.shape[-1:]
    student = F.layer_norm(_cleared(student_hidden, mask), shape, eps=_LN_EPS)
    teacher = F.layer_norm(_cleared(teacher_hidden, mask), shape, eps=_LN_EPS)
    return masked_mean((student - teacher).pow(2), mask)


def feature_mean(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of each token's mean over its features.

    Args:
        student_hidden: (B, S, H) float, one layer.
        teacher_hidden: (B, S, H) float, the layer it follows (the reference code takes the mean of all layers by
            mistake; here it is the matched one).
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar >= 0, in squared features; the reference code weighs it 5000.
    """
    return masked_mean((student_hidden.mean(-1) - teacher_hidden.mean(-1)).pow(2), mask)


def feature_variance(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """Absolute difference of each token's variance over its features.

    Args:
        student_hidden: (B, S, H) float, one layer.
        teacher_hidden: (B, S, H) float, the layer it follows.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar >= 0, in squared features (absolute, not squared again); the reference code weighs it 5.
    """
    return masked_mean((_variance(student_hidden) - _variance(teacher_hidden)).abs(), mask)


def hidden_mse(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of raw features: pattern, mean and scale at once.

    Args:
        student_hidden: (B, S, H) float, one layer.
        teacher_hidden: (B, S, H) float, the layer it follows.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar >= 0, in squared features.
    """
    return masked_mean((student_hidden - teacher_hidden).pow(2), mask)


def hidden_cosine(student_hidden: Tensor, teacher_hidden: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine between the two vectors of each token.

    Args:
        student_hidden: (B, S, H) float, one layer.
        teacher_hidden: (B, S, H) float, the layer it follows.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar from 0 (same direction) to 2 (opposite).

    Reference: Sanh et al., 2019 (DistilBERT), section 3.
    """
    cosine = F.cosine_similarity(_cleared(student_hidden, mask), _cleared(teacher_hidden, mask), dim=-1)
    return masked_mean(1 - cosine, mask)


def _variance(hidden: Tensor) -> Tensor:
    # Tensor.var takes ten times as long over a last axis of a few hundred numbers on a processor.
    return (hidden - hidden.mean(-1, keepdim=True)).square().mean(-1)


def _cleared(hidden: Tensor, mask: Tensor) -> Tensor:
    # Normalising divides: without this the gradient of NaN padding is 0 * NaN.
    return hidden.masked_fill(~mask.bool().unsqueeze(-1), 0.0)
