"""FastBERT (Liu et al., 2020): needs a BERT and a task; gives it exits through which easy texts leave early.

A BERT gets a small classifier after every layer. First the layers and the last classifier learn the task's labels
(section 3.2.2); a checkpoint that was fine-tuned already can keep its own head and leave this out. Then, layers and
last classifier frozen, the other classifiers learn from the last one's answers on any text, without labels
(self-distillation, section 3.2.3). At the end a speed is chosen on the development rows: how certain a classifier must
be for a text to leave there (section 3.3).
Differs from the authors' code: the teaching classifier is asked without dropout, weight decay decays, the second stage
has its own schedule and keeps its best epoch. `fidelity` takes the paper's or their code's ways (docs/papers.md).
Paper: Liu et al., 2020, arXiv:2004.02178.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError, DataError
from edgedistill.losses.labels import label_loss
from edgedistill.losses.soft_targets import reverse_soft_targets, soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.fastbert import FAMILY, FastBertForSequenceClassification, fastbert_for
from edgedistill.models.loading import load
from edgedistill.models.starts import refuse_unused_shape
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.reports import FlopsCount
from edgedistill.training.exits import dev_area
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import OptimConfig, Stage, Step

if TYPE_CHECKING:
    from torch import nn

KINDS: frozenset[Kind] = frozenset({"single", "pair"})
NEEDS_TEACHER = False

_NO_DECAY = {"weight_decay": 0.0}
_AS_PUBLISHED: dict[Any, dict[str, Any]] = {
    "paper": {"kl_direction": "reverse"},
    "reference": {
        "teacher_eval": False,
        "keep_best": False,
        "flops_count": "reference",
        "finetune_optim": _NO_DECAY,
        # Its schedule counts stage 1's three epochs: in the last two of five the learning rate is 0.
        "distill_optim": {**_NO_DECAY, "epochs": 3.0},
    },
}


class Config(RecipeConfig):
    """Settings of FastBERT."""

    reads_corpus: ClassVar[bool] = True
    fidelity: Literal["corrected", "paper", "reference"] = "corrected"
    """Whose ways the settings below start from, where paper and code differ: ours, the paper's or its code's."""
    classifier_size: int = Field(default=128, gt=0)
    """Width of the branch classifiers."""
    classifier_heads: int = Field(default=2, gt=0)
    """Attention heads of the branch classifiers."""
    kl_direction: Literal["forward", "reverse"] = "forward"
    """Of the self-distillation: KL(last || branch) as in the code, or KL(branch || last) as in the paper."""
    teacher_eval: bool = True
    """Whether layers and last classifier answer without dropout while the others learn from them."""
    keep_best: bool = True
    """Whether self-distillation keeps the epoch with the best area under its curve of score against cost."""
    flops_count: FlopsCount = "paper"
    """How exits.json counts FLOPs: every linear layer, or without classifiers' last projections."""
    max_drop: float = Field(default=0.5, ge=0)
    """Points of the metric that leaving early may cost on the development rows; decides the student's speed."""
    max_cost: float | None = Field(default=None, gt=0, le=1)
    """Most mean multiply-accumulates of a text, as a share of those without exits: where given it decides the speed in
    place of max_drop, and the best score within it is taken."""
    max_ms: float | None = Field(default=None, gt=0)
    """Most mean milliseconds of a text, asked alone; where given it decides the speed, by the best score within it."""
    exit_ms: tuple[float, ...] = ()
    """Milliseconds until each exit has answered, first to last, as measured where the student will run; empty: they are
    measured here, in PyTorch on one thread."""
    finetune_optim: OptimConfig | None = OptimConfig(lr=2e-5, epochs=3.0, batch_size=32)
    """How layers and last classifier learn the labels; null keeps a fine-tuned checkpoint and its head as they are."""
    distill_optim: OptimConfig = OptimConfig(lr=2e-4, epochs=5.0, batch_size=32)
    """How the branch classifiers learn from the last one."""

    @property
    def needs_labels(self) -> bool:
        """Whether training rows must have labels."""
        return self.finetune_optim is not None

    @model_validator(mode="after")
    def _one_budget(self) -> Config:
        if self.max_cost is not None and self.max_ms is not None:
            raise ValueError("max_cost and max_ms both decide the speed. Give one of them")
        if self.exit_ms and self.max_ms is None:
            raise ValueError("exit_ms says what each exit costs, but no budget is given. Set max_ms too")
        if self.exit_ms and (self.exit_ms[0] <= 0 or list(self.exit_ms) != sorted(self.exit_ms)):
            raise ValueError("exit_ms are times from a text's start: above 0, and none below the one before it")
        return self

    @model_validator(mode="after")
    def _branches_at_one_rate(self) -> Config:
        if self.distill_optim.layer_decay != 1:
            raise ValueError("distill_optim.layer_decay: layers are frozen then, and every branch is above all of them")
        return self

    @model_validator(mode="before")
    @classmethod
    def _over_what_was_published(cls, values: Any) -> Any:
        """A published variant's settings, with those that were given over them."""
        if not isinstance(values, Mapping):
            return values
        merged = dict(values)
        for name, theirs in _AS_PUBLISHED.get(values.get("fidelity"), {}).items():
            own = merged.get(name, theirs)
            merged[name] = {**theirs, **own} if isinstance(theirs, dict) and isinstance(own, Mapping) else own
        return merged


