"""Attention scores as they are before mask and softmax, taken from any family by listening to its queries and keys.

transformers gives attentions only after the softmax. Hooks on the two projections and one product more leave the
model, its attention function and its mask as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.errors import CheckpointError

_PROJECTIONS = (("query", "key"), ("q_lin", "k_lin"))
"""Names of an attention's two projections: BERT, RoBERTa, MobileBERT, ELECTRA; DistilBERT."""
_HEADS = ("num_attention_heads", "n_heads")


@contextmanager
def recorded_scores(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the scores of every layer that runs within the block of code.

    Args:
        model: a transformers model of the BERT family.

    Yields:
        A list that is filled in the order in which the layers run: (B, A, S, S) float32, with gradients.

    Raises:
        CheckpointError: a family whose queries and keys are not known here.
    """
    scores: list[Tensor] = []
    queries: list[Tensor] = []
    handles = []
    for query, key, heads in _attentions(model):

        def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            queries.append(output)

        def multiply(module: nn.Module, inputs: tuple[Any, ...], output: Tensor, heads: int = heads) -> None:
            scores.append(_scores(queries.pop(), output, heads))

        handles += [query.register_forward_hook(keep), key.register_forward_hook(multiply)]
    if not handles:
        raise CheckpointError(
            f"the attention scores of a {type(model).__name__} cannot be read. There are: bert, roberta, distilbert, "
            "mobilebert and families whose attention has the same parts."
        )
    try:
        yield scores
    finally:
        for handle in handles:
            handle.remove()


def _attentions(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module, int]]:
    for module in model.modules():
        for names in _PROJECTIONS:
            pair = [getattr(module, name, None) for name in names]
            heads = next((int(getattr(module, name)) for name in _HEADS if hasattr(module, name)), 0)
            if heads and isinstance(pair[0], nn.Module) and isinstance(pair[1], nn.Module):
                yield pair[0], pair[1], heads


def _scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """(B, S, H) twice to (B, A, S, S); in float32, because differences of scores are compared."""
    with torch.autocast(query.device.type, enabled=False):
        q, k = (part.float().view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (query, key))
        product: Tensor = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return product
