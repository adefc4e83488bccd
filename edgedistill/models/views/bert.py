"""Views of BERT (MiniLM, the BERT miniatures), ELECTRA and RoBERTa."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.models.views.attention import attend, padding_bias


class BertLayer(nn.Module):
    """One encoder layer over the modules of the stock one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own = layer.attention.self
        self.query, self.key, self.value = own.query, own.key, own.value
        self.num_heads = int(own.num_attention_heads)
        self.attention_output, self.intermediate, self.output = layer.attention.output, layer.intermediate, layer.output

    def forward(self, hidden: Tensor, bias: Tensor, first_only: bool) -> Tensor:
        """(B, S, H) to (B, S, H), or to (B, 1, H) with `first_only`."""
        rows = hidden[:, :1] if first_only else hidden
        context = attend(self.query(rows), self.key(hidden), self.value(hidden), bias, self.num_heads)
        attended = self.attention_output(context, rows)
        output: Tensor = self.output(self.intermediate(attended), attended)
        return output


class BertBody(nn.Module):
    """Embeddings and layers of BERT."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.word_embeddings = base.embeddings.word_embeddings
        self.position_embeddings = base.embeddings.position_embeddings
        self.token_type_embeddings = base.embeddings.token_type_embeddings
        self.norm = base.embeddings.LayerNorm
        self.layers = nn.ModuleList(BertLayer(layer) for layer in base.encoder.layer)
        has_types = base.config.type_vocab_size > 1
        self.input_names = ("input_ids", "attention_mask", *(("token_type_ids",) if has_types else ()))
        self.max_positions = base.config.max_position_embeddings

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None, first_only: bool) -> Tensor:
        """(B, S) tokens to the last hidden state (B, S, H); (B, 1, H) with `first_only`.

        Nothing but the first token of the last layer is computed where nothing else is read.
        """
        type_rows = self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        hidden = self.widened(self.norm(self.word_embeddings(ids) + type_rows + self.positions(ids)))
        bias = padding_bias(mask)
        for number, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, bias, first_only and number == len(self.layers))
        return hidden

    def widened(self, embedded: Tensor) -> Tensor:
        """(B, S, E) to (B, S, H): as it is, in families whose embeddings are as wide as their layers."""
        return embedded

    def positions(self, ids: Tensor) -> Tensor:
        """The position embedding of every token, (S, H) or (B, S, H)."""
        table: Tensor = self.position_embeddings.weight
        return table[: ids.shape[1]]


class ElectraBody(BertBody):
    """Embeddings and layers of ELECTRA: a BERT whose embeddings may be narrower than its layers."""

    def __init__(self, base: Any) -> None:
        super().__init__(base)
        self.project = getattr(base, "embeddings_project", None)

    def widened(self, embedded: Tensor) -> Tensor:
        """(B, S, E) to (B, S, H)."""
        wide: Tensor = embedded if self.project is None else self.project(embedded)
        return wide


class RobertaBody(BertBody):
    """Embeddings and layers of RoBERTa: positions count the tokens that are no padding, from the pad id on."""

    first_position: Tensor

    def __init__(self, base: Any) -> None:
        super().__init__(base)
        self.pad_id = int(base.config.pad_token_id)
        self.max_positions = base.config.max_position_embeddings - self.pad_id - 1
        # A tensor: quantizers of graphs turn the numbers of a sum into floats, and positions are no floats.
        self.register_buffer("first_position", torch.tensor(self.pad_id, dtype=torch.int32), persistent=False)

    def positions(self, ids: Tensor) -> Tensor:
        """(B, S, H); as in the stock model, a pad token inside the text has the pad position."""
        is_token = (ids != self.pad_id).to(torch.int32)
        number = torch.cumsum(is_token, dim=1, dtype=torch.int32) * is_token + self.first_position
        rows: Tensor = self.position_embeddings(number)
        return rows
