"""DistilBERT (Sanh et al., 2019): needs a masked-LM teacher and text, or a task teacher; gives half its layers.

General distillation: on raw text with hidden words, the student learns from the teacher's guesses of every word, from
the hidden words themselves, and to point its last hidden states where the teacher's point (section 2, the triple
loss). Then `finetune --student` makes it a task's; or, with a task and a fine-tuned teacher, this recipe distils a
second time (section 4.1, on SQuAD in the paper).
Differs from the authors' code: padding is no place where an answer can begin or end, and the first segment's embedding
stays, folded into the positions (docs/papers.md).
Paper: Sanh et al., 2019, arXiv:1910.01108.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.errors import ConfigError
from edgedistill.losses.hidden import hidden_cosine
from edgedistill.losses.labels import label_loss
from edgedistill.losses.soft_targets import logit_mse, soft_targets, span_soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.distilbert import distilbert_for
from edgedistill.models.layers import spread_layers
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.models.starts import refuse_other_shape
from edgedistill.recipes import CutsVocabulary, Ingredients, LossWeights
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import OptimConfig, Stage, labelled_tokens, valid_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"mlm", "single", "pair", "regression", "span", "tokens"})
NEEDS_TEACHER = True


class Words(LossWeights):
    """The triple loss. 0 leaves a term out."""

    soft: float = Field(default=5.0, ge=0)
    """The teacher's guesses, nats per word, times the temperature's square."""
    hidden_words: float = Field(default=2.0, ge=0)
    """The hidden words themselves, nats per word."""
    cosine: float = Field(default=1.0, ge=0)
    """Directions of the last hidden states, 0 to 2 per word."""
    only_hidden: bool = False
    """Compare guesses at hidden words only, not at all: cheaper."""


class Answers(LossWeights):
    """The second distillation."""

    soft: float = Field(default=0.5, ge=0)
    """The teacher's answer: nats, times the temperature's square; squared score for regression."""
    labels: float = Field(default=0.5, ge=0)
    """The right answer; 0: no labels are needed."""
    padding: Literal["masked", "counted"] = "masked"
    """Of spans; counted: padding is a place where the teacher's answer may begin or end, as in the authors' code."""


class Config(CutsVocabulary):
    """Settings of DistilBERT."""

    num_layers: int | None = Field(default=None, gt=0)
    """Student depth; none: half the teacher's."""
    layer_map: tuple[int, ...] = ()
    """Teacher layers (from 1) to copy; empty: evenly from the first to the last, (1, 3, 5, 8, 10, 12) for 12 and 6."""
    fold_segment: bool = True
    """Add the first segment's embedding to the positions, so that the copied layers read what they know; the authors'
    code drops it."""
    temperature: float = Field(default=2.0, gt=0)
    """Of the teacher's answers."""
    mask_rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that are hidden."""
    rare_words: float = Field(default=0.7, ge=0)
    """Words are hidden in proportion to count ** -rare_words."""
    words: Words = Words()
    """Losses of the general distillation."""
    words_optim: OptimConfig = OptimConfig(
        lr=5e-4, epochs=3.0, batch_size=32, weight_decay=0.0, warmup=0.05, clip_norm=5.0, betas=(0.9, 0.98), eps=1e-6
    )
    """How the general distillation optimises."""
    answers: Answers = Answers()
    """Losses of the second distillation."""
    answers_optim: OptimConfig = OptimConfig(lr=5e-5, epochs=3.0, batch_size=32)
    """How the second distillation optimises."""

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels."""
        return self.answers.labels > 0


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Cut a student out of the teacher, or load one to go on with.

    Raises:
        ConfigError: layers that do not fit the teacher, or hidden states that cannot be compared.
        CheckpointError: a teacher or student that cannot be used.
    """
    facts, data = given.layered_teacher.facts, given.data
    if given.data.task.kind == "mlm" and cfg.words.cosine:
        given.refuse_hidden_layers("words.cosine: hidden states", "Set the weight to 0.")
    depth = cfg.num_layers or len(cfg.layer_map) or max(facts.num_layers // 2, 1)
    layers = spread_layers(facts.num_layers, depth, cfg.layer_map)
    if given.start is not None:
        start = load(given.start, kind=data.task.kind, labels=data.labels).model
        _refuse_other_width(cfg, given, start)
        refuse_other_shape(start, given.start, {"num_layers": cfg.num_layers or len(cfg.layer_map) or None})
        return start
    return distilbert_for(given.load_teacher(), data.task.kind, layers, folds_segment=cfg.fold_segment)


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield the one stage: general distillation on raw text, the second distillation on a task."""
    yield _on_words(cfg, given, student) if given.data.task.kind == "mlm" else _on_answers(cfg, given, student)


