"""View of DistilBERT."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgedistill.models.views.attention import attend, padding_bias


class DistilBertLayer(nn.Module):
    """One encoder layer over the modules of the stock one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own = layer.attention
        self.query, self.key, self.value, self.attention_output = own.q_lin, own.k_lin, own.v_lin, own.out_lin
        self.num_heads = int(own.n_heads)
        self.attention_norm, self.ffn, self.output_norm = layer.sa_layer_norm, layer.ffn, layer.output_layer_norm

    def forward(self, hidden: Tensor, bias: Tensor, first_only: bool) -> Tensor:
        """(B, S, H) to (B, S, H), or to (B, 1, H) with `first_only`."""
        rows = hidden[:, :1] if first_only else hidden
        context = attend(self.query(rows), self.key(hidden), self.value(hidden), bias, self.num_heads)
        attended = self.attention_norm(self.attention_output(context) + rows)
        inner = self.ffn.lin2(self.ffn.activation(self.ffn.lin1(attended)))
        output: Tensor = self.output_norm(inner + attended)
        return output


class DistilBertBody(nn.Module):
    """Embeddings and layers of DistilBERT, which knows no token types."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.word_embeddings = base.embeddings.word_embeddings
        self.position_embeddings = base.embeddings.position_embeddings
        self.norm = base.embeddings.LayerNorm
        self.layers = nn.ModuleList(DistilBertLayer(layer) for layer in base.transformer.layer)
        self.input_names = ("input_ids", "attention_mask")
        self.max_positions = base.config.max_position_embeddings

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None, first_only: bool) -> Tensor:
        """(B, S) tokens to the last hidden state (B, S, H); (B, 1, H) with `first_only`."""
        hidden: Tensor = self.norm(self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]])
        bias = padding_bias(mask)
        for number, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, bias, first_only and number == len(self.layers))
        return hidden
