"""The two pieces all views share: the padding bias and eager attention."""

from __future__ import annotations

import torch
from torch import Tensor

_MASKED = -1e4
"""Added to the scores of padding: exp(-1e4) is 0 in every float format, and -1e4 itself fits into float16."""


def padding_bias(attention_mask: Tensor) -> Tensor:
    """Turn a (B, S) mask of ones and zeros into the (B, 1, 1, S) float32 term added to attention scores."""
    return (1.0 - attention_mask.to(torch.float32))[:, None, None, :] * _MASKED


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, num_heads: int) -> Tensor:
    """Multi-head attention over projected inputs.

    Args:
        query: (B, Q, H) float; Q is S, or 1 where only the first token's answer is read.
        key: (B, S, H) float.
        value: (B, S, H) float.
        bias: (B, 1, 1, S) float, added to the scaled scores.
        num_heads: A, a divisor of H.

    Returns:
        (B, Q, H) float.

    Relations:
        The stock code scales the (B, A, Q, S) scores; scaling the (B, Q, H) query is the same and cheaper.
    """
    scale = (query.shape[-1] // num_heads) ** -0.5
    query, key, value = (split_heads(part, num_heads) for part in (query * scale, key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) + bias
    context = torch.matmul(torch.softmax(scores, dim=-1), value)
    return context.transpose(1, 2).flatten(2)


def split_heads(part: Tensor, num_heads: int) -> Tensor:
    """(B, S, H) to (B, A, S, H / A)."""
    batch, length, width = part.shape
    return part.reshape(batch, length, num_heads, width // num_heads).transpose(1, 2)