def _on_words(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Stage:
    teacher, rows, weights = given.needed_teacher, given.data.train, cfg.words

    def step(batch: Batch) -> dict[str, Tensor]:
        mask, labels = batch.student.attention_mask, batch.labels
        assert labels is not None
        is_hidden = labels.ne(IGNORED)
        compared = is_hidden if weights.only_hidden or not weights.soft else mask.bool()
        want = Want(hidden=weights.cosine > 0, words=compared)
        t, s = teacher(batch, want), answer(student, batch.student, want)
        assert s.logits is not None
        assert t.logits is not None
        terms = {}
        if weights.soft:
            terms["soft"] = weights.soft * soft_targets(s.logits, t.logits, cfg.temperature)
        if weights.hidden_words:
            terms["hidden_words"] = weights.hidden_words * label_loss("mlm", s.logits, labels[compared])
        if weights.cosine:
            terms["cosine"] = weights.cosine * hidden_cosine(s.hidden[-1], t.hidden[-1], mask)
        return terms

    soft = labelled_tokens if weights.only_hidden else valid_tokens
    return Stage(
        name="words",
        model=student,
        batches=Masked(rows, vocabulary_of(given.data.tokenizer, rows, cfg.rare_words), cfg.mask_rate),
        step=step,
        optim=cfg.words_optim,
        means_over={"soft": soft, "hidden_words": labelled_tokens, "cosine": valid_tokens},
        evaluate=lambda: dev_score(student, given.data),
    )


def _on_answers(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Stage:
    teacher, kind, weights = given.needed_teacher, given.data.task.kind, cfg.answers

    def step(batch: Batch) -> dict[str, Tensor]:
        s = answer(student, batch.student).logits
        assert s is not None
        terms = {}
        if weights.soft:
            t = teacher(batch).logits
            assert t is not None
            terms["soft"] = weights.soft * _soft_term(cfg, kind, s, t, batch.student.attention_mask)
        if weights.labels:
            if batch.labels is None:
                raise ConfigError("answers.labels: this text has no labels. Set the weight to 0.")
            terms["labels"] = weights.labels * label_loss(kind, s, batch.labels)
        return terms

    return Stage(
        name="answers",
        model=student,
        batches=given.data.train,
        step=step,
        optim=cfg.answers_optim,
        means_over={"soft": valid_tokens, "labels": labelled_tokens} if kind == "tokens" else {},
        evaluate=lambda: dev_score(student, given.data),
    )


def _soft_term(cfg: Config, kind: Kind, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    if kind == "regression":
        return logit_mse(s, t)
    if kind == "span":
        places = mask if cfg.answers.padding == "masked" else torch.ones_like(mask)
        return span_soft_targets(s, t, places, cfg.temperature)
    return soft_targets(s, t, cfg.temperature, mask=mask if kind == "tokens" else None)


def _refuse_other_width(cfg: Config, given: Ingredients, start: PreTrainedModel) -> None:
    own, theirs = int(start.config.hidden_size), given.needed_teacher.facts.hidden_size
    if given.data.task.kind == "mlm" and cfg.words.cosine and own != theirs:
        raise ConfigError(
            f"words.cosine: the hidden states of --student '{given.start}' have {own} features, the teacher's "
            f"{theirs}: they cannot be compared. Give a student of the teacher's width, or set the weight to 0."
        )
