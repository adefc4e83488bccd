"""MT-DNN with distillation (Liu et al., 2019): needs tasks and a BERT to start from; gives one model for all.

A shared BERT encoder with a head for each task. First several such models learn all tasks, each from its own random
heads and order of batches; then a student of the same size learns from the average of their answers and from the right
answers together. A batch is of one task. This raises accuracy and serves several tasks by one encoder; it does not
shrink: start from a small checkpoint for a small student.
Give several tasks with --task repeated; --teacher, repeated, puts other teachers in the place of the recipe's own, each
for the task it was fine-tuned for, and a task without one learns from its labels alone.
Differs from the authors' code: soft targets are compared as distributions (theirs regresses logits on probabilities).
Paper: Liu et al., 2019, arXiv:1904.09482.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.mixed import Mixed
from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError, DataError
from edgedistill.losses.labels import label_loss
from edgedistill.losses.ranking import candidate_probabilities, ranking_soft_targets
from edgedistill.losses.soft_targets import logit_mse, soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.loading import load
from edgedistill.models.multitask import AnswerKind, TaskHead, multitask_bert
from edgedistill.models.outputs import Outputs, Want
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.training.checkpoint import number_from
from edgedistill.training.judging import Ask, dev_score
from edgedistill.training.stage import Count, OptimConfig, Stage, Step, ranked_questions
from edgedistill.training.teachers import Average, average_for, averaged

if TYPE_CHECKING:
    from edgedistill.models.multitask import MultiTaskBertForSequenceClassification as MultiTask

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression", "ranking"})
NEEDS_TEACHER = False
SEVERAL_TASKS = True
_OWN_TEACHERS = 2


class Config(RecipeConfig):
    """Settings of MT-DNN with knowledge distillation."""

    members: int | None = Field(default=None, ge=0)
    """Models trained first, whose average teaches; null: 2, or none where a --teacher is given. The paper has 3. 0 and
    no --teacher: the labels alone, which is MT-DNN itself."""
    average: Literal["probabilities", "logits"] = "probabilities"
    """What of the members is averaged; scores always as they are."""
    taught: tuple[str, ...] = ()
    """Tasks that learn from a teacher, the others from labels alone; empty: all that have one. The paper's: mnli, qqp,
    rte, qnli."""
    pair_head: Literal["classifier", "san"] = "san"
    """Head of classes of pairs: one linear layer, or a stochastic answer network."""
    san_turns: int = Field(default=5, gt=0)
    """How often a stochastic answer network looks at the first text."""
    dropouts: tuple[float, ...] = ()
    """Heads': each member's in turn (the paper's 0.1, 0.2, 0.3), the student's the first; empty: the encoder's."""
    soft: float = Field(default=1.0, ge=0)
    """Weight of the teachers' answers: nats per row (ranking: per question), or squared score."""
    labels: float = Field(default=1.0, ge=0)
    """Weight of the right answers, in the same units, beside a teacher's; 1 where there is none."""
    soft_loss: Literal["kl", "mse"] = "kl"
    """kl: of the distributions; mse: the authors' code, logits regressed on the teachers' probabilities."""
    member_optim: OptimConfig = OptimConfig(lr=5e-5, epochs=5.0, batch_size=32)
    """How the members optimise."""
    optim: OptimConfig = OptimConfig(lr=5e-5, epochs=5.0, batch_size=32)
    """How the student optimises; the paper: optimizer adamax."""

    @model_validator(mode="after")
    def _something_is_learnt(self) -> Config:
        if not (self.soft or self.labels):
            raise ValueError("soft, labels: both are 0, so that nothing would be learnt. Set one of them above 0")
        return self

    @property
    def needs_labels(self) -> bool:
        """Not where only other teachers are learnt from."""
        return bool(self.labels or self.members)


def build_student(cfg: Config, given: Ingredients) -> MultiTask:
    """Put a head for each task on the encoder of the checkpoint to start from.

    Raises:
        ConfigError: nothing to start from, an encoder that cannot be shared, or settings that do not go together.
        DataError: labels are learnt that the rows do not have.
        CheckpointError: the checkpoint cannot be used.
    """
    if given.start is None:
        raise ConfigError("the recipe 'mtdnn_kd' needs a checkpoint to start from. Give it with --student.")
    if cfg.members and given.teachers:
        raise ConfigError("members: teachers were given with --teacher. Leave one of the two out.")
    unknown = sorted(set(cfg.taught) - set(given.tasks))
    if unknown:
        raise ConfigError(f"taught: '{unknown[0]}' is none of the tasks {', '.join(given.tasks)}.")
    _refuse_rows_without_labels(cfg, given)
    return _model(cfg, given, 0)


def stages(cfg: Config, given: Ingredients, student: MultiTask) -> Iterator[Stage]:
    """Yield the members of the ensemble one by one, then the student."""
    rows = Mixed({name: data.train for name, data in given.tasks.items()})
    members: list[MultiTask] = []
    for number in range(_count(cfg, given)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number_from(cfg.seed, "member", number))
            member = _model(cfg, given, number)
        step, score = _step(cfg, given, member, {}), partial(_dev_score, member, given)
        name = f"member-{number + 1}"
        yield Stage(name, member, rows, step, cfg.member_optim, _means_over(cfg, given), evaluate=score)
        members.append(cast("MultiTask", member.eval().requires_grad_(False)))

    teachers = _teachers(cfg, given, members)
    step, score = _step(cfg, given, student, teachers), partial(_dev_score, student, given)
    own = teachers if members else {}
    yield Stage("student", student, rows, step, cfg.optim, _means_over(cfg, given), evaluate=score, taught_by=own)


def _count(cfg: Config, given: Ingredients) -> int:
    if cfg.members is None:
        return 0 if given.teachers else _OWN_TEACHERS
    return cfg.members


def _model(cfg: Config, given: Ingredients, number: int) -> MultiTask:
    assert given.start is not None
    encoder = load(given.start, kind="embedding").model
    own = getattr(encoder.config, "hidden_dropout_prob", 0.0)
    dropout = cfg.dropouts[number % len(cfg.dropouts)] if cfg.dropouts else own
    heads = [
        TaskHead(
            name=name,
            kind=cast("AnswerKind", data.task.kind),
            labels=data.labels,
            answer=cfg.pair_head if data.task.kind == "pair" else "classifier",
            turns=cfg.san_turns,
            dropout=dropout,
        )
        for name, data in given.tasks.items()
    ]
    return multitask_bert(encoder, heads)


def _teachers(cfg: Config, given: Ingredients, members: Sequence[MultiTask]) -> dict[str, Ask]:
    """Who teaches which task: the teachers given, else the members, else nobody."""
    found: dict[str, Ask] = dict(given.teachers)
    if members:
        for name, data in given.tasks.items():
            found[name] = partial(_ensemble, members, name, average_for(data.task.kind, cfg.average))
    return {name: ask for name, ask in found.items() if not cfg.taught or name in cfg.taught}


def _ensemble(members: Sequence[MultiTask], task: str, average: Average, batch: Batch, want: Want) -> Outputs:
    with torch.no_grad():
        answers = [answer(member.single(task), batch.student, want).logits for member in members]
    return Outputs(logits=averaged(torch.stack([logits for logits in answers if logits is not None]), average))


def _step(cfg: Config, given: Ingredients, model: MultiTask, teachers: Mapping[str, Ask]) -> Step:
    def step(batch: Batch) -> dict[str, Tensor]:
        name = cast("str", batch.task)
        kind = given.tasks[name].task.kind
        logits = answer(model.single(name), batch.student).logits
        assert logits is not None
        terms, weight = {}, 1.0
        if name in teachers:
            weight = cfg.labels
            if cfg.soft:
                targets = teachers[name](batch, Want()).logits
                assert targets is not None
                terms[f"{name}.soft"] = cfg.soft * soft_loss(cfg, kind, logits, targets, batch.questions)
        if weight:
            if batch.labels is None:
                raise DataError(f"task '{name}': the training rows have no labels to learn from.")
            terms[f"{name}.labels"] = weight * label_loss(kind, logits, batch.labels, batch.questions)
        return terms

    return step


def _means_over(cfg: Config, given: Ingredients) -> dict[str, Count]:
    """Where a ranking compares distributions, its terms are means over questions, all others over rows."""
    terms = ("labels", "soft") if cfg.soft_loss == "kl" else ("labels",)
    ranked = [name for name, data in given.tasks.items() if data.task.kind == "ranking"]
    return {f"{name}.{term}": ranked_questions for name in ranked for term in terms}


def soft_loss(cfg: Config, kind: Kind, logits: Tensor, targets: Tensor, questions: Tensor | None = None) -> Tensor:
    """How far a student's answers are from its teachers' average.

    Args:
        cfg: says which loss.
        kind: of the task.
        logits: (B, C) the student's.
        targets: (B, C) logits or logarithms of probabilities, or (B, 1) scores.
        questions: (B,) of a ranking whose candidates the rows are; their probabilities are what is compared.

    Returns:
        A scalar >= 0: nats per row (ranking: per question), or squared score or logit per row.
    """
    if kind == "ranking":
        assert questions is not None
        if cfg.soft_loss == "mse":
            return logit_mse(logits, candidate_probabilities(targets, questions))
        return ranking_soft_targets(logits, targets, questions)
    if kind == "regression":
        return logit_mse(logits, targets)
    if cfg.soft_loss == "mse":
        return logit_mse(logits, targets.softmax(dim=-1))
    return soft_targets(logits, targets)


def _refuse_rows_without_labels(cfg: Config, given: Ingredients) -> None:
    """Only where other teachers answer a task, and the labels beside them count nothing, are none needed."""
    for name, data in given.tasks.items():
        is_taught = name in given.teachers and (not cfg.taught or name in cfg.taught)
        if data.train.labels is None and (cfg.labels or not is_taught):
            raise DataError(
                f"task '{name}': its training rows have no labels, which "
                + (
                    f"count {cfg.labels:g} beside the teacher's answers. Set labels=0."
                    if is_taught
                    else "all tasks but those of a --teacher are learnt from. Add them, or give a teacher of this task."
                )
            )


def _dev_score(model: MultiTask, given: Ingredients) -> float:
    """The tasks' headline metrics on their development rows, each as heavy as the others."""
    return fmean(dev_score(model.single(name), data) for name, data in given.tasks.items())
