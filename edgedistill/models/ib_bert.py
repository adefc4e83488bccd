"""IB-BERT: the teacher MobileBERT was made for, a BERT with inverted bottlenecks (Sun et al., 2020, section 3.2).

Narrow between its blocks (so that a student of that width can copy every layer) and wide inside them. It differs from
transformers' MobileBERT in one thing: queries and keys read the stream between the blocks directly.
Importing this module registers the family with transformers, whose Auto classes then read and write it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    MobileBertConfig,
    MobileBertForMaskedLM,
    MobileBertForPreTraining,
    MobileBertForQuestionAnswering,
    MobileBertForSequenceClassification,
    MobileBertForTokenClassification,
    MobileBertModel,
    PreTrainedModel,
)

from edgedistill.config import Settings
from edgedistill.errors import ConfigError

FAMILY = "ib_bert"


class IBBertConfig(MobileBertConfig):  # type: ignore[misc]
    """MobileBERT's configuration under its own name."""

    model_type = FAMILY


class _ReadsTheStream:
    """A MobileBERT whose queries and keys read a block's input, as its values already do."""

    config_class = IBBertConfig

    def __init__(self, config: Any, **others: Any) -> None:
        super().__init__(config, **others)  # type: ignore[call-arg]
        model: Any = self
        for layer in model.base_model.encoder.layer:
            own = layer.attention.self
            for name in ("query", "key"):
                linear = nn.Linear(config.hidden_size, own.all_head_size)
                model._init_weights(linear)
                setattr(own, name, linear)


class IBBertModel(_ReadsTheStream, MobileBertModel):  # type: ignore[misc]
    """The bare encoder."""


class IBBertForMaskedLM(_ReadsTheStream, MobileBertForMaskedLM):  # type: ignore[misc]
    """With a masked-word head."""


class IBBertForPreTraining(_ReadsTheStream, MobileBertForPreTraining):  # type: ignore[misc]
    """With a masked-word head and one for the next sentence."""


class IBBertForSequenceClassification(_ReadsTheStream, MobileBertForSequenceClassification):  # type: ignore[misc]
    """With a classifier."""


class IBBertForQuestionAnswering(_ReadsTheStream, MobileBertForQuestionAnswering):  # type: ignore[misc]
    """With a head for the start and the end of an answer."""


class IBBertForTokenClassification(_ReadsTheStream, MobileBertForTokenClassification):  # type: ignore[misc]
    """With a classifier of every token."""


class Shape(Settings):
    """Widths and depth; the defaults are IB-BERT_LARGE's."""

    num_layers: int = Field(default=24, gt=0)
    """Depth."""
    hidden_size: int = Field(default=512, gt=0)
    """Width between the blocks, which its students share."""
    intra_size: int = Field(default=1024, gt=0)
    """Width inside a block, a multiple of the heads."""
    num_heads: int = Field(default=4, gt=0)
    """Attention heads."""
    ffn_size: int = Field(default=4096, gt=0)
    """Width of the feed-forward networks."""
    embedding_size: int = Field(default=128, gt=0)
    """Width of the word embeddings."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of features and attentions, while it learns."""
    first_spread: float = Field(default=0.02, gt=0)
    """Standard deviation of the first weights. A narrower model needs more (0.02 * sqrt(1024 / its width) is as much as
    BERT-large's): with less, deep layers give every token the same features and every attention stays even."""


def ib_bert(
    shape: Shape, vocab_size: int, max_length: int = 512, pad_id: int = 0, *, has_next_sentence: bool = False
) -> PreTrainedModel:
    """An IB-BERT with a masked-word head and random weights (seed torch first).

    Args:
        shape: its widths and depth.
        vocab_size: rows of the embedding table.
        max_length: positions.
        pad_id: of the tokenizer.
        has_next_sentence: whether it has a head for the next sentence too.

    Raises:
        ConfigError: heads that do not divide the width inside a block, or embeddings wider than the stream.
    """
    if shape.intra_size % shape.num_heads:
        near = shape.num_heads * max(1, round(shape.intra_size / shape.num_heads))
        raise ConfigError(f"intra_size: {shape.intra_size} cannot be cut into {shape.num_heads} heads. Try {near}.")
    if shape.embedding_size >= shape.hidden_size:
        raise ConfigError(
            f"embedding_size: {shape.embedding_size} must be narrower than the {shape.hidden_size} features of a block."
        )
    config = IBBertConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=shape.ffn_size,
        intra_bottleneck_size=shape.intra_size,
        embedding_size=shape.embedding_size,
        num_feedforward_networks=1,
        key_query_shared_bottleneck=False,
        normalization_type="layer_norm",
        hidden_act="gelu",
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        initializer_range=shape.first_spread,
        max_position_embeddings=max_length,
        pad_token_id=pad_id,
        classifier_activation=False,
    )
    family = AutoModelForPreTraining if has_next_sentence else AutoModelForMaskedLM
    model: PreTrainedModel = family.from_config(config, attn_implementation="eager")
    return model


AutoConfig.register(FAMILY, IBBertConfig, exist_ok=True)
AutoModel.register(IBBertConfig, IBBertModel, exist_ok=True)
AutoModelForMaskedLM.register(IBBertConfig, IBBertForMaskedLM, exist_ok=True)
AutoModelForPreTraining.register(IBBertConfig, IBBertForPreTraining, exist_ok=True)
AutoModelForSequenceClassification.register(IBBertConfig, IBBertForSequenceClassification, exist_ok=True)
AutoModelForQuestionAnswering.register(IBBertConfig, IBBertForQuestionAnswering, exist_ok=True)
AutoModelForTokenClassification.register(IBBertConfig, IBBertForTokenClassification, exist_ok=True)
