"""Losses of ranking: the candidates of a question are its classes, and each has one score.

Reference: Liu et al., 2019 (MT-DNN), arXiv:1901.11504, section 3, equations 4 and 5, with a scale of 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgedistill.losses.soft_targets import soft_targets

_NO_CANDIDATE = -1e4
"""A score whose probability is 0 in every dtype and whose product with 0 is 0."""


def by_question(scores: Tensor, questions: Tensor) -> Tensor:
    """Put the scores of a question's candidates into one row.

    Args:
        scores: (B, 1) or (B,).
        questions: (B,) int64, each row's question; the rows of one question next to each other.

    Returns:
        (Q, K), K candidates of the question that has most; where one has fewer, a score of probability 0.
    """
    _, row, counts = torch.unique_consecutive(questions, return_inverse=True, return_counts=True)
    place = torch.arange(len(questions), device=questions.device) - (counts.cumsum(dim=0) - counts)[row]
    table = scores.new_full((len(counts), int(counts.max())), _NO_CANDIDATE)
    return table.index_put((row, place), scores.flatten())


def ranking_loss(scores: Tensor, labels: Tensor, questions: Tensor) -> Tensor:
    """How unlikely the right candidates are among all of their question.

    Args:
        scores: (B, 1).
        labels: (B,) 1 for a right candidate, else 0; every question has a right one.
        questions: (B,) int64, as in `by_question`.

    Returns:
        A scalar >= 0: nats per question.

    Relations: the cross entropy over a question's candidates, where one of them is right.
    """
    is_right = by_question(labels.to(scores.dtype), questions) > 0
    table = by_question(scores, questions)
    right = table.masked_fill(~is_right, _NO_CANDIDATE)
    return (table.logsumexp(dim=-1) - right.logsumexp(dim=-1)).mean()


def ranking_soft_targets(scores: Tensor, teacher_scores: Tensor, questions: Tensor) -> Tensor:
    """KL(teacher || student) of the probabilities over each question's candidates, at temperature 1.

    Args:
        scores: (B, 1), the student's.
        teacher_scores: (B, 1).
        questions: (B,) int64, as in `by_question`.

    Returns:
        A scalar >= 0: nats per question.

    Relations: `soft_targets` with the candidates as classes; a score added to all of a question's changes nothing.
    """
    return soft_targets(by_question(scores, questions), by_question(teacher_scores, questions))


def candidate_probabilities(scores: Tensor, questions: Tensor) -> Tensor:
    """(B, 1): how likely each candidate is the right one of its question, from (B, 1) scores."""
    row = torch.unique_consecutive(questions, return_inverse=True)[1]
    nats = by_question(scores, questions).logsumexp(dim=-1)
    return (scores.flatten() - nats[row]).exp().unsqueeze(-1)
