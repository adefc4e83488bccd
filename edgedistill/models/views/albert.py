"""View of ALBERT: few layers, each used several times."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgedistill.models.views.attention import attend, padding_bias


class AlbertLayer(nn.Module):
    """One encoder layer over the modules of the stock one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own = layer.attention
        self.query, self.key, self.value, self.attention_output = own.query, own.key, own.value, own.dense
        self.num_heads = int(own.num_attention_heads)
        self.attention_norm, self.output_norm = own.LayerNorm, layer.full_layer_layer_norm
        self.ffn, self.activation, self.ffn_output = layer.ffn, layer.activation, layer.ffn_output

    def forward(self, hidden: Tensor, bias: Tensor, first_only: bool) -> Tensor:
        """(B, S, H) to (B, S, H), or to (B, 1, H) with `first_only`."""
        rows = hidden[:, :1] if first_only else hidden
        context = attend(self.query(rows), self.key(hidden), self.value(hidden), bias, self.num_heads)
        attended = self.attention_norm(rows + self.attention_output(context))
        output: Tensor = self.output_norm(self.ffn_output(self.activation(self.ffn(attended))) + attended)
        return output


class AlbertBody(nn.Module):
    """Embeddings and layers of ALBERT."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        config, own = base.config, base.embeddings
        self.word_embeddings, self.position_embeddings = own.word_embeddings, own.position_embeddings
        self.token_type_embeddings, self.norm = own.token_type_embeddings, own.LayerNorm
        self.widen = base.encoder.embedding_hidden_mapping_in
        groups = [group.albert_layers for group in base.encoder.albert_layer_groups]
        self.layers = nn.ModuleList(AlbertLayer(layer) for group in groups for layer in group)
        self.order = layer_order(config.num_hidden_layers, config.num_hidden_groups, config.inner_group_num)
        self.input_names = ("input_ids", "attention_mask", "token_type_ids")
        self.max_positions = config.max_position_embeddings

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor, first_only: bool) -> Tensor:
        """(B, S) tokens to the last hidden state (B, S, H); (B, 1, H) with `first_only`."""
        positions = self.position_embeddings.weight[: ids.shape[1]]
        embedded = self.norm(self.word_embeddings(ids) + self.token_type_embeddings(types) + positions)
        bias = padding_bias(mask)
        hidden: Tensor = self.widen(embedded)
        for step, number in enumerate(self.order, start=1):
            hidden = self.layers[number](hidden, bias, first_only and step == len(self.order))
        return hidden


def layer_order(depth: int, groups: int, inner: int) -> tuple[int, ...]:
    """Which of the groups' layers, counted through, is run at each step.

    Args:
        depth: how often a group is run.
        groups: how many there are; each is run as often as the others, one after another.
        inner: layers of a group.
    """
    return tuple(int(step * groups / depth) * inner + own for step in range(depth) for own in range(inner))
