"""Losses against the right answers, one per kind of task."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.losses.ranking import ranking_loss


def label_loss(kind: Kind, logits: Tensor, labels: Tensor, questions: Tensor | None = None) -> Tensor:
    """What a model without a teacher is trained on.

    Args:
        kind: what the answers mean.
        logits: (B, C) for texts and pairs, (B, 1) for regression and ranking, (B, S, 2) for spans, (B, S, C) for tags.
        labels: (B,) int64 classes (ranking: 1 for the right candidate); (B,) float scores; (B, 2) int64 first and last
            token; (B, S) int64 tags with -100 where no tag counts.
        questions: (B,) int64, of a ranking whose candidates the rows are.

    Returns:
        A scalar >= 0: nats per row (single, pair), per question (ranking), per boundary (span) or per tagged token
        (tokens); squared score for regression. 0, with a gradient of 0, where a batch has nothing to answer.
    """
    if kind == "ranking":
        assert questions is not None
        return ranking_loss(logits, labels, questions)
    if kind == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
    if kind == "span":
        starts_and_ends = logits.transpose(1, 2).flatten(0, 1)
        return _cross_entropy(starts_and_ends, labels.flatten())
    return _cross_entropy(logits.flatten(0, -2), labels.flatten())


def next_sentence_loss(logits: Tensor | None, labels: Tensor | None) -> Tensor:
    """Next-sentence prediction: does the second text follow the first?

    Args:
        logits: (B, 2), what a model with such a head answers; class 0 where it follows.
        labels: (B,) int64, 0 where it does and 1 where it comes from another document.

    Returns:
        A scalar >= 0, nats per pair: 0.69 for a model that cannot tell.

    Reference: Devlin et al., 2019 (BERT), section 3.1; part of MobileBERT's loss too (Sun et al., 2020, section 3.4).
    """
    assert logits is not None
    assert labels is not None
    return F.cross_entropy(logits, labels)


def smoothed_word_loss(logits: Tensor, words: Tensor, smoothing: float, never: int) -> Tensor:
    """Cross entropy with the right word softened: it keeps 1 - smoothing, all others but one share the rest alike.

    Args:
        logits: (N, V).
        words: (N,) int64, the right ones.
        smoothing: share in 0..1 that is given away; 0 is plain cross entropy.
        never: id of padding, which is given nothing.

    Returns:
        A scalar >= 0, nats per word.

    Reference: Szegedy et al., 2016, section 7, over V - 2 words as OpenNMT has it.
    """
    scores = F.log_softmax(logits, dim=-1)
    right = scores.gather(-1, words[:, None]).squeeze(-1)
    if not smoothing:
        return -right.mean()
    others = scores.sum(dim=-1) - right - scores[:, never]
    return -((1 - smoothing) * right + smoothing / (logits.shape[-1] - 2) * others).mean()


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    counted = labels.ne(IGNORED).sum().clamp(min=1)
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / counted
