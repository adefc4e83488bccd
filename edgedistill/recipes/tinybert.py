"""TinyBERT (Jiao et al., 2020): needs a task teacher, no labels; gives a narrow BERT, led layer by layer.

The student's embeddings, hidden states and attention scores are drawn to the teacher's, first on raw text (general
distillation, where a corpus is given), then on the task's own text and variants of it with other words (intermediate);
last it learns the teacher's answers to the same text (prediction). Learned projections, thrown away at the end, make up
for the student's smaller width. No label is needed.
Differs from the authors' code: padding never counts, the teacher has no dropout, the classifier is the standard one and
a regression learns the teacher's scores (docs/papers.md).
Paper: Jiao et al., 2020, arXiv:1909.10351.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, FilePath
from torch import Tensor

from edgedistill import resources
from edgedistill.config import CheckpointName
from edgedistill.data.batches import Batch
from edgedistill.data.tasks import Kind
from edgedistill.data.tokenise import same_tokens
from edgedistill.data.variants import How, Variants
from edgedistill.errors import ConfigError, DataError
from edgedistill.losses.attention import score_mse
from edgedistill.losses.hidden import hidden_mse
from edgedistill.losses.labels import label_loss
from edgedistill.losses.soft_targets import logit_mse, soft_targets, span_soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.layers import layer_map, strategy_map
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.models.starts import refuse_other_shape
from edgedistill.models.tinybert import Projections, Shape, Sharing, tinybert_for
from edgedistill.models.vocabulary import read_by
from edgedistill.progress import say
from edgedistill.recipes import CutsVocabulary, Ingredients, LossWeights
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import Batches, OptimConfig, Stage, Step, valid_pairs, valid_tokens
from edgedistill.training.teachers import CachedTeacher, OnlineTeacher, TeacherFacts, TeacherProvider
from edgedistill.training.varying import refuse_unreadable, with_variants

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression", "span", "tokens"})
NEEDS_TEACHER = True
_SHAPE = {"num_layers", "hidden_size", "ffn_size", "num_heads"}


class Weights(LossWeights):
    """What each term counts in the sum over layers (equation 11; all 1 in the paper). 0 leaves it out."""

    embedding: float = Field(default=1.0, ge=0)
    """Embedding output, squared difference per feature after the projection (equation 9)."""
    attention: float = Field(default=1.0, ge=0)
    """Attention scores before the softmax, squared difference, mean over heads, sum over layers (equation 7)."""
    hidden: float = Field(default=1.0, ge=0)
    """Hidden states, squared difference per feature after the projection, sum over layers (equation 8)."""


class Config(CutsVocabulary):
    """Settings of TinyBERT."""

    reads_corpus: ClassVar[bool] = True
    num_layers: int | None = Field(default=None, gt=0)
    """Student depth; none: the most layers up to the paper's 4 that divide the teacher's (4 of 12, 3 of 6)."""
    hidden_size: int | None = Field(default=None, gt=0)
    """Student width; none: the paper's 312."""
    ffn_size: int | None = Field(default=None, gt=0)
    """Width of the feed-forward networks; none: the paper's 1200."""
    num_heads: int | None = Field(default=None, gt=0)
    """Attention heads; none: the teacher's, as in the paper. With another number, means over heads are compared."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of the student; the authors' configurations have 0.1."""
    layer_strategy: Literal["uniform", "top", "bottom"] = "uniform"
    """Teacher layers that are followed: evenly spread, the last ones or the first ones (section 4.5)."""
    layer_map: tuple[int, ...] = ()
    """Teacher layer (from 1) that each student layer follows, instead of a strategy."""
    projection: Sharing = "paper"
    """paper: one for all layers and one for the embeddings; shared: a single one, as in the authors' code; each: one
    for every layer, as in their second checkpoints."""
    projection_bias: bool = False
    """Whether projections add a bias, as in the authors' code."""
    padding: Literal["masked", "counted"] = "masked"
    """counted: padding takes part in the losses as in the authors' code, so that they depend on a batch's length."""
    general_teacher: CheckpointName = None
    """Checkpoint to learn from on raw text, in the paper BERT before fine-tuning; none: the task's teacher."""
    general: Weights = Weights()
    """Losses of the general distillation, which needs --corpus."""
    general_optim: OptimConfig = OptimConfig(lr=1e-4, epochs=3.0, batch_size=256)
    """How the general distillation optimises."""
    augment_copies: int = Field(default=4, ge=0)
    """Variants of each row of the task (N, in the paper 20). Training sees N + 1 texts a row; 0: the rows alone."""
    augment_with: CheckpointName = None
    """Masked-LM (Hub id or folder) whose guesses replace words of one piece, as in the paper; none: neighbours among
    the word vectors, as for words of several pieces."""
    augment_vectors: FilePath | None = None
    """File of word vectors such as GloVe's, as in the paper; none, and for words it lacks: the teacher's embeddings."""
    augment_share: float = Field(default=0.4, ge=0, le=1)
    """How likely a word is replaced (p)."""
    augment_candidates: int = Field(default=15, gt=0)
    """Words that may replace a word (K)."""
    intermediate: Weights = Weights()
    """Losses of the intermediate stage."""
    intermediate_optim: OptimConfig | None = OptimConfig(
        lr=5e-5, epochs=4.0, batch_size=32, warmup=0.0, schedule="constant"
    )
    """How the intermediate stage optimises; an epoch is one pass over rows and variants (paper: 20 passes over 21 texts
    a row). null leaves the stage out."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the soft answers."""
    t2_scaling: bool = False
    """Whether the soft answers' loss is multiplied by the temperature's square; the paper's is not."""
    logit_mean: Literal["rows", "classes"] = "rows"
    """classes: the soft answers' loss is divided by the number of classes as well, as in the authors' code."""
    regression_target: Literal["teacher", "gold"] = "teacher"
    """gold: a regression learns the row's own score, as in the authors' code; a variant keeps its row's."""
    prediction_optim: OptimConfig = OptimConfig(lr=3e-5, epochs=3.0, batch_size=32)
    """How the prediction stage optimises."""

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels."""
        return self.regression_target == "gold"

    def follows(self, teacher_layers: int, student_layers: int) -> tuple[int, ...]:
        """Teacher layer (from 1) of every student layer."""
        if self.layer_map:
            return layer_map(teacher_layers, student_layers, self.layer_map)
        return strategy_map(teacher_layers, student_layers, self.layer_strategy)


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Build a student with random weights, or load one to go on with, such as a general TinyBERT.

    Raises:
        ConfigError: a shape that cannot work, or layers or texts that cannot be compared.
        CheckpointError: a teacher, student or masked-LM that cannot be used.
        DataError: word vectors that cannot be read.
    """
    teacher, data = given.layered_teacher, given.data
    _refuse_answers_only(cfg, given)
    if cfg.augment_copies:
        refuse_unreadable(data.tokenizer, cfg.augment_with, cfg.augment_vectors, cfg.augment_candidates)
    if given.start is not None:
        student = load(given.start, kind=data.task.kind, labels=data.labels).model
        refuse_other_shape(student, given.start, cfg.model_dump(include=_SHAPE))
    else:
        student = tinybert_for(given.load_teacher(), data.task.kind, _shape(cfg, teacher.facts))
    if data.corpus is not None or cfg.intermediate_optim is not None:
        cfg.follows(teacher.facts.num_layers, student.config.num_hidden_layers)
        one, want = data.train.batch(np.array([0])), Want(scores=True)
        for asked in (teacher, _general_teacher(cfg, given)):
            asked(one, want)  # a family whose scores cannot be read is refused here
        answer(student, one.student, want)
    if data.corpus is None:
        hint = "random weights; they want a higher rate than the paper's, such as intermediate_optim.lr=1e-3"
        begins = hint if given.start is None else f"'{given.start}'"
        say(f"no --corpus: general distillation is left out, the student starts from {begins}")
    return student


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield general distillation, the intermediate stage and prediction."""
    teacher, data = given.needed_teacher, given.data
    layers, width = student.config.num_hidden_layers, student.config.hidden_size
    scaffold = Projections(
        width, teacher.facts.hidden_size, layers, cfg.projection, bias=cfg.projection_bias, seed=cfg.seed
    )
    masked = {"embedding": valid_tokens, "attention": valid_pairs, "hidden": valid_tokens}
    by_layer = partial(Stage, model=student, scaffold=scaffold, means_over=masked if cfg.padding == "masked" else {})

    if data.corpus is not None:
        step = _layer_step(cfg, cfg.general, _general_teacher(cfg, given), student, scaffold)
        yield by_layer("general", batches=data.corpus, step=step, optim=cfg.general_optim)
    texts = _texts(cfg, given)
    prepare = texts.prepare if isinstance(texts, Variants) else None
    if cfg.intermediate_optim is not None:
        step = _layer_step(cfg, cfg.intermediate, teacher, student, scaffold)
        yield by_layer("intermediate", batches=texts, step=step, optim=cfg.intermediate_optim, prepare=prepare)
    yield Stage(
        name="prediction",
        model=student,
        batches=texts,
        step=_answer_step(cfg, data.task.kind, teacher, student),
        optim=cfg.prediction_optim,
        means_over={"logits": valid_tokens} if data.task.kind == "tokens" else {},
        evaluate=lambda: dev_score(student, data),
        prepare=prepare,
    )


def _layer_step(
    cfg: Config, weights: Weights, teacher: TeacherProvider, student: PreTrainedModel, project: nn.Module
) -> Step:
    """Equations 7 to 9, summed over the student's layers as in equation 6."""
    follows = cfg.follows(teacher.facts.num_layers, student.config.num_hidden_layers)
    want = Want(hidden=bool(weights.embedding or weights.hidden), scores=weights.attention > 0)
    is_counted = cfg.padding == "counted"

    def step(batch: Batch) -> dict[str, Tensor]:
        t, s, mask = teacher(batch, want), answer(student, batch.student, want), batch.student.attention_mask
        counted = torch.ones_like(mask) if is_counted else mask
        terms = {}
        if weights.embedding:
            terms["embedding"] = weights.embedding * hidden_mse(project(s.hidden[0], 0), t.hidden[0], counted)
        if weights.attention:
            pairs = [(s.scores[own], t.scores[theirs - 1]) for own, theirs in enumerate(follows)]
            each = [score_mse(*pair, mask, counts_padding=is_counted) for pair in pairs]
            terms["attention"] = weights.attention * torch.stack(each).sum()
        if weights.hidden:
            states = [(project(s.hidden[own], own), t.hidden[theirs]) for own, theirs in enumerate(follows, start=1)]
            terms["hidden"] = weights.hidden * torch.stack([hidden_mse(*pair, counted) for pair in states]).sum()
        return terms

    return step


