"""What a model answers with, whatever its family: `Outputs`, and how to ask for just what a loss needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Want:
    """What to compute beside the logits. Attention and hidden outputs cost time and memory: ask for what is used.

    Attributes:
        hidden: the hidden states of the embedding output and every layer.
        attentions: the attention probabilities of every layer.
        cls: layers (from 1; 0 is the embedding output) whose [CLS] state is wanted, in that order. A state of the
            whole text: teacher and student need not share tokens for it, and it is small enough to be cached.
        words: (B, S) bool, hidden words: a masked-word head answers there only. Its output table is as tall as the
            vocabulary, so that all positions together would cost a small encoder more than its layers do.
        scores: the attention scores of every layer, as they enter the softmax but for the mask.
    """

    hidden: bool = False
    attentions: bool = False
    cls: tuple[int, ...] = ()
    words: Tensor | None = None
    scores: bool = False

    @property
    def is_per_token(self) -> bool:
        """Whether anything is wanted that can only be compared where teacher and student share tokens."""
        return self.hidden or self.attentions or self.scores


@dataclass(frozen=True)
class Outputs:
    """A model's answer.

    Attributes:
        logits: (B, C) float for sentences; (N, V) for N hidden words row by row, or (B, S, V) where none were named;
            (B, S, C) for token tags;
            (B, S, 2) start and end scores for spans; None from a bare encoder.
        hidden: L + 1 tensors (B, S, H): the embedding output, then every layer; empty unless wanted.
        attentions: L tensors (B, A, S, S), softmaxed, before dropout; empty unless wanted.
        cls: (B, M, H), the first token's state after each of the M layers asked for; None unless wanted.
        scores: L tensors (B, A, S, S), query times key over the square root of the head's width, before mask and
            softmax; what padding's rows and columns hold means nothing. Empty unless wanted.
        next_sentence: (B, 2), class 0 where the second text follows the first; None from a model without such a head.
    """

    logits: Tensor | None = None
    hidden: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()
    cls: Tensor | None = None
    scores: tuple[Tensor, ...] = ()
    next_sentence: Tensor | None = None

    def to(self, device: torch.device) -> Outputs:
        """The same answer on `device`."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        def each(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(tensor.to(device) for tensor in tensors)

        layers = each(self.hidden), each(self.attentions), moved(self.cls), each(self.scores)
        return Outputs(moved(self.logits), *layers, moved(self.next_sentence))
