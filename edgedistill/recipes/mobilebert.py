"""MobileBERT (Sun et al., 2020): needs any BERT teacher of a task or of text; gives one as deep, but thin.

A thin student (arXiv:2004.02984), as wide between its blocks as the teacher and as narrow as wanted inside them, learns
in three steps: each layer's features and attentions first (knowledge transfer), then these together with the teacher's
answers (distillation), then mostly the answers (polish). The paper's teacher was made to fit the student; here the
student is made to fit the teacher, so any fine-tuned BERT will do.
Differs from the authors' code: statistics are compared layer by layer, attentions by KL, padding never counts, and text
comes from the task and, where given, from a corpus (docs/papers.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator
from torch import Tensor

from edgedistill.data.augment import Replaced, neighbours
from edgedistill.data.batches import Batch
from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.data.vocabulary import counted
from edgedistill.errors import ConfigError
from edgedistill.losses.answers import answer_loss
from edgedistill.losses.labels import label_loss, next_sentence_loss
from edgedistill.losses.transfer import transfer_terms
from edgedistill.models.answers import answer
from edgedistill.models.folder import HeadKind
from edgedistill.models.layers import layer_map
from edgedistill.models.loading import load
from edgedistill.models.mobilebert import Shape, as_begun_here, first_blocks, mobilebert_for
from edgedistill.models.outputs import Outputs, Want
from edgedistill.models.starts import refuse_other_mobilebert, refuse_other_shape
from edgedistill.recipes import CutsVocabulary, Ingredients, LossWeights
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import Batches, Count, OptimConfig, Stage, Step, labelled_tokens, valid_tokens
from edgedistill.training.teachers import TeacherProvider

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression", "span", "tokens", "mlm"})
NEEDS_TEACHER = True
_SHAPE = {"num_layers", "intra_size", "ffn_size", "embedding_size"}
_ANSWERS_ALONE = "distil on answers alone: --set strategy=auxiliary --set polish.feature=0 " + " ".join(
    f"--set distill.{term}=0" for term in ("feature", "mean", "variance", "attention")
)


class Weights(LossWeights):
    """What each loss term counts. 0 leaves it out, and with it the cost of computing it."""

    feature: float = Field(default=1.0, ge=0)
    """Layer-normed features, per feature, mean over layers (section 3.5; the authors' 100)."""
    mean: float = Field(default=50.0, ge=0)
    """Each token's mean over its features, squared difference, mean over layers (the authors' 5000)."""
    variance: float = Field(default=0.05, ge=0)
    """Each token's variance over its features, absolute difference, mean over layers (the authors' 5)."""
    attention: float = Field(default=1.0, ge=0)
    """Attentions, nats per query, mean over heads and layers (the authors' 1)."""
    logits: float = Field(default=0.0, ge=0)
    """The teacher's answer: squared logits, or nats with logit_loss=kl and for hidden words."""
    labels: float = Field(default=0.0, ge=0)
    """The right answer, nats per row or hidden word (squared score for regression). 0: no labels are needed at all."""
    next_sentence: float = Field(default=0.0, ge=0)
    """Whether of two raw texts the second follows the first, nats per pair (the paper's 1, in the distillation)."""


class Config(CutsVocabulary):
    """Settings of MobileBERT."""

    num_layers: int | None = Field(default=None, gt=0)
    """Student depth; none: the teacher's."""
    layer_map: tuple[int, ...] = ()
    """Teacher layer (from 1) that each student layer follows; empty: evenly spread, the last one included."""
    intra_size: int | None = Field(default=None, gt=0)
    """Width inside a block, a multiple of the teacher's heads; none: 3/16 of its width (72 for 384)."""
    ffn_size: int | None = Field(default=None, gt=0)
    """Width of the feed-forward networks; none: the teacher's width, as in the paper."""
    num_ffn: int = Field(default=2, gt=0)
    """Feed-forward networks per block (the paper's MobileBERT has 4, its tiny one 2)."""
    embedding_size: int | None = Field(default=None, gt=0)
    """Width of the word embeddings; none: the paper's 128, the teacher's width where that is less, or a MobileBERT
    teacher's own."""
    embedding_fit: Literal["tokens", "entries"] = "entries"
    """Whose error is least when the teacher's word embeddings are factorised: that of the training text's tokens, each
    word as often as it occurs there and once more, or that of the vocabulary's entries, each once."""
    norm: Literal["no_norm", "layer_norm"] = "no_norm"
    """no_norm is a multiplication and an addition: fast on phones (section 3.3)."""
    activation: Literal["relu", "gelu"] = "relu"
    """Of the feed-forward networks."""
    attention: Literal["shared", "narrow"] = "shared"
    """What attention reads: shared is MobileBERT's, narrow MobileBERT-tiny's, smaller and faster (section 4.2)."""
    strategy: Literal["joint", "progressive", "auxiliary"] = "joint"
    """Knowledge transfer (section 3.4): all layers at once (JKT), one by one (PKT), or with the distillation (AKT)."""
    lower_pace: float = Field(default=0.1, ge=0, le=1)
    """Progressive: share of the learning rate that the layers below the open one keep (section 3.4; 0 freezes them)."""
    fidelity: Literal["paper", "reference"] = "paper"
    """reference: the transfer's losses as in the authors' code, padding left out. A layer's mean and variance are
    compared with those of all teacher layers, attentions by cross entropy; progressive losses are divided by depth."""
    augment: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the task's words replaced by similar ones, anew in every epoch; the paper's 0. For small tasks."""
    logit_loss: Literal["mse", "kl"] = "mse"
    """How the teacher's answer is compared."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the KL; its gradient is rescaled by the square."""
    transfer: Weights = Weights()
    """Losses of the knowledge transfer."""
    transfer_optim: OptimConfig = OptimConfig(lr=1.5e-3, epochs=1.0, batch_size=32)
    """How the knowledge transfer optimises; a progressive one divides its epochs, not max_steps, among the layers."""
    distill: Weights = Weights(logits=1.0)
    """Losses of the distillation."""
    distill_optim: OptimConfig = OptimConfig(lr=1e-3, epochs=3.0, batch_size=32)
    """How the distillation optimises."""
    polish: Weights = Weights(feature=0.2, mean=0.0, variance=0.0, attention=0.0, logits=1.0)
    """Losses of the last stage."""
    polish_optim: OptimConfig | None = OptimConfig(lr=3e-4, epochs=3.0, batch_size=32)
    """How the last stage optimises; null leaves it out."""

    @property
    def losses(self) -> dict[str, Weights]:
        """Those of the stages that there are."""
        left_out = {"transfer": self.strategy == "auxiliary", "polish": self.polish_optim is None}
        return {name: getattr(self, name) for name in ("transfer", "distill", "polish") if not left_out.get(name)}

    @property
    def reads_corpus(self) -> bool:
        """Whether raw text is learnt from beside a task: in the transfer."""
        return "transfer" in self.losses

    @property
    def reads_pairs(self) -> bool:
        """Whether raw text is read two texts at a time."""
        return any(weights.next_sentence for weights in self.losses.values())

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels."""
        return any(weights.labels for weights in self.losses.values())

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Config:
        if self.augment and self.needs_labels:
            raise ValueError("augment: text with other words has no labels. Set the labels weights to 0")
        of_answers = self.transfer.logits, self.transfer.labels, self.transfer.next_sentence
        if self.strategy == "progressive" and any(of_answers):
            raise ValueError("transfer: a single layer has no answers. Set its logits, labels and next_sentence to 0")
        return self


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Build a student around the teacher, or load one to go on with.

    Raises:
        ConfigError: a shape that cannot work, or a student to start from that is no match for the teacher.
        CheckpointError: a teacher or student that cannot be read.
    """
    teacher, kind = given.layered_teacher.facts, given.data.task.kind
    if compared := _compared(cfg):
        given.refuse_hidden_layers(f"{', '.join(compared)}: features and attentions", f"You can {_ANSWERS_ALONE}")
    shape = shape_of(cfg, teacher.num_layers)
    if cfg.reads_pairs and kind != "mlm":
        raise ConfigError("next_sentence: pairs are made of raw text. Leave --task out, or set the weight to 0.")
    if cfg.augment and kind == "mlm":
        raise ConfigError("augment: words of raw text are hidden instead. Set it to 0.")
    heads: HeadKind = "pretraining" if cfg.reads_pairs else kind
    if given.start is None:
        like, by_token = given.load_teacher(heads), cfg.embedding_fit == "tokens"
        counts = 1 + counted([given.data.train], like.config.vocab_size) if by_token else None
        return mobilebert_for(like, heads, shape, counts)
    begins = load(given.start, kind=heads, labels=given.data.labels).model
    form = teacher.hidden_size, teacher.num_heads
    refuse_other_mobilebert(begins, given.start, *form, is_led=bool(compared), instead=_ANSWERS_ALONE)
    refuse_other_shape(begins, given.start, cfg.model_dump(include=_SHAPE))
    if compared:
        layer_map(teacher.num_layers, begins.config.num_hidden_layers, cfg.layer_map)
    return as_begun_here(begins)


def shape_of(cfg: Config, teacher_layers: int) -> Shape:
    """The student's shape.

    Raises:
        ConfigError: a student deeper than its teacher, or a choice of layers that does not fit.
    """
    depth = len(cfg.layer_map) or cfg.num_layers or teacher_layers
    layer_map(teacher_layers, cfg.num_layers or depth, cfg.layer_map)
    forms = cfg.norm, cfg.activation, cfg.attention
    return Shape(depth, cfg.intra_size, cfg.ffn_size, cfg.num_ffn, cfg.embedding_size, *forms)


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield transfer, distillation and polish."""
    teacher, data = given.needed_teacher, given.data
    depth = int(student.config.num_hidden_layers)
    follows = layer_map(teacher.facts.num_layers, depth, cfg.layer_map) if _compared(cfg) else ()
    train = _text(cfg, given, student)
    text = train if data.corpus is None else data.corpus
    stage = partial(Stage, means_over=_means_over(cfg, data.task.kind))
    step_of = partial(_step, cfg, kind=data.task.kind, teacher=teacher, student=student, follows=follows)

    if cfg.strategy == "joint":
        yield stage("transfer", student, text, step_of(cfg.transfer), cfg.transfer_optim)
    if cfg.strategy == "progressive":
        each = cfg.transfer_optim.model_copy(update={"epochs": cfg.transfer_optim.epochs / depth})
        for layer in range(1, depth + 1):
            pace = _open(student, layer, cfg.lower_pace)
            step = _layer_step(cfg, teacher, student, layer, follows[layer - 1])
            yield stage(f"transfer-{layer:02d}", student, text, step, each, pace=pace)
        student.requires_grad_(True)

    # Only the last stage keeps its best epoch: another one's last epoch, at a learning rate of 0, is where to go on.
    judged = partial(dev_score, student, data)
    at_end = None if cfg.polish_optim else judged
    yield stage("distill", student, train, step_of(cfg.distill), cfg.distill_optim, evaluate=at_end)
    if cfg.polish_optim is not None:
        yield stage("polish", student, train, step_of(cfg.polish), cfg.polish_optim, evaluate=judged)


def _text(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Batches:
    if given.data.task.kind == "mlm":
        return Masked(given.data.train, vocabulary_of(given.data.tokenizer))
    if not cfg.augment:
        return given.data.train
    embeddings = student.get_input_embeddings().weight  # the teacher's, factorised: near is near in both
    return Replaced(given.data.train, neighbours(embeddings, given.data.tokenizer, given.data.train), cfg.augment)


def _step(
    cfg: Config, weights: Weights, kind: Kind, teacher: TeacherProvider, student: nn.Module, follows: Sequence[int]
) -> Step:
    wanted, is_reference = _wanted(weights), cfg.fidelity == "reference"

    def step(batch: Batch) -> dict[str, Tensor]:
        labels = batch.labels
        want = wanted if kind != "mlm" or labels is None else replace(wanted, words=labels.ne(IGNORED))
        t, s = teacher(batch, want), answer(student, batch.student, want)
        mask = batch.student.attention_mask
        terms = transfer_terms(dict(weights), s, t, mask, follows, is_reference=is_reference)
        if weights.logits:
            loss = answer_loss(kind, s.logits, t.logits, mask, form=cfg.logit_loss, temperature=cfg.temperature)
            terms["logits"] = weights.logits * loss
        if weights.labels:
            if labels is None or s.logits is None:
                raise ConfigError("labels: this text has no labels. Set the weight to 0.")
            answers = labels if want.words is None else labels[want.words]
            terms["labels"] = weights.labels * label_loss(kind, s.logits, answers)
        if weights.next_sentence:
            terms["next_sentence"] = weights.next_sentence * next_sentence_loss(s.next_sentence, batch.next_sentence)
        return terms

    return step


def _means_over(cfg: Config, kind: Kind) -> dict[str, Count]:
    """The terms of section 3.5 are means over tokens; answers are by row, or by token where the task's are."""
    counts: dict[str, Count] = dict.fromkeys(("feature", "mean", "variance", "attention"), valid_tokens)
    if kind == "tokens" or (kind == "span" and cfg.logit_loss == "mse"):
        counts["logits"] = valid_tokens
    if kind == "mlm":
        counts["logits"] = labelled_tokens
    return counts | ({"labels": labelled_tokens} if kind in {"tokens", "mlm"} else {})


def _layer_step(cfg: Config, teacher: TeacherProvider, student: PreTrainedModel, layer: int, followed: int) -> Step:
    want, is_reference = _wanted(cfg.transfer), cfg.fidelity == "reference"
    divisor = student.config.num_hidden_layers if is_reference else 1
    weights = {name: weight / divisor for name, weight in cfg.transfer}

    def step(batch: Batch) -> dict[str, Tensor]:
        t = teacher(batch, want)
        with first_blocks(student, layer):
            s = answer(student, batch.student, want)
        last = Outputs(hidden=(s.hidden[0], s.hidden[layer]), attentions=s.attentions[layer - 1 : layer])
        return transfer_terms(weights, last, t, batch.student.attention_mask, (followed,), is_reference=is_reference)

    return step


def _wanted(weights: Weights) -> Want:
    return Want(hidden=any((weights.feature, weights.mean, weights.variance)), attentions=weights.attention > 0)


def _open(student: PreTrainedModel, layer: int, lower_pace: float) -> Callable[[str], float]:
    """Let a layer learn, those below it slowly, and nothing else; every stage's optimiser begins without memory."""
    student.requires_grad_(False)
    student.base_model.encoder.layer[0 if lower_pace else layer - 1 : layer].requires_grad_(True)
    return lambda name: 1.0 if f".layer.{layer - 1}." in name else lower_pace


def _compared(cfg: Config) -> list[str]:
    """The stages that compare layers."""
    wants = {name: _wanted(weights) for name, weights in cfg.losses.items()}
    return [name for name, want in wants.items() if want.hidden or want.attentions]
