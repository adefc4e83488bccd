"""DistilBERT students: some of a BERT's own layers, without segments and pooler (Sanh et al., 2019, section 3).

The class is transformers' own: the student loads back with AutoModel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from transformers import DistilBertConfig, PreTrainedModel

from edgedistill.data.tasks import Kind
from edgedistill.errors import CheckpointError
from edgedistill.models.heads import AUTO_CLASSES

_LAYER = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
_HEADS = {
    "vocab_transform": "cls.predictions.transform.dense",
    "vocab_layer_norm": "cls.predictions.transform.LayerNorm",
    "qa_outputs": "qa_outputs",
}
"""Student's module: teacher's. A classifier reads a ReLU here and a tanh in BERT, so that there is nothing to copy; for
tags there is no layer between."""


def distilbert_for(
    teacher: PreTrainedModel, kind: Kind, layers: Sequence[int], *, folds_segment: bool = True
) -> PreTrainedModel:
    """Copy a BERT's embeddings, some of its layers, and its head where it has the same form.

    Args:
        teacher: a BERT (MiniLM is one too).
        kind: what the student answers.
        layers: of the teacher, counted from 1, one for each of the student's.
        folds_segment: add the first segment's embedding to the positions: without it every layer would read something
            else than in the teacher.

    Raises:
        CheckpointError: no BERT.
    """
    given: Any = teacher.config
    if given.model_type != "bert":
        raise CheckpointError(
            f"a DistilBERT is cut out of a bert (MiniLM is one too), not of a {given.model_type}. Give it as "
            "--student, if you have one already."
        )
    config = DistilBertConfig(
        vocab_size=given.vocab_size,
        max_position_embeddings=given.max_position_embeddings,
        sinusoidal_pos_embds=False,
        n_layers=len(layers),
        n_heads=given.num_attention_heads,
        dim=given.hidden_size,
        hidden_dim=given.intermediate_size,
        dropout=given.hidden_dropout_prob,
        attention_dropout=given.attention_probs_dropout_prob,
        activation=given.hidden_act,
        pad_token_id=given.pad_token_id or 0,
    )
    config.id2label, config.label2id = dict(given.id2label), dict(given.label2id)
    config.problem_type = given.problem_type
    student: PreTrainedModel = AUTO_CLASSES[kind].from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for own, theirs in _pairs(student, teacher, layers):
            own.load_state_dict(theirs.state_dict())
        if hasattr(student, "vocab_projector") and hasattr(teacher, "cls"):
            student.vocab_projector.bias.copy_(teacher.cls.predictions.bias)
        if folds_segment:
            embeddings = student.base_model.embeddings
            embeddings.position_embeddings.weight += teacher.base_model.embeddings.token_type_embeddings.weight[0]
    return student


def _pairs(student: Any, teacher: Any, layers: Sequence[int]) -> Iterator[tuple[nn.Module, nn.Module]]:
    own, given = student.base_model.embeddings, teacher.base_model.embeddings
    for name in ("word_embeddings", "position_embeddings", "LayerNorm"):
        yield getattr(own, name), getattr(given, name)
    for layer, number in zip(student.base_model.transformer.layer, layers, strict=True):
        for name, theirs in _LAYER.items():
            yield layer.get_submodule(name), teacher.base_model.encoder.layer[number - 1].get_submodule(theirs)
    for name, theirs in _HEADS.items():
        if hasattr(student, name) and hasattr(teacher, theirs.partition(".")[0]):
            yield student.get_submodule(name), teacher.get_submodule(theirs)
