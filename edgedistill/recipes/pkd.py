"""Patient KD (Sun et al., 2019): needs a task teacher, labels or not; gives its lower half, led layer by layer.

The student is the first k layers of a pre-trained encoder: of the checkpoint given as --student, else of the teacher
itself. While it learns the task from labels and from the teacher's softened answers, its [CLS] states are drawn, layer
by layer, to those of teacher layers spread over its depth (PKD-Skip) or right below its last one (PKD-Last). Only [CLS]
states and logits are compared: a few kilobytes a row, which --teacher-cache stores, so that the teacher runs once for
all trials.
Differs from the authors' code: every term is a mean over rows, whatever the classes, layers and width, and the patient
loss stays in float32; their units are switches (docs/papers.md).
Paper: Sun et al., 2019, arXiv:1908.09355.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.cache_card import Kept, Precision
from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError
from edgedistill.losses.labels import label_loss
from edgedistill.losses.patience import patience
from edgedistill.losses.soft_targets import logit_mse, soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.layers import patient_layers
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.models.shortened import shorten
from edgedistill.progress import say
from edgedistill.recipes import CutsVocabulary, Ingredients
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import OptimConfig, Stage, Step
from edgedistill.training.teachers import TeacherFacts, TeacherProvider

if TYPE_CHECKING:
    from transformers import PreTrainedModel

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression"})
NEEDS_TEACHER = True


class Config(CutsVocabulary):
    """Settings of Patient KD."""

    num_layers: int | None = Field(default=None, gt=0)
    """Student depth k, less than the teacher's; none: half of it, 6 for 12 as in the paper."""
    strategy: Literal["skip", "last"] = "skip"
    """Teacher layers that student layers 1 to k - 1 follow (section 3.2): skip: every N / k, (2, 4, 6, 8, 10) for 12
    and 6; last: (7, 8, 9, 10, 11)."""
    layers: tuple[int, ...] = ()
    """Those k - 1 teacher layers (from 1), instead of the strategy's."""
    alpha: float = Field(default=0.7, ge=0, le=1)
    """Share of the teacher's answers; the labels have the rest. 1: no labels are needed at all."""
    temperature: float = Field(default=10.0, gt=0)
    """Softens both answers; of no use for regression, where scores are compared by their squared difference."""
    t2_scaling: bool = True
    """Multiply the soft term by the temperature's square, as the authors' code does; the paper's formula does not."""
    soft_unit: Literal["row", "reference"] = "row"
    """row: nats per row; reference: the authors' code, which also divides by the number of classes."""
    beta: float = Field(default=0.65, ge=0)
    """Weight of the patient loss; 0 is plain distillation. The authors' 500 for a width of 768 is 0.65 per row."""
    patience_unit: Literal["row", "paper", "reference"] = "row"
    """row: 0 to 4 per row and layer, mean over layers; paper: summed over layers; reference: the authors' code, which
    averages over features too: give its betas (10 to 1000) with it."""
    cls_dtype: Precision = "float32"
    """Of the [CLS] states in a teacher's cache."""
    optim: OptimConfig = OptimConfig(lr=5e-5, epochs=4.0, batch_size=32)
    """How to optimise; the authors search 5e-5, 2e-5 and 1e-5, their example has 1e-5."""

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels."""
        return self.alpha < 1

    def kept(self, teacher: TeacherFacts) -> Kept:
        """The [CLS] of the layers that are followed.

        Raises:
            ConfigError: the student's depth or the layers do not fit the teacher.
        """
        return Kept(_followed(self, teacher) if self.beta else (), self.cls_dtype)


def build_student(cfg: Config, given: Ingredients) -> PreTrainedModel:
    """Take the first layers of the checkpoint given as --student, else of the teacher itself.

    Raises:
        ConfigError: a depth, layers or a start that do not fit the teacher, or a teacher that shows no [CLS] states.
        CheckpointError: a checkpoint that cannot be read, or whose layers cannot be taken one by one.
    """
    teacher, data = given.layered_teacher.facts, given.data
    depth = _depth(cfg, teacher)
    follows = _followed(cfg, teacher)
    start = given.start
    model = given.load_teacher() if start is None else load(start, kind=data.task.kind, labels=data.labels).model
    if cfg.beta:
        _refuse_nothing_to_follow(follows, given)
        _refuse_other_width(model, given)
    own: int = model.config.num_hidden_layers
    if own < depth:
        raise ConfigError(
            f"num_layers: a student of {depth} layers cannot start from the {own} of '{given.start}'. Set num_layers "
            f"to at most {own}."
        )
    if start is None:
        say(f"no --student: it starts from the teacher's own first {depth} layers, not from a pre-trained encoder's")
    return shorten(model, range(1, depth + 1))


def stages(cfg: Config, given: Ingredients, student: PreTrainedModel) -> Iterator[Stage]:
    """Yield the one stage."""
    yield Stage(
        name="distill",
        model=student,
        batches=given.data.train,
        step=_step(cfg, given.data.task.kind, given.needed_teacher, student),
        optim=cfg.optim,
        evaluate=lambda: dev_score(student, given.data),
    )


def _step(cfg: Config, kind: Kind, teacher: TeacherProvider, student: PreTrainedModel) -> Step:
    """Section 3.2: (1 - alpha) labels + alpha soft targets + beta patience; a weight of 0 costs nothing."""
    theirs = _followed(cfg, teacher.facts) if cfg.beta else ()
    ours = tuple(range(1, len(theirs) + 1))

    def step(batch: Batch) -> dict[str, Tensor]:
        s = answer(student, batch.student, Want(cls=ours))
        assert s.logits is not None
        terms = {}
        if cfg.alpha < 1:
            if batch.labels is None:
                raise ConfigError("alpha: this text has no labels. Set alpha to 1.")
            terms["labels"] = (1 - cfg.alpha) * label_loss(kind, s.logits, batch.labels)
        if cfg.alpha or cfg.beta:
            t = teacher(batch, Want(cls=theirs))
            if cfg.alpha:
                assert t.logits is not None
                terms["soft"] = cfg.alpha * _soft_term(cfg, kind, s.logits, t.logits)
            if cfg.beta:
                assert s.cls is not None
                assert t.cls is not None
                terms["patience"] = cfg.beta * _patient_term(cfg, s.cls, t.cls)
        return terms

    return step


def _soft_term(cfg: Config, kind: Kind, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    if kind == "regression":
        return logit_mse(student_logits, teacher_logits)
    per_row = soft_targets(student_logits, teacher_logits, cfg.temperature, t2_scaling=cfg.t2_scaling)
    return per_row / (teacher_logits.shape[-1] if cfg.soft_unit == "reference" else 1)


def _patient_term(cfg: Config, student_cls: Tensor, teacher_cls: Tensor) -> Tensor:
    _, layers, width = student_cls.shape
    return patience(student_cls, teacher_cls) * {"row": 1, "paper": layers, "reference": 1 / width}[cfg.patience_unit]


def _depth(cfg: Config, teacher: TeacherFacts) -> int:
    return cfg.num_layers or max(teacher.num_layers // 2, 1)


def _followed(cfg: Config, teacher: TeacherFacts) -> tuple[int, ...]:
    return patient_layers(teacher.num_layers, _depth(cfg, teacher), cfg.strategy, cfg.layers)


def _refuse_nothing_to_follow(follows: tuple[int, ...], given: Ingredients) -> None:
    if not follows:
        raise ConfigError(
            "beta: a student of 1 layer has none below its last, so that there is nothing to be patient with. Set "
            "num_layers to 2 or more, or beta to 0 for plain distillation."
        )
    if not given.needed_teacher.facts.shows_cls:
        raise ConfigError(
            "beta: this teacher answers with logits only (the [CLS] states of an ensemble's members have no common "
            "meaning). Give one teacher, or learn from the answers alone: --set beta=0."
        )


def _refuse_other_width(model: PreTrainedModel, given: Ingredients) -> None:
    own, teacher = int(model.config.hidden_size), given.needed_teacher.facts
    if own != teacher.hidden_size:
        raise ConfigError(
            f"beta: the [CLS] states of '{given.start}' have {own} features, the teacher's {teacher.hidden_size}: they "
            "cannot be compared. Give a --student of the teacher's width, or set beta to 0."
        )
