"""Heads of the views: from the last hidden state to answers with Hugging Face's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgedistill.errors import ExportError


class Head(nn.Module):
    """Base of the heads.

    Attributes:
        kind: what the answer means.
        output_names: names of the tensors `forward` returns.
        reads_first_token: whether it reads only the first token, so that the last layer need not compute more.
        reads_tokens: whether `forward` also takes the attention mask and the token types.
        axes: shape of each output; "batch" and "length" where it is free.
    """

    kind: str
    output_names: tuple[str, ...]
    reads_first_token = False
    reads_tokens = False
    axes: tuple[str | int, ...]


class SentenceHead(Head):
    """Logits (B, C) from the first token."""

    output_names = ("logits",)
    reads_first_token = True

    def __init__(self, model: Any, pool: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.pool, self.classifier = pool, classifier
        is_number = model.config.problem_type == "regression" or model.config.num_labels == 1
        self.kind = "regression" if is_number else "single"
        self.axes = ("batch", int(model.config.num_labels))

    def forward(self, hidden: Tensor) -> tuple[Tensor]:
        """(B, 1, H) to (B, C)."""
        return (self.classifier(self.pool(hidden[:, 0])),)


class SanHead(Head):
    """Logarithms of probabilities (B, C) from all tokens of a pair: `models/san.py`."""

    kind = "single"
    output_names = ("logits",)
    reads_tokens = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.san = model.san
        self.axes = ("batch", int(model.config.num_labels))

    def forward(self, hidden: Tensor, mask: Tensor, types: Tensor) -> tuple[Tensor]:
        """(B, S, H) to (B, C)."""
        return (self.san(hidden, mask, types),)


class SpanHead(Head):
    """Start and end scores, each (B, S)."""

    kind = "span"
    output_names = ("start_logits", "end_logits")
    axes = ("batch", "length")

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.scores = model.qa_outputs

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, H) to (B, S) twice."""
        scores = self.scores(hidden)
        return scores[..., 0], scores[..., 1]


class TokenHead(Head):
    """Logits (B, S, C) for every token."""

    kind = "tokens"
    output_names = ("logits",)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.classifier = model.classifier
        self.axes = ("batch", "length", int(model.config.num_labels))

    def forward(self, hidden: Tensor) -> tuple[Tensor]:
        """(B, S, H) to (B, S, C)."""
        return (self.classifier(hidden),)


class NoHead(Head):
    """The last hidden state (B, S, H) as it is."""

    kind = "embedding"
    output_names = ("last_hidden_state",)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.axes = ("batch", "length", int(model.config.hidden_size))

    def forward(self, hidden: Tensor) -> tuple[Tensor]:
        """(B, S, H) unchanged."""
        return (hidden,)


class _Dense(nn.Module):
    """A linear layer and its activation: what most families put before the classifier."""

    def __init__(self, dense: nn.Module, activation: Any) -> None:
        super().__init__()
        self.dense, self.activation = dense, activation

    def forward(self, first: Tensor) -> Tensor:
        answer: Tensor = self.activation(self.dense(first))
        return answer


def head_of(model: PreTrainedModel) -> Head:
    """Build the view of a model's head.

    Raises:
        ExportError: a head that no runtime here answers with, such as a masked-word head.
    """
    name = type(model).__name__
    if name.endswith("ForSequenceClassification"):
        return _sentence_head(model)
    if name.endswith("ForQuestionAnswering"):
        return SpanHead(model)
    if name.endswith("ForTokenClassification"):
        return TokenHead(model)
    if name.endswith("Model"):
        return NoHead(model)
    raise ExportError(
        f"a {name} cannot be exported. There are views of sequence classification and regression, "
        "question answering, token classification and bare encoders."
    )


def _sentence_head(model: Any) -> Head:
    if hasattr(model, "san"):
        return SanHead(model)
    family = model.config.model_type
    if family == "fastbert":
        last = model.exits[-1]
        return SentenceHead(model, _Dense(last.dense, torch.tanh), last.classifier)
    if family == "distilbert":
        return SentenceHead(model, _Dense(model.pre_classifier, torch.relu), model.classifier)
    if family == "bilstm":
        return SentenceHead(model, _Dense(model.fc, torch.relu), model.classifier)
    if family in ("roberta", "electra"):
        activation = torch.tanh if family == "roberta" else nn.functional.gelu
        return SentenceHead(model, _Dense(model.classifier.dense, activation), model.classifier.out_proj)
    pooler = getattr(model, model.base_model_prefix).pooler
    if family == "mobilebert" and not pooler.do_activate:
        return SentenceHead(model, nn.Identity(), model.classifier)
    dense = pooler if family == "albert" else pooler.dense
    return SentenceHead(model, _Dense(dense, torch.tanh), model.classifier)
