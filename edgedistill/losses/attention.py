"""Losses between attention distributions, with padding left out as query and as key."""

from __future__ import annotations

from torch import Tensor

from edgedistill.losses.hidden import masked_mean

_SMALLEST = 1e-12  # a probability that underflowed counts as this: at most 28 nats, never infinity


def attention_kl(student_attention: Tensor, teacher_attention: Tensor, mask: Tensor) -> Tensor:
    """KL(teacher || student) of each head's attention, in nats, averaged over heads and real queries.

    KL and not cross entropy, as the paper writes it; the reference code's cross entropy has the same gradient
    but never reaches 0.

    Args:
        student_attention: (B, A, S, S) float, softmaxed over the last axis, before dropout.
        teacher_attention: (B, A, S, S) float, likewise.
        mask: (B, S), non-zero for real tokens.

    Returns:
        A scalar >= 0.

    Reference: Sun et al., 2020 (MobileBERT), section 3.5; weight 1 in the reference code.
    """
    is_real = mask.bool()
    padded_keys = ~is_real[:, None, None, :]
    student = student_attention.masked_fill(padded_keys, 1.0).clamp(min=_SMALLEST)
    teacher = teacher_attention.masked_fill(padded_keys, 1.0).clamp(min=_SMALLEST)
    per_query = (teacher * (teacher.log() - student.log())).sum(dim=-1)
    return masked_mean(per_query.transpose(1, 2), mask)
