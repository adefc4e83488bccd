"""A teacher's answer to a whole task, compared as its kind asks for."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from edgedistill.data.tasks import Kind
from edgedistill.losses.soft_targets import logit_mse, soft_targets, span_soft_targets


def answer_loss(
    kind: Kind,
    student_logits: Tensor | None,
    teacher_logits: Tensor | None,
    mask: Tensor,
    *,
    form: Literal["kl", "mse"] = "kl",
    temperature: float = 1.0,
) -> Tensor:
    """How far the student's answers are from the teacher's.

    Args:
        kind: what the answers mean.
        student_logits: as `models.outputs.Outputs.logits`.
        teacher_logits: the same shape.
        mask: (B, S), non-zero for real tokens.
        form: of the comparison; scores are compared by their squared difference, hidden words by KL, whatever it is.
        temperature: of the KL, whose gradient is rescaled by the square.

    Returns:
        A scalar >= 0: nats or squared logits per row, per boundary (span, KL), per token (span, MSE; tokens) or per
        hidden word.
    """
    assert student_logits is not None
    assert teacher_logits is not None
    if kind == "mlm":
        return soft_targets(student_logits, teacher_logits, temperature)
    per_token = mask if kind in {"span", "tokens"} else None
    if form == "mse" or kind == "regression":
        return logit_mse(student_logits, teacher_logits, per_token)
    if kind == "span":
        return span_soft_targets(student_logits, teacher_logits, mask, temperature)
    return soft_targets(student_logits, teacher_logits, temperature, mask=per_token)
