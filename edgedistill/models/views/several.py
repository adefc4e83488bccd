"""View of a model with several heads: one encoder, and every head's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from edgedistill.artifacts import Head, Heads
from edgedistill.models.views.bert import BertBody
from edgedistill.models.views.heads import head_of
from edgedistill.models.views.pieces import Piece


class HeadsView(Piece):
    """A BERT under several heads: see `View` for the attributes. All heads answer every text; a caller reads its own's.

    A head costs a thousandth of the encoder, so that nothing is gained by leaving one out.
    """

    max_unrolled: int | None = None
    note = ""

    def __init__(self, models: Mapping[str, PreTrainedModel], heads: Sequence[Head]) -> None:
        """Make one.

        Args:
            models: for every task the encoder under its head, the encoders all alike.
            heads: what each output is called, in the order of the outputs.
        """
        super().__init__()
        own: list[Any] = [models[head.name] for head in heads]
        self.config = own[0].config
        self.body = BertBody(own[0].bert)
        self.answers = nn.ModuleList(head_of(model) for model in own)
        self.heads = tuple(heads)
        self.kind = str(self.answers[0].kind)
        self.input_names = self.body.input_names
        self.output_names = tuple(head.output for head in heads)
        self.max_positions = int(self.body.max_positions)
        self.reads_first_only = all(head.reads_first_token for head in self.answers)
        self.eval()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """(B, S) tokens to each head's (B, C)."""
        hidden = self.body(input_ids, attention_mask, token_type_ids, self.reads_first_only)
        found: list[Tensor] = []
        for head in self.answers:
            found += head(hidden, *((attention_mask, token_type_ids) if head.reads_tokens else ()))
        return tuple(found)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Itself."""
        return (self,)

    def driver(self, names: Sequence[tuple[str, ...]], is_fixed: bool) -> Heads:
        """Its graph, or that of the fitting length; see `View.driver`."""
        return Heads(graphs=names[0], heads=self.heads)
