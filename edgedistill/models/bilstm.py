"""A one-layer BiLSTM over word vectors as a transformers model: saved, loaded and exported like any other.

Word vectors (one table that learns, one that does not, or both side by side), a bidirectional LSTM, its last two
states, a rectified layer, the classes. A pair is read side by side with the same weights; the layer then sees
[u, v, u * v, |u - v|]. Padding is never read: the states are those after a text's own last token.

Reference: Tang et al., 2019 (arXiv:1903.12136), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from edgedistill.data.tasks import Kind
from edgedistill.models.factors import principal_directions

Channels = Literal["both", "tuned", "static"]
_SPREAD = 0.1
"""Standard deviation of a random table's entries."""


class BiLstmConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of a BiLSTM.

    `hidden_size` is the width of a text's vector, two states. There are no layers or heads that could be compared
    with a transformer's, so their numbers are 0.
    """

    model_type = "bilstm"

    def __init__(
        self,
        vocab_size: int = 1000,
        embedding_size: int = 300,
        channels: Channels = "both",
        lstm_size: int = 150,
        fc_size: int = 200,
        is_siamese: bool = False,
        dropout: float = 0.0,
        max_position_embeddings: int = 512,
        pad_token_id: int = 0,
        **others: Any,
    ) -> None:
        for derived in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
            others.pop(derived, None)
        super().__init__(pad_token_id=pad_token_id, **others)
        self.vocab_size, self.embedding_size, self.channels = vocab_size, embedding_size, channels
        self.lstm_size, self.fc_size, self.is_siamese, self.dropout = lstm_size, fc_size, is_siamese, dropout
        self.max_position_embeddings = max_position_embeddings
        self.hidden_size, self.num_hidden_layers, self.num_attention_heads = 2 * lstm_size, 0, 0
        self.pad_token_id = pad_token_id

    @property
    def num_channels(self) -> int:
        """Tables of word vectors."""
        return 2 if self.channels == "both" else 1


class BiLstmPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """How BiLSTMs are initialised."""

    config_class = BiLstmConfig
    base_model_prefix = "bilstm"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=_SPREAD)
            if not getattr(module.weight, "_is_hf_initialized", False):
                module.weight[self.config.pad_token_id] = 0.0
        else:
            super()._init_weights(module)


class WordVectors(nn.Module):
    """The tables of word vectors, side by side."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        size = (config.vocab_size, config.embedding_size)
        self.static = None if config.channels == "tuned" else nn.Embedding(*size)
        self.tuned = None if config.channels == "static" else nn.Embedding(*size)
        if self.static is not None:
            self.static.requires_grad_(False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, S) ids to (B, S, E), or (B, S, 2E) with both channels."""
        found = [table(input_ids) for table in (self.static, self.tuned) if table is not None]
        return torch.cat(found, dim=-1) if len(found) > 1 else found[0]


class BiLstmModel(BiLstmPreTrainedModel):
    """Tokens to one vector a text: the last states of both directions."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        self.embeddings = WordVectors(config)
        width = config.num_channels * config.embedding_size
        self.lstm = nn.LSTM(width, config.lstm_size, batch_first=True, bidirectional=True)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table that learns; the other where none does."""
        table = self.embeddings.tuned or self.embeddings.static
        assert table is not None
        return table

    def forward(self, side: Side) -> Tensor:
        """Read one side of every row: (B, 2h)."""
        vectors = self.embeddings(side.input_ids)
        packed = pack_padded_sequence(vectors, side.lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (states, _) = self.lstm(packed)
        return torch.cat((states[0], states[1]), dim=-1)


class BiLstmForSequenceClassification(BiLstmPreTrainedModel):
    """A BiLSTM with a rectified layer and classes (or one score) on top."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        self.bilstm = BiLstmModel(config)
        self.fc = nn.Linear((4 if config.is_siamese else 1) * config.hidden_size, config.fc_size)
        self.classifier = nn.Linear(config.fc_size, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None, **_: Any
    ) -> SequenceClassifierOutput:
        """Answer a padded batch.

        Args:
            input_ids: (B, S) int64, padded on the right.
            attention_mask: (B, S) int64, 1 for real tokens.
            token_type_ids: (B, S) int64, 1 for the second text of a pair; read by a siamese model only.
        """
        read = sides(self.config, input_ids, attention_mask, token_type_ids)
        vectors = joined([self.bilstm(side) for side in read])
        features = functional.dropout(torch.relu(self.fc(vectors)), self.config.dropout, self.training)
        return SequenceClassifierOutput(logits=self.classifier(features))


