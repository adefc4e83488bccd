"""Views of FastBERT: a segment for every layer with its exit, or all layers in one graph with the last classifier.

A graph runs from its inputs to its outputs: to leave early and save the time, every layer has to be a graph of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from edgedistill.artifacts import Cascade, Exit
from edgedistill.models.views.attention import attend, padding_bias
from edgedistill.models.views.bert import BertBody, BertLayer
from edgedistill.models.views.pieces import CARRY, Piece


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


class Narrow(nn.Module):
    """A branch classifier over the modules of the stock one: (B, S, H) to (B, C)."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.narrow, self.num_heads = classifier.narrow, classifier.num_heads
        self.query, self.key, self.value = classifier.query, classifier.key, classifier.value
        self.attention_output, self.dense = classifier.attention_output, classifier.dense
        self.classifier = classifier.classifier

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """(B, S, H) and the padding's bias to (B, C)."""
        tokens = self.narrow(hidden).tanh()
        context = attend(self.query(tokens[:, :1]), self.key(tokens), self.value(tokens), bias, self.num_heads)
        logits: Tensor = self.classifier(self.dense(self.attention_output(context)[:, 0]).tanh())
        return logits


class Pooled(nn.Module):
    """A BERT's own head as the last classifier: it reads the first token only."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.dense, self.classifier = classifier.dense, classifier.classifier

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """(B, S, H) to (B, C)."""
        logits: Tensor = self.classifier(self.dense(hidden[:, 0]).tanh())
        return logits


class FirstSegment(Piece):
    """Embeddings and the first layer with its classifier."""

    output_names = ("logits", CARRY.output)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.name, self.config = _name(1), model.config
        self.body, self.exit = BertBody(model.bert), Narrow(model.exits[0])
        self.body.layers = self.body.layers[:1]
        self.input_names = self.body.input_names

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, S) tokens to logits (B, C) and the hidden state (B, S, H)."""
        hidden = self.body(input_ids, attention_mask, token_type_ids, False)
        return self.exit(hidden, padding_bias(attention_mask)), hidden


class NextSegment(Piece):
    """A further layer with its classifier."""

    input_names = (CARRY.input, "attention_mask")

    def __init__(self, model: Any, number: int) -> None:
        """Make one.

        Args:
            model: the FastBERT.
            number: of the layer, from 2.
        """
        super().__init__()
        self.name, self.config = _name(number), model.config
        self.is_last = number == len(model.exits)
        is_pooled = self.is_last and model.config.last_classifier == "pooled"
        self.layer = BertLayer(model.bert.encoder.layer[number - 1])
        self.exit = (Pooled if is_pooled else Narrow)(model.exits[number - 1])
        self.reads_first_only = is_pooled
        self.output_names = ("logits",) if self.is_last else ("logits", CARRY.output)

    def forward(self, hidden_state: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """(B, S, H) and (B, S) to logits (B, C) and, but for the last one, the hidden state (B, S, H)."""
        bias = padding_bias(attention_mask)
        hidden = self.layer(hidden_state, bias, self.reads_first_only)
        logits = self.exit(hidden, bias)
        return (logits,) if self.is_last else (logits, hidden)


class CascadeView:
    """A FastBERT as segments, each of which may answer: see `View` for the attributes."""

    kind = "single"
    max_unrolled: int | None = None
    note = ""

    def __init__(self, model: Any) -> None:
        first = FirstSegment(model)
        rest = [NextSegment(model, number) for number in range(2, len(model.exits) + 1)]
        self.pieces: tuple[Piece, ...] = (first.eval(), *(one.eval() for one in rest))
        self.speed = float(model.config.speed)
        self.input_names, self.max_positions = first.input_names, int(first.body.max_positions)

    def driver(self, names: Sequence[tuple[str, ...]], is_fixed: bool) -> Cascade:
        """Every segment may answer at the student's own speed; see `View.driver`."""
        return Cascade(exits=tuple(Exit(graphs=graphs, threshold=self.speed) for graphs in names), carry=CARRY)


def _name(number: int) -> str:
    return f"segment_{number}"
