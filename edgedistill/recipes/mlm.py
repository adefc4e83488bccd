"""Masked language modelling (Devlin et al., 2019): needs an encoder and raw text; gives a masked-LM teacher.

Words are hidden and guessed from what is around them. This gives a masked-word head to a checkpoint without one, goes
on training one that has it on text of the user's own domain, and makes teachers for the recipes that compare guesses
of words. The head's output table is the embeddings' own (tied). A part of the text is held out: the share of its
hidden words that are guessed chooses the epoch and is reported. On request texts come in pairs, and a second head tells
whether the second follows the first (next-sentence prediction).
Differs from the paper: masks change in every epoch (Liu et al., 2019), text is split at line ends and `max_length`, and
no next sentence is predicted unless it is asked for.
Paper: Devlin et al., 2019, arXiv:1810.04805, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.errors import ConfigError
from edgedistill.losses.labels import label_loss, next_sentence_loss
from edgedistill.models.answers import answer, longest_input
from edgedistill.models.first_weights import KIN
from edgedistill.models.ib_bert import Shape, ib_bert
from edgedistill.models.loading import load
from edgedistill.models.mobilebert import keep_padding_zero
from edgedistill.models.outputs import Want
from edgedistill.models.pretraining import load_for_pretraining
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import OptimConfig, Stage, labelled_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"mlm"})
NEEDS_TEACHER = False


class Config(RecipeConfig):
    """Settings of masked language modelling."""

    ib_bert: Shape | None = None
    """Train an IB-BERT of this shape from random weights; --student then gives the tokenizer only. null: no."""

    mask_rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of a row's tokens that are guessed (80 % shown as [MASK], 10 % as another token, 10 % as they are)."""
    rare_words: float = Field(default=0.0, ge=0)
    """Tokens are chosen in proportion to count ** -rare_words: 0 as in BERT, 0.7 as in DistilBERT's code."""
    next_sentence: float = Field(default=0.0, ge=0)
    """Weight of next-sentence prediction (BERT's is 1), nats per pair; blank lines of the corpus part its documents. 0:
    texts are read one by one, and there is no head for it."""
    head_pace: float = Field(default=5.0, gt=0)
    """How many times faster than the encoder the head learns: a new one has all to learn."""
    optim: OptimConfig = OptimConfig(lr=2e-4, epochs=1.0, batch_size=32)
    """How to optimise."""

    @property
    def reads_pairs(self) -> bool:
        """Whether raw text is read two texts at a time."""
        return self.next_sentence > 0


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Load the checkpoint to start from, with its own heads or new ones; or begin an IB-BERT.

    Raises:
        ConfigError: no checkpoint was given, or a shape that cannot work.
        CheckpointError: it cannot be used, or its family has no such head.
    """
    if given.start is None:
        raise ConfigError("the recipe 'mlm' needs a checkpoint to start from. Give it with --student.")
    if cfg.ib_bert is not None:
        start = load(given.start, kind="mlm").model
        places = longest_input(start), start.config.pad_token_id or 0
        student = ib_bert(cfg.ib_bert, start.config.vocab_size, *places, has_next_sentence=cfg.reads_pairs)
    else:
        student = load_for_pretraining(given.start) if cfg.reads_pairs else load(given.start, kind="mlm").model
    if student.config.model_type in KIN:
        keep_padding_zero(student)
    return student


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield the one stage."""
    rows = given.data.train
    words = vocabulary_of(given.data.tokenizer, rows, cfg.rare_words)

    def step(batch: Batch) -> dict[str, Tensor]:
        assert batch.labels is not None
        is_hidden = batch.labels.ne(IGNORED)
        found = answer(student, batch.student, Want(words=is_hidden))
        assert found.logits is not None
        terms = {"mlm": label_loss("mlm", found.logits, batch.labels[is_hidden])}
        if cfg.next_sentence:
            terms["next_sentence"] = cfg.next_sentence * next_sentence_loss(found.next_sentence, batch.next_sentence)
        return terms

    yield Stage(
        name="mlm",
        model=student,
        batches=Masked(rows, words, cfg.mask_rate),
        step=step,
        optim=cfg.optim,
        means_over={"mlm": labelled_tokens},
        evaluate=lambda: dev_score(student, given.data),
        pace=_pace(cfg, student),
    )


def _pace(cfg: Config, student: PreTrainedModel) -> Callable[[str], float]:
    encoder = f"{student.base_model_prefix}."
    return lambda name: 1.0 if name.startswith(encoder) else cfg.head_pace
