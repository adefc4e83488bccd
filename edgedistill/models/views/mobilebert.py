"""View of MobileBERT, in every variant of its configuration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.models.views.attention import attend, padding_bias


class MobileBertLayer(nn.Module):
    """One encoder layer over the modules of the stock one."""

    def __init__(self, layer: Any, config: Any) -> None:
        super().__init__()
        own = layer.attention.self
        self.query, self.key, self.value = own.query, own.key, own.value
        self.num_heads = int(own.num_attention_heads)
        self.attention_output, self.intermediate, self.output = layer.attention.output, layer.intermediate, layer.output
        self.ffns = nn.ModuleList(layer.ffn if config.num_feedforward_networks > 1 else ())
        self.bottleneck = layer.bottleneck if config.use_bottleneck else None
        self.has_bottleneck_attention = bool(config.use_bottleneck_attention)
        self.has_shared_bottleneck = bool(config.key_query_shared_bottleneck)

    def forward(self, hidden: Tensor, bias: Tensor, first_only: bool) -> Tensor:
        """(B, S, H) to (B, S, H), or to (B, 1, H) with `first_only`."""
        rows = hidden[:, :1] if first_only else hidden
        queried, keyed, valued, residual = self._attention_inputs(hidden, rows)
        context = attend(self.query(queried), self.key(keyed), self.value(valued), bias, self.num_heads)
        attended = self.attention_output(context, residual)
        for ffn in self.ffns:
            attended = ffn(attended)
        output: Tensor = self.output(self.intermediate(attended), attended, rows)
        return output

    def _attention_inputs(self, hidden: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What query, key and value read, and what is added to their answer (intra-block width)."""
        size = rows.shape[1]
        if self.bottleneck is None:
            return rows, hidden, hidden, rows
        if self.has_bottleneck_attention:
            narrow = self.bottleneck.input(hidden)
            narrow_rows = narrow if rows is hidden else narrow[:, :size]
            return narrow_rows, narrow, narrow, narrow_rows
        residual = self.bottleneck.input(rows)
        if self.has_shared_bottleneck:
            shared = self.bottleneck.attention(hidden)
            return (shared if rows is hidden else shared[:, :size]), shared, hidden, residual
        return rows, hidden, hidden, residual


class MobileBertBody(nn.Module):
    """Embeddings and layers of MobileBERT."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        config, own = base.config, base.embeddings
        self.word_embeddings, self.position_embeddings = own.word_embeddings, own.position_embeddings
        self.token_type_embeddings, self.norm = own.token_type_embeddings, own.LayerNorm
        self.has_trigrams = bool(config.trigram_input)
        is_factorised = self.has_trigrams or config.embedding_size != config.hidden_size
        self.transformation = own.embedding_transformation if is_factorised else None
        self.layers = nn.ModuleList(MobileBertLayer(layer, config) for layer in base.encoder.layer)
        self.input_names = ("input_ids", "attention_mask", "token_type_ids")
        self.max_positions = config.max_position_embeddings

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor, first_only: bool) -> Tensor:
        """(B, S) tokens to the last hidden state (B, S, H); (B, 1, H) with `first_only`."""
        words = self.word_embeddings(ids)
        if self.has_trigrams:
            words = _trigrams(words * mask.to(words.dtype)[:, :, None])
        if self.transformation is not None:
            words = self.transformation(words)
        positions = self.position_embeddings.weight[: ids.shape[1]]
        hidden: Tensor = self.norm(words + positions + self.token_type_embeddings(types))
        bias = padding_bias(mask)
        for number, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, bias, first_only and number == len(self.layers))
        return hidden


def _trigrams(words: Tensor) -> Tensor:
    """(B, S, E) to (B, S, 3E): the next, this and the previous token side by side.

    The last real token reads the padding after it: the caller has set padding to zero, which is what the stock
    model puts after the end of the text, so that padding cannot change an answer.
    """
    following = functional.pad(words[:, 1:], (0, 0, 0, 1))
    previous = functional.pad(words[:, :-1], (0, 0, 1, 0))
    return torch.cat([following, words, previous], dim=2)