@dataclass(frozen=True)
class Side:
    """One text of every row, from its first token on.

    Attributes:
        input_ids: (B, S), the padding's id behind a text's end, whatever was there.
        lengths: (B,) tokens of each, at least 1: an empty text is one token of padding.
    """

    input_ids: Tensor
    lengths: Tensor


def sides(config: Any, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> list[Side]:
    """The texts to read: one, or for a siamese model the two of a pair."""
    if not config.is_siamese:
        return [_side(config.pad_token_id, input_ids, attention_mask.sum(dim=1))]
    types = torch.zeros_like(attention_mask) if token_type_ids is None else token_type_ids * attention_mask
    second = types.sum(dim=1)
    first = attention_mask.sum(dim=1) - second
    places = torch.arange(input_ids.shape[1], device=input_ids.device)[None, :] + first[:, None]
    moved = torch.gather(input_ids, 1, places.clamp(max=input_ids.shape[1] - 1))
    return [_side(config.pad_token_id, input_ids, first), _side(config.pad_token_id, moved, second)]


def _side(pad_id: int, input_ids: Tensor, lengths: Tensor) -> Side:
    is_real = torch.arange(input_ids.shape[1], device=input_ids.device)[None, :] < lengths[:, None]
    return Side(torch.where(is_real, input_ids, torch.full_like(input_ids, pad_id)), lengths.clamp(min=1))


def joined(vectors: list[Tensor]) -> Tensor:
    """One (B, F) vector; of two, [u, v, u * v, |u - v|] of (B, 4F)."""
    if len(vectors) == 1:
        return vectors[0]
    u, v = vectors
    return torch.cat((u, v, u * v, (u - v).abs()), dim=-1)


def bilstm_for(config: BiLstmConfig, table: Tensor | None) -> BiLstmForSequenceClassification:
    """A BiLSTM with random weights (seed torch first) over those word vectors.

    Args:
        config: its shape.
        table: (V, E) float, the vectors that every channel starts from; none: random ones. Padding's become 0.
    """
    student = BiLstmForSequenceClassification(config)
    first, *others = [t for t in (student.bilstm.embeddings.static, student.bilstm.embeddings.tuned) if t is not None]
    with torch.no_grad():
        if table is not None:
            first.weight.copy_(table)
            first.weight[config.pad_token_id] = 0.0
        for other in others:
            other.weight.copy_(first.weight)
    return student


def narrowed(table: Tensor, size: int) -> Tensor:
    """(V, E) word vectors in `size` numbers: their coordinates along the table's principal directions."""
    if size == table.shape[1]:
        return table
    coordinates: Tensor = table @ principal_directions(table, size)
    return coordinates


def parameters_without_words(model: PreTrainedModel) -> int:
    """Parameters apart from the tables: the figure that the paper prints."""
    sizes: dict[str, int] = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return sum(size for name, size in sizes.items() if "embeddings" not in name.split("."))


def with_task(config: BiLstmConfig, kind: Kind, labels: tuple[str, ...]) -> BiLstmConfig:
    """The configuration with the task's classes, or the one score of a regression."""
    names = labels if kind != "regression" else ("score",)
    config.id2label, config.label2id = dict(enumerate(names)), {name: n for n, name in enumerate(names)}
    config.problem_type = "regression" if kind == "regression" else "single_label_classification"
    return config


transformers.AutoConfig.register(BiLstmConfig.model_type, BiLstmConfig, exist_ok=True)
transformers.AutoModelForSequenceClassification.register(BiLstmConfig, BiLstmForSequenceClassification, exist_ok=True)
