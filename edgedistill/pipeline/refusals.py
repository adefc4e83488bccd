"""What `distill` refuses before anything is trained or written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from edgedistill.data.tasks import Task, same_head
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.evaluate import refuse_without_scorers
from edgedistill.progress import say

if TYPE_CHECKING:
    from torch import nn

    from edgedistill.models.loading import Checkpoint
    from edgedistill.recipes import Recipe, RecipeConfig

_GUESSED = {"mlm", "generation"}
"""Kinds of task that a teacher answers by guessing hidden words."""


def learns_several(module: Recipe) -> bool:
    """Whether a recipe takes more than one task, and teachers by task."""
    return bool(getattr(module, "SEVERAL_TASKS", False))


def refuse_too_long(cfg: RecipeConfig, checkpoints: Sequence[Checkpoint]) -> None:
    """Make sure that all have positions for the longest row.

    Raises:
        ConfigError: one has not.
    """
    from edgedistill.models.answers import longest_input

    for checkpoint in checkpoints:
        longest = longest_input(checkpoint.model)
        if cfg.max_length > longest:
            raise ConfigError(
                f"max_length is {cfg.max_length}, but '{checkpoint.path}' has positions for {longest} tokens. "
                f"Set it lower: --set max_length={longest}."
            )


def refuse_unread_corpus(recipe: str, cfg: RecipeConfig, task: Task) -> None:
    """Make sure that raw text which was given is learnt from, or says which words a student keeps.

    Raises:
        ConfigError: the recipe has no use for it beside this task.
    """
    if task.kind == "mlm" or cfg.reads_corpus or getattr(cfg, "vocabulary", None) is not None:
        return
    raise ConfigError(
        f"--corpus: the recipe '{recipe}', as it is set, learns nothing from raw text beside the task '{task.name}'. "
        "Leave it out."
    )


def refuse_small_batches(cfg: BaseModel) -> None:
    """Make sure that every process has a row of every step.

    Raises:
        ConfigError: a stage's batches have fewer rows than there are processes, or fewer tokens than so many rows of
            the greatest length.
    """
    processes, longest = int(os.environ.get("WORLD_SIZE", "1")), getattr(cfg, "max_length", 1)
    for key, found in _optims(cfg):
        rows, tokens, fewest = found["batch_size"], found["batch_tokens"], processes * longest
        if tokens is None and rows < processes:
            raise ConfigError(
                f"{key}.batch_size is {rows}, fewer rows than the {processes} processes that share each step: some "
                f"would have nothing to do. Launch {rows} at most, or set it higher: "
                f"--set {key}.batch_size={processes}."
            )
        if tokens is not None and tokens < fewest:
            each = f" for each of {processes} processes" if processes > 1 else ""
            raise ConfigError(
                f"{key}.batch_tokens is {tokens}, too few for a row of max_length={longest} tokens{each}. Set it "
                f"higher: --set {key}.batch_tokens={fewest}, or more."
            )


def refuse_layer_rates(cfg: BaseModel, student: nn.Module) -> None:
    """Make sure, before the first stage, that layers can learn at their own rates wherever they shall.

    Raises:
        ConfigError: the student has none.
    """
    from edgedistill.training.optimizer import layer_factors

    names = [name for name, _ in student.named_parameters()]
    for _, found in _optims(cfg):
        layer_factors(names, found["layer_decay"])


def _optims(cfg: BaseModel, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """How each stage optimises, under its key."""
    for name in type(cfg).model_fields:
        value = getattr(cfg, name)
        if not isinstance(value, BaseModel):
            continue
        if "layer_decay" in type(value).model_fields:
            yield prefix + name, value.model_dump()
        else:
            yield from _optims(value, f"{prefix}{name}.")


def refuse_unsharable(module: Recipe, cfg: RecipeConfig, tasks: Sequence[Task]) -> None:
    """Make sure that the processes can share a teacher's layers out.

    Raises:
        ConfigError: there is one process only, no teacher or one for each of several tasks, or a second one beside it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        raise ConfigError("--shard-teacher shares a teacher out among several processes. Give --launch N too.")
    if not module.NEEDS_TEACHER or len(tasks) > 1:
        raise ConfigError("--shard-teacher is for recipes that learn one task from a teacher. Leave it out.")
    if getattr(cfg, "vocabulary", None) is not None:
        raise ConfigError(
            "--shard-teacher: a student with fewer words is judged beside its teacher as it was, which is whole. Leave "
            "it out, or set vocabulary to null."
        )


