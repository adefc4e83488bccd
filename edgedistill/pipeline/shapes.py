"""Shapes of MobileBERT students to choose from, with what can be said of each without converting it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from edgedistill import plugins
from edgedistill.config import build, with_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgedistill.data.tasks import Kind

RECIPE = "mobilebert"
_INTRA_SHARES = (1 / 8, 3 / 16, 1 / 4, 3 / 8)
"""Widths inside a block, as shares of the teacher's; the paper's is 1/4, the recipe's default 3/16."""
_NUM_FFN = (1, 2, 4)
_EMBEDDINGS = (128, 64)
VOCABULARY = "vocabulary.size"
_OWN_EMBEDDINGS = ("mobilebert", "ib_bert")
"""Families whose students keep the teacher's embedding width."""


@dataclass(frozen=True)
class Candidate:
    """A shape.

    Attributes:
        settings: what tells it from the others, in the recipe's words.
        shape: `edgedistill.models.mobilebert.Shape`.
        parameters: exactly.
        block_parameters: those inside the blocks.
        work: multiplications of one text, within a few per cent; only compared with one another.
        sizes: computed bytes by scheme.
    """

    settings: dict[str, int]
    shape: Any
    parameters: int
    block_parameters: int
    work: int
    sizes: dict[str, int]

    @property
    def name(self) -> str:
        """Of its row and folder."""
        words = f"-voc{self.vocabulary}" if self.vocabulary else ""
        return "intra{intra_size}-ffn{num_ffn}-emb{embedding_size}".format(**self.settings) + words

    @property
    def vocabulary(self) -> int | None:
        """Entries of a vocabulary that was cut; none for the whole one."""
        return self.settings.get(VOCABULARY)


def candidates(
    teachers: Mapping[int | None, PreTrainedModel],
    kind: Kind,
    settings: Sequence[str],
    target: str,
    schemes: Sequence[str],
    length: int,
) -> tuple[Candidate, ...]:
    """Every shape around a teacher, most parameters inside the blocks first, then the widest embeddings, most words.

    Args:
        teachers: the teacher by the size its vocabulary was cut to, none for the whole one; only configurations are
            read.
        kind: of the head.
        settings: `key=value` texts of the recipe; what they set is not varied.
        target: runtime that sizes are computed for.
        schemes: likewise.
        length: tokens, likewise.

    Raises:
        ConfigError: settings that the recipe or this teacher does not take.
        CheckpointError: a teacher that is no BERT family.
    """
    found = [
        one
        for size, teacher in teachers.items()
        for one in _around(teacher, {VOCABULARY: size} if size else {}, kind, settings, target, schemes, length)
    ]
    return tuple(
        sorted(found, key=lambda one: (-one.block_parameters, -one.settings["embedding_size"], -one.parameters))
    )


def _around(
    teacher: PreTrainedModel,
    words: dict[str, int],
    kind: Kind,
    settings: Sequence[str],
    target: str,
    schemes: Sequence[str],
    length: int,
) -> Iterator[Candidate]:
    import torch

    from edgedistill.models.mobilebert import unlearned_mobilebert
    from edgedistill.quant.sizes import file_bytes

    recipe = plugins.load("recipes", RECIPE)
    for varied in _grid(teacher.config, with_settings({}, settings)):
        cfg = build(recipe.Config, with_settings(varied, settings), "--set")
        shape = recipe.shape_of(cfg, int(teacher.config.num_hidden_layers))
        with torch.device("meta"):  # shapes without numbers: counting takes no memory
            student = unlearned_mobilebert(teacher, kind, shape)
        blocks = sum(parameter.numel() for parameter in student.base_model.encoder.parameters())
        config = student.config
        attention = 2 * config.num_hidden_layers * length * config.intra_bottleneck_size
        yield Candidate(
            settings={
                "intra_size": config.intra_bottleneck_size,
                "num_ffn": config.num_feedforward_networks,
                "embedding_size": config.embedding_size,
                **words,
            },
            shape=shape,
            parameters=student.num_parameters(),
            block_parameters=blocks,
            work=length * (blocks + attention + 3 * config.embedding_size * config.hidden_size),
            sizes={scheme: file_bytes(student, target, scheme, length) for scheme in schemes},
        )


def _grid(config: Any, chosen: dict[str, Any]) -> list[dict[str, int]]:
    """Settings of every shape, without those that were chosen by hand."""
    width, heads = int(config.hidden_size), int(config.num_attention_heads)
    axes: dict[str, list[int]] = {
        "intra_size": sorted({heads * max(1, round(share * width / heads)) for share in _INTRA_SHARES}),
        "num_ffn": list(_NUM_FFN),
        "embedding_size": sorted({min(size, width) for size in _EMBEDDINGS}),
    }
    if config.model_type in _OWN_EMBEDDINGS:
        axes["embedding_size"] = [int(config.embedding_size)]
    left = {name: values for name, values in axes.items() if chosen.get(name) is None}
    return [dict(zip(left, values, strict=True)) for values in product(*left.values())]
