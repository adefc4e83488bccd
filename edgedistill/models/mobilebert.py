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
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.answers import first_position, longest_input
from edgedistill.models.factors import Weights, principal_directions
from edgedistill.models.folder import HeadKind
from edgedistill.models.loading import AUTO_CLASSES

_KIN = frozenset({"mobilebert", "ib_bert"})
"""Families whose embeddings and masked-word head have MobileBERT's own form, and are copied."""


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
        _start_embeddings(student, teacher, counts)
        _start_head(student, teacher)
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
    if teacher.config.model_type not in _KIN:
        _word_table(teacher)
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
    words = student.base_model.embeddings.word_embeddings
    with torch.no_grad():
        words.weight[words.padding_idx] = 0.0
    keep_padding_zero(student)
    return student


def keep_padding_zero(student: PreTrainedModel) -> None:
    """Let nothing be learnt into the embedding of PAD, which the trigram of a text's last token reads.

    Its row gets no gradient as an input; as a row of the output table of a masked-word head it would.
    """
    words = student.base_model.embeddings.word_embeddings
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
    own = given.embedding_size if given.model_type in _KIN else min(128, width)
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


def _start_embeddings(student: PreTrainedModel, teacher: PreTrainedModel, counts: Weights | None) -> None:
    own: Any = student.base_model.embeddings
    given: Any = getattr(teacher.base_model, "embeddings", None)
    if teacher.config.model_type in _KIN:
        _copy_embeddings(own, given)
        return
    table = _word_table(teacher).clone()
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


def _word_table(teacher: PreTrainedModel) -> Tensor:
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
    own.word_embeddings.weight[own.word_embeddings.padding_idx] = 0.0  # type: ignore[index, union-attr, operator]


_HEAD_PAIRS = (
    ("pooler.dense", "pooler.dense"),
    ("cls.seq_relationship", "cls.seq_relationship"),
    ("classifier", "classifier"),
    ("qa_outputs", "qa_outputs"),
    ("pooler.dense", "classifier.dense"),
    ("classifier", "classifier.out_proj"),
)
"""Student's module, teacher's module. The last two are RoBERTa's, whose classifier holds the pooler."""


def _start_head(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    if teacher.config.model_type in _KIN and hasattr(student, "cls") and hasattr(teacher, "cls"):
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