def _answer_step(cfg: Config, kind: Kind, teacher: TeacherProvider, student: nn.Module) -> Step:
    def step(batch: Batch) -> dict[str, Tensor]:
        logits = answer(student, batch.student).logits
        assert logits is not None
        if kind == "regression" and cfg.regression_target == "gold":
            if batch.labels is None:
                raise DataError("regression_target=gold: the training rows have no scores to learn from.")
            return {"labels": label_loss(kind, logits, batch.labels)}
        wanted = teacher(batch).logits
        assert wanted is not None
        return {"logits": _answer_loss(cfg, kind, logits, wanted, batch.student.attention_mask)}

    return step


def _answer_loss(cfg: Config, kind: Kind, logits: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Equation 10, as a KL: the same gradient as its cross entropy, and 0 where student and teacher agree."""
    if kind == "regression":
        return logit_mse(logits, wanted)
    if kind == "span":
        return span_soft_targets(logits, wanted, mask, cfg.temperature, t2_scaling=cfg.t2_scaling)
    per_token = mask if kind == "tokens" else None
    loss = soft_targets(logits, wanted, cfg.temperature, t2_scaling=cfg.t2_scaling, mask=per_token)
    return loss / logits.shape[-1] if cfg.logit_mean == "classes" else loss


def _texts(cfg: Config, given: Ingredients) -> Batches:
    """The task's rows and their variants, the same ones in both stages."""
    if not cfg.augment_copies:
        return given.data.train
    keeps_labels = cfg.regression_target == "gold" and given.data.task.kind == "regression"
    how = How(cfg.augment_copies, cfg.augment_share, cfg.seed, keeps_labels)
    source = cfg.augment_with or given.needed_teacher.facts.source
    has_guesses, vectors = cfg.augment_with is not None, cfg.augment_vectors
    return with_variants(given.data, how, source, cfg.augment_candidates, has_guesses=has_guesses, vectors=vectors)


def _shape(cfg: Config, teacher: TeacherFacts) -> Shape:
    even = max(depth for depth in range(1, Shape.layers + 1) if teacher.num_layers % depth == 0)
    depth = cfg.num_layers or len(cfg.layer_map) or even
    heads = cfg.num_heads or teacher.num_heads
    return Shape(depth, cfg.hidden_size or Shape.hidden, cfg.ffn_size or Shape.ffn, heads, cfg.dropout)


def _general_teacher(cfg: Config, given: Ingredients) -> TeacherProvider:
    """Who is learnt from on raw text; as deep and as wide as the task's teacher, for projections are gone on with."""
    task = given.needed_teacher
    if cfg.general_teacher is None or given.data.corpus is None:
        return task
    found = read_by(load(resources.checkpoint(cfg.general_teacher)), given.data.tokenizer)
    general = OnlineTeacher(found)
    shapes = [(facts.num_layers, facts.hidden_size) for facts in (general.facts, task.facts)]
    if shapes[0] != shapes[1] or not same_tokens(found.tokenizer, given.data.tokenizer):
        raise ConfigError(
            f"general_teacher: '{cfg.general_teacher}' has {shapes[0][0]} layers of width {shapes[0][1]}, the task's "
            f"teacher {shapes[1][0]} of {shapes[1][1]}. Both need the same, and the same tokens: give the checkpoint "
            "that the task's teacher was fine-tuned from."
        )
    return general


def _refuse_answers_only(cfg: Config, given: Ingredients) -> None:
    """Said before anything is trained: what an ensemble, a cache or a teacher of other tokens cannot be asked."""
    if given.hides_layers is None:
        return
    has_no_new_answers = isinstance(given.teacher, CachedTeacher) or not given.data.judged.shares_tokens
    todo = ["leave --corpus out"] if given.data.corpus is not None else []
    todo += ["--set intermediate_optim=null"] if cfg.intermediate_optim is not None else []
    todo += ["--set augment_copies=0"] if cfg.augment_copies and has_no_new_answers else []
    if todo:
        raise ConfigError(
            f"{given.hides_layers}: layers cannot be compared. The prediction stage alone can be had: "
            f"{', '.join(todo)}."
        )
