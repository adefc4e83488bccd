"""Losses between answers: temperature KL, its span form, and logit MSE.

Every function returns one scalar: the mean over the rows (or over the valid tokens where there is one answer per
token), so that a weight means the same thing whatever the batch size, length or number of classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgedistill.losses.hidden import masked_mean


def soft_targets(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 1.0,
    *,
    t2_scaling: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """KL(teacher || student) of the softened answers, in nats, averaged over rows.

    KL and not cross entropy: it reads 0, not the teacher's entropy, where student and teacher agree.

    Args:
        student_logits: (B, C), or (B, S, C) with one answer per token.
        teacher_logits: the same shape.
        temperature: divides both sides' logits; above 1 the teacher's small probabilities count more.
        t2_scaling: multiply by temperature squared, which keeps the gradient's size independent of it. Papers
            differ here (Hinton and DistilBERT do, TinyBERT and MT-DNN do not), so it is said, never implied.
        mask: (B, S), non-zero where a token counts; only for answers per token.

    Returns:
        A scalar >= 0.

    Reference: Hinton et al., 2015, section 2.
    Relations: approaches half the `logit_mse` of centred logits at high temperature with `t2_scaling`.
    """
    student = F.log_softmax(student_logits / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=-1)
    per_answer = (teacher.exp() * (teacher - student)).sum(dim=-1)
    mean = per_answer.mean() if mask is None else masked_mean(per_answer, mask)
    return mean * temperature**2 if t2_scaling else mean


def reverse_soft_targets(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(student || teacher), in nats, averaged over rows: it punishes what the student adds, not what it leaves out.

    Args:
        student_logits: (B, C).
        teacher_logits: (B, C).

    Returns:
        A scalar >= 0.

    Reference: Liu et al., 2020 (FastBERT), equation 6.
    Relations: `soft_targets` with its sides exchanged, at temperature 1; the two agree to second order where student
        and teacher are close.
    """
    return soft_targets(teacher_logits, student_logits)


def span_soft_targets(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mask: Tensor,
    temperature: float = 1.0,
    *,
    t2_scaling: bool = True,
) -> Tensor:
    """`soft_targets` for spans: the classes are the positions, and padding is none of them.

    Args:
        student_logits: (B, S, 2), start and end scores.
        teacher_logits: (B, S, 2).
        mask: (B, S), non-zero for real tokens.
        temperature: as in `soft_targets`.
        t2_scaling: as in `soft_targets`.

    Returns:
        A scalar >= 0: nats per boundary, averaged over starts and ends.
    """
    padding = ~mask.bool().unsqueeze(1)
    low = -1e4  # exp(-1e4 / t) is 0 in every dtype, and 0 * (-1e4) stays finite where -inf would give NaN
    return soft_targets(
        student_logits.transpose(1, 2).masked_fill(padding, low * temperature),
        teacher_logits.transpose(1, 2).masked_fill(padding, low * temperature),
        temperature,
        t2_scaling=t2_scaling,
    )


def logit_mse(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared difference of logits, averaged over classes and rows.

    Args:
        student_logits: (B, C), or (B, S, C) with one answer per token.
        teacher_logits: the same shape.
        mask: (B, S), non-zero where a token counts; only for answers per token.

    Returns:
        A scalar >= 0, in squared logits.

    Reference: Ba and Caruana, 2014, section 2.
    Relations: unlike `soft_targets` it also matches what all logits have in common.
    """
    per_answer = (student_logits - teacher_logits).pow(2).mean(dim=-1)
    return per_answer.mean() if mask is None else masked_mean(per_answer, mask)