def refuse_unfit_recipe(
    recipe: str, module: Recipe, task: Task, teachers: Sequence[str | Path], student: str | Path | None
) -> None:
    """Make sure that a recipe does this task with what was given.

    Raises:
        ConfigError: it does not, or something is missing or too much.
        MissingExtraError: what the task is scored by is not installed.
    """
    if task.kind not in module.KINDS:
        raise ConfigError(
            f"the recipe '{recipe}' cannot do '{task.name}', a task of kind '{task.kind}'. "
            f"It does: {', '.join(sorted(module.KINDS))}."
        )
    if task.kind == "generation":
        refuse_without_scorers()
    if len(teachers) > 1 and not module.NEEDS_TEACHER and not learns_several(module):
        raise ConfigError(f"the recipe '{recipe}' learns from no teacher; it starts from one checkpoint. Give one.")
    if module.NEEDS_TEACHER and not teachers:
        what = "one that guesses hidden words" if task.kind in _GUESSED else "a fine-tuned checkpoint"
        raise ConfigError(f"the recipe '{recipe}' needs a teacher. Give {what} with --teacher.")
    if not teachers and student is None:
        raise ConfigError(f"the recipe '{recipe}' needs a checkpoint to start from. Give it with --student.")


def refuse_unfit_teacher(teacher: Checkpoint, task: Task, labels: Sequence[str]) -> None:
    """Make sure the teacher answers this very task.

    Raises:
        CheckpointError: it has no head for it, or other labels, or the same in another order.
    """
    guesses_words = task.kind in _GUESSED
    if guesses_words and teacher.kind != "mlm":
        raise CheckpointError(
            f"the teacher '{teacher.path}' has no masked-word head to answer '{task.name}' with. Train one first: "
            f"edgedistill distill mlm --student {shlex.quote(teacher.path)} --corpus TEXT --out TEACHER_RUN; then give "
            "TEACHER_RUN/student as --teacher."
        )
    if not guesses_words and not same_head(teacher.kind, task.kind):
        raise CheckpointError(
            f"the teacher '{teacher.path}' answers with '{teacher.kind}', but '{task.name}' is a task of kind "
            f"'{task.kind}'. Fine-tune it first: edgedistill distill finetune --student {shlex.quote(teacher.path)} "
            f"--task {task.name} --out TEACHER_RUN; then give TEACHER_RUN/student as --teacher."
        )
    if not task.has_classes:
        return
    if len(teacher.labels) != len(labels):
        raise CheckpointError(
            f"the teacher '{teacher.path}' has {len(teacher.labels)} labels ({_some(teacher.labels)}), the data of "
            f"'{task.name}' has {len(labels)} ({_some(labels)}). Give a teacher that was fine-tuned on this data."
        )
    if all(name == f"LABEL_{number}" for number, name in enumerate(teacher.labels)):
        say(f"the teacher's labels have no names; taken to be in this order: {_some(labels)}")
    elif [name.lower() for name in teacher.labels] != [name.lower() for name in labels]:
        place = next(n for n, (a, b) in enumerate(zip(teacher.labels, labels, strict=True)) if a.lower() != b.lower())
        raise CheckpointError(
            f"the teacher's label {place} is '{teacher.labels[place]}', the task's is '{labels[place]}' "
            f"('{teacher.path}'). List the labels in the teacher's order in the task's YAML, or fine-tune the teacher "
            "on this data."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
