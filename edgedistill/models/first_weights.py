"""What a MobileBERT student begins with: its teacher's embeddings, factorised, and its head where the two fit.

Reference: Sun et al., 2020 (arXiv:2004.02984), section 3. The paper copies the embeddings of a teacher that was made
for it; an ordinary BERT has none of that width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.answers import first_position
from edgedistill.models.factors import Weights, principal_directions

KIN = frozenset({"mobilebert", "ib_bert"})
"""Families whose embeddings and masked-word head have MobileBERT's own form, and are copied."""


def start_embeddings(student: PreTrainedModel, teacher: PreTrainedModel, counts: Weights | None) -> None:
    """Give the student the teacher's words, positions and segments.

    Args:
        student: a MobileBERT, random.
        teacher: copied from where it is a MobileBERT too.
        counts: (V,) what each word's error counts in factorising; none: all the same.

    Raises:
        ConfigError: another width than the one that is copied.
        CheckpointError: a teacher whose embeddings cannot be read.
    """
    own: Any = student.base_model.embeddings
    given: Any = getattr(teacher.base_model, "embeddings", None)
    if teacher.config.model_type in KIN:
        _copy_embeddings(own, given)
        return
    table = word_table(teacher).clone()
    table[student.config.pad_token_id] = 0.0
    own.word_embeddings.weight.copy_(_factorised(table, own, counts))
    first = first_position(teacher)
    positions = given.position_embeddings.weight[first:]
    own.position_embeddings.weight.copy_(positions)
    own.token_type_embeddings.weight.zero_()
    if hasattr(given, "token_type_embeddings"):
        segments = given.token_type_embeddings.weight
        own.token_type_embeddings.weight.copy_(segments if len(segments) > 1 else segments.expand(2, -1))
    _start_norm(own.LayerNorm, given.LayerNorm, table, positions + own.token_type_embeddings.weight[0])


def word_table(teacher: PreTrainedModel) -> Tensor:
    """The teacher's word embeddings, (V, H).

    Raises:
        CheckpointError: it has none of that form.
    """
    words = getattr(getattr(teacher.base_model, "embeddings", None), "word_embeddings", None)
    if words is None or words.weight.shape[1] != teacher.config.hidden_size:
        raise CheckpointError(
            f"the embeddings of a '{teacher.config.model_type}' teacher cannot be factorised. "
            "There are: bert, distilbert, roberta, xlm-roberta, mobilebert."
        )
    table: Tensor = words.weight
    return table


def _factorised(table: Tensor, own: Any, counts: Weights | None) -> Tensor:
    """Set the projection to the table's principal directions; return each word's coordinates along them.

    The trigram's input is [next, current, previous] words: only the middle third takes part at first.
    """
    size = own.embedding_size
    directions = principal_directions(table, size, counts)
    projection = own.embedding_transformation
    projection.weight.zero_()
    projection.bias.zero_()
    middle = slice(size, 2 * size) if own.trigram_input else slice(0, size)
    projection.weight[:, middle] = directions
    coordinates: Tensor = table @ directions
    return coordinates


def _start_norm(own: nn.Module, given: nn.LayerNorm, table: Tensor, offsets: Tensor) -> None:
    """Copy the LayerNorm, or the scaling that comes nearest to it: by the words' average spread."""
    scale: Tensor = given.weight
    if not isinstance(own, nn.LayerNorm):
        words = table + offsets[torch.arange(len(table)) % min(64, len(offsets))]
        scale = scale / words.std(dim=-1).clamp(min=1e-6).median()
    assert isinstance(own.weight, Tensor)
    assert isinstance(own.bias, Tensor)
    own.weight.copy_(scale)
    own.bias.copy_(given.bias)


def _copy_embeddings(own: nn.Module, given: Any) -> None:
    """A MobileBERT teacher's embeddings are already factorised: take them as they are, as the paper does."""
    state = {name: value for name, value in given.state_dict().items() if "LayerNorm" not in name}
    if own.word_embeddings.weight.shape != given.word_embeddings.weight.shape:  # type: ignore[union-attr]
        raise ConfigError(f"embedding_size: a MobileBERT teacher passes its own on; set it to {given.embedding_size}.")
    own.load_state_dict(state, strict=False)
    if type(own.LayerNorm) is type(given.LayerNorm):
        own.LayerNorm.load_state_dict(given.LayerNorm.state_dict())  # type: ignore[union-attr]


_HEAD_PAIRS = (
    ("pooler.dense", "pooler.dense"),
    ("cls.seq_relationship", "cls.seq_relationship"),
    ("classifier", "classifier"),
    ("qa_outputs", "qa_outputs"),
    ("pooler.dense", "classifier.dense"),
    ("classifier", "classifier.out_proj"),
)
"""Student's module, teacher's module. The last two are RoBERTa's, whose classifier holds the pooler."""


def start_head(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """Give the student those modules of the teacher's head that have the same form."""
    if teacher.config.model_type in KIN and hasattr(student, "cls") and hasattr(teacher, "cls"):
        student.cls.load_state_dict(teacher.cls.state_dict())
    if hasattr(teacher, "pre_classifier"):
        return  # DistilBERT's classifier reads a ReLU, MobileBERT's a tanh
    for own_name, given_name in _HEAD_PAIRS:
        own, given = _module(student, own_name), _module(teacher, given_name)
        if isinstance(own, nn.Linear) and isinstance(given, nn.Linear) and own.weight.shape == given.weight.shape:
            own.load_state_dict(given.state_dict())


def _module(model: PreTrainedModel, name: str) -> nn.Module | None:
    for parent in (model.base_model, model):
        try:
            module: nn.Module = parent.get_submodule(name)
        except AttributeError:
            continue
        return module
    return None
