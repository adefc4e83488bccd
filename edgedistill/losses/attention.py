"""Losses between attentions, as distributions or as scores, with padding left out as query and as key."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgedistill.losses.hidden import masked_mean

_SMALLEST = 1e-12  # a probability that underflowed counts as this: at most 28 nats, never infinity


def attention_kl(
    student_attention: Tensor, teacher_attention: Tensor, mask: Tensor, *, adds_entropy: bool = False
) -> Tensor:
    """KL(teacher || student) of each head's attention, in nats, averaged over heads and real queries.

    KL and not cross entropy, as the paper writes it; the reference code's cross entropy has the same gradient
    but never reaches 0.

    Args:
        student_attention: (B, A, S, S) float, softmaxed over the last axis, before dropout.
        teacher_attention: (B, A, S, S) float, likewise.
        mask: (B, S), non-zero for real tokens.
        adds_entropy: the cross entropy of the reference code instead.

    Returns:
        A scalar >= 0.

    Reference: Sun et al., 2020 (MobileBERT), section 3.5; weight 1 in the reference code.
    """
    is_real = mask.bool()
    padded_keys = ~is_real[:, None, None, :]
    student = student_attention.masked_fill(padded_keys, 1.0).clamp(min=_SMALLEST)
    teacher = teacher_attention.masked_fill(padded_keys, 1.0).clamp(min=_SMALLEST)
    floor = 0.0 if adds_entropy else teacher.log()
    per_query = (teacher * (floor - student.log())).sum(dim=-1)
    return masked_mean(per_query.transpose(1, 2), mask)


def score_mse(student_scores: Tensor, teacher_scores: Tensor, mask: Tensor, *, counts_padding: bool = False) -> Tensor:
    """Squared difference of attention scores before the softmax, averaged over heads and pairs of real tokens.

    Where the two have different numbers of heads, each side's mean over its heads is compared instead.

    Args:
        student_scores: (B, A, S, S) float, scaled by the square root of the head's width, without the mask's term.
        teacher_scores: (B, A', S, S) float, likewise.
        mask: (B, S), non-zero for real tokens.
        counts_padding: as in the reference code: padded keys count as 0 on both sides and padded queries as they are,
            and all S * S pairs are averaged, so that the value depends on how far the batch is padded.

    Returns:
        A scalar >= 0, in squared scores; 0 where no token is real.

    Reference: Jiao et al., 2020 (TinyBERT), section 3.1, equation 7.
    Relations: unlike `attention_kl` it also matches what all scores of a query have in common, which no softmax sees.
    """
    student, teacher = student_scores, teacher_scores
    if student.shape[1] != teacher.shape[1]:
        student, teacher = (scores.mean(dim=1, keepdim=True) for scores in (student, teacher))
    is_real = mask.bool()
    keys = is_real[:, None, None, :]
    if counts_padding:
        return F.mse_loss(student.masked_fill(~keys, 0.0), teacher.masked_fill(~keys, 0.0))
    pairs = keys & is_real[:, None, :, None]
    # Cleared before the difference: what padding holds, NaN included, reaches neither value nor gradient.
    difference = student.masked_fill(~pairs, 0.0) - teacher.masked_fill(~pairs, 0.0)
    return difference.square().mean(dim=1).sum() / pairs.sum().clamp(min=1)
