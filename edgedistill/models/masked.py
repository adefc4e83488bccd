"""Guesses of hidden words, computed only where a word is hidden.

The output table of a masked-word head is as tall as the vocabulary: over all positions it would cost a small encoder
more than its layers do, and 85 % of it would be thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from edgedistill.data.batches import Encoded
from edgedistill.models.answers import answer

_HEADS = ("cls", "lm_head", "vocab_transform", "generator_predictions")
"""What the last hidden states go through first, by family: BERT and MobileBERT, RoBERTa, DistilBERT, ELECTRA."""


def guesses(model: nn.Module, tokens: Encoded, where: Tensor) -> Tensor:
    """Logits of hidden words.

    Args:
        model: a transformers model with a masked-word head.
        tokens: (B, S).
        where: (B, S) bool, the hidden words.

    Returns:
        (N, V) float32, N the hidden words row by row.
    """
    head = next((getattr(model, name) for name in _HEADS if isinstance(getattr(model, name, None), nn.Module)), None)
    if head is None:
        logits = answer(model, tokens).logits
        assert logits is not None
        return logits[where]
    with _only(head, where):
        logits = answer(model, tokens).logits
    assert logits is not None
    return logits


@contextmanager
def _only(head: nn.Module, where: Tensor) -> Iterator[None]:
    def cut(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][where], *inputs[1:])

    handle = head.register_forward_pre_hook(cut)
    try:
        yield
    finally:
        handle.remove()
