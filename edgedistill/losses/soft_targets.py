"""Losses between answers: temperature KL, its span form, and logit MSE.

Every function returns one scalar: the mean over the rows (or over the valid tokens where there is one answer per
token), so that a weight means the same thing whatever the batch size, length or number of classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, cat

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


def top_word_targets(
    student_logits: Tensor,
    words: Tensor,
    teacher_logits: Tensor,
    rest: Tensor | None = None,
    temperature: float = 1.0,
    *,
    temper_student: bool = False,
    t2_scaling: bool = False,
) -> Tensor:
    """KL(teacher || student) where of the teacher only the K likeliest words are known, in nats per token.

    The student's probabilities are over its whole vocabulary, so that words the teacher does not name cost it.

    Args:
        student_logits: (N, V), one row for each word to be written.
        words: (N, K) int64, the teacher's likeliest.
        teacher_logits: (N, K).
        rest: (N,), the logarithm of the sum of exp(logit / temperature) over the teacher's other words: these then
            count as one more word, which is exact for their sum. None: the K words' probabilities are made to add up
            to 1.
        temperature: divides the teacher's logits.
        temper_student: whether it divides the student's too.
        t2_scaling: multiply by temperature squared.

    Returns:
        A scalar >= 0; 0 where the student gives those words just those probabilities, and nothing to any other.

    Reference: Chen et al., 2020 (Distilling Knowledge Learned in BERT for Text Generation), section 3.2.
    Relations: `soft_targets` where K is V and `temper_student`; plus the entropy of the teacher's K words it is the
        cross entropy that the authors minimise, of the same gradient.
    """
    tempered = student_logits / temperature if temper_student else student_logits
    whole = tempered.logsumexp(dim=-1, keepdim=True)
    student, teacher = tempered.gather(-1, words) - whole, teacher_logits / temperature
    if rest is not None:
        others = tempered.scatter(-1, words, -1e4).logsumexp(dim=-1, keepdim=True) - whole
        student, teacher = cat((student, others), dim=-1), cat((teacher, rest[:, None]), dim=-1)
    likely = F.log_softmax(teacher, dim=-1)
    mean = (likely.exp() * (likely - student)).sum(dim=-1).mean()
    return mean * temperature**2 if t2_scaling else mean