def build_student(cfg: Config, given: Ingredients) -> nn.Module:
    """Put classifiers on the checkpoint to start from, or load a FastBERT to go on with.

    Raises:
        ConfigError: no checkpoint was given, one without a head to keep where stage 1 is left out, or a shape that
            cannot work.
        CheckpointError: it cannot be used, or is no BERT.
    """
    if given.start is None:
        raise ConfigError("the recipe 'fastbert' needs a BERT to start from. Give it with --student or --teacher.")
    start = load(given.start, kind=given.data.task.kind, labels=given.data.labels)
    depth = start.model.config.num_hidden_layers
    if cfg.exit_ms and len(cfg.exit_ms) != depth:
        raise ConfigError(f"exit_ms: {len(cfg.exit_ms)} times for the {depth} exits of '{given.start}'. Give one each.")
    keeps_head = cfg.finetune_optim is None
    if keeps_head and start.is_head_new:
        raise ConfigError(
            f"finetune_optim: null leaves fine-tuning out, but '{given.start}' has no head for the task's "
            f"{len(given.data.labels)} labels. Give a checkpoint fine-tuned for it, or leave finetune_optim alone."
        )
    if start.model.config.model_type == FAMILY:
        student: nn.Module = start.model
        own = {name: getattr(start.model.config, name) for name in ("classifier_size", "classifier_heads")}
        refuse_unused_shape(cfg, own, given.start)
        return student
    return fastbert_for(start.model, size=cfg.classifier_size, heads=cfg.classifier_heads, keeps_head=keeps_head)


def stages(cfg: Config, given: Ingredients, student: FastBertForSequenceClassification) -> Iterator[Stage]:
    """Yield fine-tuning and self-distillation."""
    data = given.data
    if cfg.finetune_optim is not None:
        student.requires_grad_(True)
        student.exits[:-1].requires_grad_(False)
        step, score = _label_step(given, student), lambda: dev_score(student, data)
        yield Stage("finetune", student, data.train, step, cfg.finetune_optim, evaluate=score)

    student.requires_grad_(False)
    student.exits[:-1].requires_grad_(True)
    text = data.train if data.corpus is None else data.corpus
    area = (lambda: dev_area(student, data)) if cfg.keep_best else None
    yield Stage("distill", student, text, _self_distillation(cfg, student), cfg.distill_optim, evaluate=area)


def _label_step(given: Ingredients, student: FastBertForSequenceClassification) -> Step:
    def step(batch: Batch) -> dict[str, Tensor]:
        if batch.labels is None:
            raise DataError(f"task '{given.data.task.name}': the training rows have no labels to learn from.")
        logits = answer(student, batch.student).logits
        assert logits is not None
        return {"labels": label_loss(given.data.task.kind, logits, batch.labels)}

    return step


def _self_distillation(cfg: Config, student: FastBertForSequenceClassification) -> Step:
    """Equation 7: the divergences of all branches, added up."""
    divergence = soft_targets if cfg.kl_direction == "forward" else reverse_soft_targets

    def step(batch: Batch) -> dict[str, Tensor]:
        if cfg.teacher_eval:
            student.bert.eval()
            student.exits[-1].eval()
        *branches, last = student.exit_logits(batch.student).unbind(dim=1)
        return {f"exit_{number:02d}": divergence(own, last) for number, own in enumerate(branches, start=1)}

    return step
