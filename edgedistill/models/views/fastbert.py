"""View of FastBERT: all layers and the last classifier. The exits before it are left out: a graph has one length."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgedistill.models.views.attention import attend, padding_bias
from edgedistill.models.views.bert import BertBody


class FastBertBody(BertBody):
    """Embeddings and layers of BERT, and the part of the last classifier that reads every token."""

    def __init__(self, model: Any) -> None:
        super().__init__(model.bert)
        last = model.exits[-1]
        self.narrow, self.num_heads = last.narrow, last.num_heads
        self.query, self.key, self.value, self.attention_output = (
            last.query,
            last.key,
            last.value,
            last.attention_output,
        )

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None, first_only: bool) -> Tensor:
        """(B, S) tokens to the first token's answer within the classifier, (B, 1, W)."""
        tokens = self.narrow(super().forward(ids, mask, types, False)).tanh()
        rows = tokens[:, :1]
        context = attend(self.query(rows), self.key(tokens), self.value(tokens), padding_bias(mask), self.num_heads)
        output: Tensor = self.attention_output(context)
        return output


def fastbert_body(model: Any) -> BertBody:
    """The body that the last classifier's form needs: a BERT's own head reads just the first token of the layers."""
    return FastBertBody(model) if model.config.last_classifier == "narrow" else BertBody(model.bert)
