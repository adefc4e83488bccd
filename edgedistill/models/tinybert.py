"""TinyBERT students: a plain BERT of any width and depth, and the projections that compare it with a wider teacher.

Reference: Jiao et al., 2020 (arXiv:1909.10351), sections 3.1 and 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import transformers
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedModel

from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError
from edgedistill.models.answers import longest_input

_AUTO_CLASSES: dict[Kind, Any] = {
    "single": transformers.AutoModelForSequenceClassification,
    "pair": transformers.AutoModelForSequenceClassification,
    "regression": transformers.AutoModelForSequenceClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "tokens": transformers.AutoModelForTokenClassification,
}

Sharing = Literal["paper", "shared", "each"]
"""Which states share a projection: all layers one and the embeddings another (equations 8 and 9), all of them one (the
reference code), or none (the authors' second checkpoints)."""


@dataclass(frozen=True)
class Shape:
    """A student's shape: the paper's TinyBERT4 unless said otherwise.

    Attributes:
        layers: depth.
        hidden: width.
        ffn: width of the feed-forward networks.
        heads: attention heads, a divisor of the width.
        dropout: in embeddings, layers and attention.
    """

    layers: int = 4
    hidden: int = 312
    ffn: int = 1200
    heads: int = 12
    dropout: float = 0.0


def tinybert_for(teacher: PreTrainedModel, kind: Kind, shape: Shape) -> PreTrainedModel:
    """Build a student with the teacher's vocabulary and labels and random weights (seed torch first).

    Args:
        teacher: fine-tuned for the task.
        kind: of the task.
        shape: of the student.

    Raises:
        ConfigError: a width that cannot be cut into the heads.
    """
    config = tinybert_config(shape, teacher)
    student: PreTrainedModel = _AUTO_CLASSES[kind].from_config(config, attn_implementation="eager")
    return student


def tinybert_config(shape: Shape, teacher: PreTrainedModel | None = None) -> BertConfig:
    """The student's configuration; without a teacher English uncased BERT's vocabulary.

    Raises:
        ConfigError: a width that cannot be cut into the heads.
    """
    if shape.hidden % shape.heads:
        near = shape.heads * max(1, round(shape.hidden / shape.heads))
        raise ConfigError(
            f"hidden_size: {shape.hidden} cannot be cut into {shape.heads} heads. Set hidden_size={near}, or num_heads."
        )
    values: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_attention_heads": shape.heads,
        "hidden_dropout_prob": shape.dropout,
        "attention_probs_dropout_prob": shape.dropout,
    }
    if teacher is not None:
        given: Any = teacher.config
        values |= {
            "vocab_size": given.vocab_size,
            "max_position_embeddings": longest_input(teacher),
            "type_vocab_size": max(2, int(getattr(given, "type_vocab_size", 0) or 0)),
            "pad_token_id": given.pad_token_id or 0,
            "id2label": dict(given.id2label),
            "label2id": dict(given.label2id),
            "problem_type": given.problem_type,
        }
    return BertConfig(**values)


class Projections(nn.Module):
    """Learned maps from the student's width to the teacher's: a scaffold, no part of the student."""

    def __init__(self, width: int, teacher_width: int, layers: int, sharing: Sharing, *, bias: bool, seed: int) -> None:
        """Make them.

        Args:
            width: of the student.
            teacher_width: of the teacher. Where it is the student's own, projections begin as the identity.
            layers: of the student; its embeddings come on top.
            sharing: which states share a projection.
            bias: whether they add one.
            seed: of the first weights.
        """
        super().__init__()
        last = {"paper": 1, "shared": 0, "each": layers}[sharing]
        self.maps = nn.ModuleList(nn.Linear(width, teacher_width, bias=bias) for _ in range(last + 1))
        random = torch.Generator().manual_seed(seed)
        for part in self.maps.parameters():
            if part.dim() == 1:
                nn.init.zeros_(part)
            elif width == teacher_width:
                nn.init.eye_(part)
            else:
                # As wide as keeps the states' size: a sum of so many terms has this many times one term's variance.
                nn.init.normal_(part, std=width**-0.5, generator=random)

    def forward(self, hidden: Tensor, layer: int) -> Tensor:
        """(B, S, H) after a student layer (0: its embeddings) to the teacher's width, in float32."""
        projected: Tensor = self.maps[min(layer, len(self.maps) - 1)](hidden)
        return projected.float()
