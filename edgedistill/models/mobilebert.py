"""MobileBERT students cut to fit any BERT teacher, started from the teacher's embeddings and head.

The inter-block width and the heads are the teacher's, so that every layer's features and attentions can be
compared without a projection. The class is transformers' own: the student loads back with AutoModel.

Reference: Sun et al., 2020 (arXiv:2004.02984), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import MobileBertConfig, PreTrainedModel

from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError
from edgedistill.models.answers import longest_input
from edgedistill.models.factors import Weights
from edgedistill.models.first_weights import KIN, start_embeddings, start_head, word_table
from edgedistill.models.folder import HeadKind
from edgedistill.models.heads import AUTO_CLASSES


@dataclass(frozen=True)
class Shape:
    """What may be chosen freely; the rest is the teacher's.

    Attributes:
        layers: depth.
        intra: width inside a block; None: 3/16 of the teacher's width (72 for 384), a multiple of its heads.
        ffn: width of the feed-forward networks; None: the teacher's width, as in the paper.
        num_ffn: feed-forward networks per block.
        embedding: width of the word embeddings; None: 128, the teacher's width where that is less, or a MobileBERT
            teacher's own.
        norm: "no_norm", a multiplication and an addition, or "layer_norm".
        activation: of the feed-forward networks.
        attention: "shared" reads queries and keys from a narrowing of their own and values from the stream between the
            blocks (MobileBERT); "narrow" reads all three from the block's narrowed input (MobileBERT-tiny).
    """

    layers: int
    intra: int | None = None
    ffn: int | None = None
    num_ffn: int = 2
    embedding: int | None = None
    norm: Literal["no_norm", "layer_norm"] = "no_norm"
    activation: Literal["relu", "gelu"] = "relu"
    attention: Literal["shared", "narrow"] = "shared"


def mobilebert_for(
    teacher: PreTrainedModel, kind: HeadKind, shape: Shape, counts: Weights | None = None
) -> PreTrainedModel:
    """Build a student with the teacher's vocabulary, widths, head and labels.

    Its blocks are random (seed torch first); its embeddings are the teacher's, factorised; its head is the
    teacher's where the two have the same form.

    Args:
        teacher: fine-tuned for the task.
        kind: of the task; "pretraining" for heads of hidden words and of the next sentence.
        shape: of the student.
        counts: (V,) what each word's error counts in factorising the embeddings; none: all the same.

    Raises:
        ConfigError: a shape that cannot work.
        CheckpointError: a teacher whose embeddings cannot be read.
    """
    config = _config(teacher, shape)
    student: PreTrainedModel = AUTO_CLASSES[kind].from_config(config, attn_implementation="eager")
    with torch.no_grad():
        start_embeddings(student, teacher, counts)
        start_head(student, teacher)
    keep_padding_zero(student)
    return student


def unlearned_mobilebert(teacher: PreTrainedModel, kind: Kind, shape: Shape) -> PreTrainedModel:
    """Build the same student with nothing learnt in it: for its size and its speed, which the shape alone decides.

    On torch's "meta" device it takes no memory, and its parameters can be counted. Biases and norms are moved off
    their zeros and ones: converters store equal tensors once, and no two tensors of a trained model are equal.

    Args:
        teacher: any BERT-family model; only its configuration is read.
        kind: of the task.
        shape: of the student.

    Raises:
        ConfigError: a shape that cannot work.
        CheckpointError: a teacher that no student can be started from.
    """
    if teacher.config.model_type not in KIN:
        word_table(teacher)
    student: PreTrainedModel = AUTO_CLASSES[kind].from_config(_config(teacher, shape), attn_implementation="eager")
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.02 * torch.randn_like(parameter))
    return student.eval()


def as_begun_here(student: PreTrainedModel) -> PreTrainedModel:
    """Make a MobileBERT from elsewhere learn as one built here: no dropout, and zeros after the end of a text."""
    for module in student.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    config: Any = student.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    keep_padding_zero(student)
    return student


def keep_padding_zero(model: PreTrainedModel) -> None:
    """Clear the embedding of PAD, which the trigram of a text's last token reads, and let nothing be learnt into it.

    Its row gets no gradient as an input; as a row of the output table of a masked-word head it would.
    """
    words = model.base_model.embeddings.word_embeddings
    with torch.no_grad():
        words.weight[words.padding_idx] = 0.0
    words.weight.register_hook(lambda gradient: gradient.index_fill(0, _row(words.padding_idx, gradient), 0.0))


def _row(number: int, like: Tensor) -> Tensor:
    return torch.tensor([number], device=like.device)


@contextmanager
def first_blocks(student: nn.Module, count: int) -> Iterator[None]:
    """Run only the first `count` blocks within the block of code; the others hand on what they get.

    The blocks stay in their list: transformers hooks them at the first call that asks for hidden states, and would
    never see those that were not there.
    """
    skipped = student.base_model.encoder.layer[count:]  # type: ignore[union-attr, index]
    for block in skipped:
        block.forward = _handed_on
    try:
        yield
    finally:
        for block in skipped:
            del block.forward


def _handed_on(hidden_states: Tensor, *others: object, **more: object) -> Tensor:
    return hidden_states


def _config(teacher: PreTrainedModel, shape: Shape) -> MobileBertConfig:
    given: Any = teacher.config
    width, heads = int(given.hidden_size), int(given.num_attention_heads)
    intra = shape.intra or heads * max(1, round(width * 3 / 16 / heads))
    if intra % heads:
        near = heads * max(1, round(intra / heads))
        raise ConfigError(f"intra_size: {intra} cannot be cut into the teacher's {heads} heads. Try {near}.")
    own = given.embedding_size if given.model_type in KIN else min(128, width)
    embedding = shape.embedding or int(own)
    if embedding > width:
        raise ConfigError(
            f"embedding_size: {embedding} is wider than the teacher's {width} features; set at most {width}."
        )
    config = MobileBertConfig(
        vocab_size=given.vocab_size,
        hidden_size=width,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        intermediate_size=shape.ffn or width,
        hidden_act=shape.activation,
        hidden_dropout_prob=0.0,
        # Transferred attentions are read in training mode, where transformers returns them after dropout.
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=longest_input(teacher),
        type_vocab_size=max(2, int(getattr(given, "type_vocab_size", 0) or 0)),
        pad_token_id=given.pad_token_id or 0,
        embedding_size=embedding,
        intra_bottleneck_size=intra,
        num_feedforward_networks=shape.num_ffn,
        normalization_type=shape.norm,
        use_bottleneck_attention=shape.attention == "narrow",
        key_query_shared_bottleneck=shape.attention == "shared",
        classifier_activation=bool(getattr(given, "classifier_activation", True)),
    )
    config.id2label, config.label2id = dict(given.id2label), dict(given.label2id)
    config.problem_type = given.problem_type
    return config
