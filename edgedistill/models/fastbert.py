"""FastBERT: a BERT with a small classifier after every layer, so that easy texts need not pass all of them.

Importing this module registers the family with transformers, whose Auto classes then read and write it. As a model
like any other it answers with its last classifier, the one the others learn from; `edgedistill.models.early_exit`
lets it answer sooner.

Reference: Liu et al., 2020 (arXiv:2004.02178), section 3.1.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, BertModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert.modeling_bert import BertPreTrainedModel

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.views.attention import padding_bias, split_heads

FAMILY = "fastbert"


class FastBertConfig(BertConfig):  # type: ignore[misc]
    """A BERT's configuration and its classifiers' shape."""

    model_type = FAMILY

    classifier_size: int = 128
    """Width that a branch classifier narrows the features to."""
    classifier_heads: int = 2
    """Attention heads of a branch classifier."""
    last_classifier: Literal["narrow", "pooled"] = "narrow"
    """Form of the last classifier: that of the branches, or BERT's own pooler and linear layer."""
    speed: float = 0.0
    """Uncertainty below which a text leaves early where the caller does not say; 0 never."""


class NarrowClassifier(nn.Module):
    """Section 3.1's classifier: narrow the features, attend within them, answer from the first token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = int(config.classifier_size)
        self.num_heads = int(config.classifier_heads)
        self.narrow = nn.Linear(config.hidden_size, size)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.attention_output = nn.Linear(size, size)
        self.dense = nn.Linear(size, size)
        self.classifier = nn.Linear(size, config.num_labels)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Answer from one layer's hidden states.

        Only the first token is read, so only its query is computed; padding is no key.

        Args:
            hidden: (B, S, H) float.
            mask: (B, S), 1 for real tokens.

        Returns:
            (B, C) logits.
        """
        tokens = self.narrow(hidden).tanh()
        query, key, value = (
            split_heads(part, self.num_heads)
            for part in (self.query(tokens[:, :1]), self.key(tokens), self.value(tokens))
        )
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + padding_bias(mask)
        context = self.dropout(scores.softmax(dim=-1)) @ value
        first = self.attention_output(context.transpose(1, 2).flatten(2))[:, 0]
        logits: Tensor = self.classifier(self.dense(first).tanh())
        return logits


class PooledClassifier(nn.Module):
    """A fine-tuned BERT's own head: pooler, dropout, linear layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        given = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if given is None else given)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, S, H) hidden states to (B, C) logits; the mask is not needed."""
        logits: Tensor = self.classifier(self.dropout(self.dense(hidden[:, 0]).tanh()))
        return logits


class FastBertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]
    """BERT with a classifier after every layer.

    Attributes:
        bert: the backbone, without pooler.
        exits: as many classifiers as layers; the last one is the teacher of the others.
    """

    config_class = FastBertConfig

    def __init__(self, config: FastBertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        last = NarrowClassifier if config.last_classifier == "narrow" else PooledClassifier
        branches = [NarrowClassifier(config) for _ in range(config.num_hidden_layers - 1)]
        self.exits = nn.ModuleList([*branches, last(config)])
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **wanted: Any,
    ) -> SequenceClassifierOutput:
        """The last classifier's logits (B, C); hidden states and attentions where asked for."""
        wanted["return_dict"] = True
        found = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **wanted)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return SequenceClassifierOutput(
            logits=self.exits[-1](found.last_hidden_state, mask),
            hidden_states=found.hidden_states,
            attentions=found.attentions,
        )

    def embed(self, encoded: Encoded) -> Tensor:
        """What the first layer reads, (B, S, H)."""
        embedded: Tensor = self.bert.embeddings(input_ids=encoded.input_ids, token_type_ids=encoded.token_type_ids)
        return embedded

    def layer(self, number: int, hidden: Tensor, mask: Tensor) -> Tensor:
        """One layer, (B, S, H) to (B, S, H).

        Args:
            number: from 1.
            hidden: (B, S, H), what the layer before gave.
            mask: (B, S), 1 for real tokens.
        """
        bias = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=mask)
        after: Tensor = self.bert.encoder.layer[number - 1](hidden, bias)
        return after

    def exit_logits(self, encoded: Encoded) -> Tensor:
        """Every classifier's answer, (B, L, C) float32; the backbone gets gradients only where it learns."""
        is_learning = any(parameter.requires_grad for parameter in self.bert.parameters())
        with torch.set_grad_enabled(is_learning and torch.is_grad_enabled()):
            found = self.bert(
                encoded.input_ids,
                attention_mask=encoded.attention_mask,
                token_type_ids=encoded.token_type_ids,
                output_hidden_states=True,
            ).hidden_states[1:]
        answers = [own(hidden, encoded.attention_mask) for own, hidden in zip(self.exits, found, strict=True)]
        stacked = torch.stack(answers, dim=1)
        return stacked.float() if stacked.dtype in (torch.bfloat16, torch.float16) else stacked


def fastbert_for(
    backbone: Any, *, size: int = 128, heads: int = 2, keeps_head: bool = False
) -> FastBertForSequenceClassification:
    """Put classifiers after every layer of a BERT. They are random (seed torch first); the layers are the BERT's.

    Args:
        backbone: a BERT classifier; its widths and labels are kept.
        size: width of the branch classifiers.
        heads: their attention heads.
        keeps_head: take the BERT's own pooler and linear layer as the last classifier.

    Raises:
        CheckpointError: no BERT.
        ConfigError: a size that the heads do not divide, or a BERT of one layer, which has nowhere to exit early.
    """
    given: Any = backbone.config
    if given.model_type != "bert":
        raise CheckpointError(
            f"a FastBERT is built around a bert (MiniLM is one too), not a {given.model_type}. Give one."
        )
    if size % heads:
        raise ConfigError(f"classifier_size: {size} cannot be cut into {heads} heads. Try {heads * (size // heads)}.")
    if given.num_hidden_layers < 2:
        raise ConfigError("a BERT of one layer has nowhere to exit early. Start from a deeper one.")
    form = "pooled" if keeps_head else "narrow"
    own = {"model_type": FAMILY, "classifier_size": size, "classifier_heads": heads, "last_classifier": form}
    config = FastBertConfig.from_dict(given.to_dict() | own)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    layers = {name: value for name, value in backbone.bert.state_dict().items() if not name.startswith("pooler.")}
    model.bert.load_state_dict(layers)
    if keeps_head:
        model.exits[-1].dense.load_state_dict(backbone.bert.pooler.dense.state_dict())
        model.exits[-1].classifier.load_state_dict(backbone.classifier.state_dict())
    built: FastBertForSequenceClassification = model.eval()
    return built


AutoConfig.register(FAMILY, FastBertConfig, exist_ok=True)
AutoModelForSequenceClassification.register(FastBertConfig, FastBertForSequenceClassification, exist_ok=True)
