"""Plain fine-tuning: needs a checkpoint and labels, no teacher; gives a task teacher, or the baseline.

One stage: the whole checkpoint learns the task's labels, and the epoch that does best on the development rows is
kept. Starts from --student; where none is given, from the checkpoint given as --teacher, which then gets a new head.

Reference: Devlin et al., 2019 (BERT), appendix A.3: batch 16 or 32, learning rate 2e-5 to 5e-5, 2 to 4 epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from edgedistill.data.batches import Batch
from edgedistill.data.tasks import Kind
from edgedistill.errors import ConfigError, DataError
from edgedistill.losses.labels import label_loss
from edgedistill.models.answers import answer
from edgedistill.models.loading import load
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.training.judging import dev_score
from edgedistill.training.stage import Count, OptimConfig, Stage, labelled_tokens, ranked_questions

if TYPE_CHECKING:
    from torch import nn

KINDS: frozenset[Kind] = frozenset({"single", "pair", "regression", "ranking", "span", "tokens"})
NEEDS_TEACHER = False


class Config(RecipeConfig):
    """Settings of plain fine-tuning."""

    optim: OptimConfig = OptimConfig(lr=5e-5, epochs=3.0, batch_size=32)
    """How to optimise."""


def build_student(cfg: Config, given: Ingredients) -> nn.Module:
    """Load the checkpoint to start from, with a head for the task.

    Raises:
        ConfigError: no checkpoint was given.
        CheckpointError: it cannot be used.
    """
    if given.start is None:
        raise ConfigError("the recipe 'finetune' needs a checkpoint to start from. Give it with --student.")
    student: nn.Module = load(given.start, kind=given.data.task.kind, labels=given.data.labels).model
    return student


def stages(cfg: Config, given: Ingredients, student: nn.Module) -> Iterator[Stage]:
    """Yield the one stage."""
    kind = given.data.task.kind
    counts: dict[Kind, Count] = {"tokens": labelled_tokens, "ranking": ranked_questions}

    def step(batch: Batch) -> dict[str, Tensor]:
        if batch.labels is None:
            raise DataError(f"task '{given.data.task.name}': the training rows have no labels to learn from.")
        logits = answer(student, batch.student).logits
        assert logits is not None
        return {"labels": label_loss(kind, logits, batch.labels, batch.questions)}

    yield Stage(
        name="finetune",
        model=student,
        batches=given.data.train,
        step=step,
        optim=cfg.optim,
        means_over={"labels": counts[kind]} if kind in counts else {},
        evaluate=lambda: dev_score(student, given.data),
    )
