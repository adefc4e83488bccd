"""Recipes: one file per paper. This file holds only the protocol they keep.

A recipe's `stages` is a generator: code between two yields runs when the first stage is done, so the file
reads in its paper's order; on resume a finished stage is restored instead of trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import Field, model_validator

from edgedistill.config import Settings
from edgedistill.data.vocabulary import VocabularyConfig
from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from edgedistill.data.cache_card import Kept
    from edgedistill.data.task_data import TaskData
    from edgedistill.data.tasks import Kind
    from edgedistill.models.folder import HeadKind
    from edgedistill.training.stage import Stage
    from edgedistill.training.teachers import TeacherFacts, TeacherProvider


class LossWeights(Settings):
    """What each term of a stage's loss counts; 0 leaves one out, but not all of them."""

    @model_validator(mode="after")
    def _something_is_learnt(self) -> LossWeights:
        if not any(value for _, value in self if isinstance(value, float)):
            raise ValueError("every weight is 0, so that nothing would be learnt. Set one of them above 0")
        return self


class RecipeConfig(Settings):
    """What every recipe can be told."""

    max_length: int = Field(default=128, ge=8, le=512)
    """Longest input in tokens; longer text is cut."""
    seed: int = 0
    """Of initialisation, data order and everything else random."""

    @property
    def reads_corpus(self) -> bool:
        """Whether raw text is learnt from beside a task too; where it is not, it is refused there."""
        return False

    @property
    def reads_pairs(self) -> bool:
        """Whether raw text is read two texts at a time, to predict whether the second follows the first."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether the task's training rows must have labels: a recipe says no where the teacher's answers are all."""
        return True

    def kept(self, teacher: TeacherFacts) -> Kept:
        """What a cache of the teacher must hold of every row beside its logits: nothing, unless a recipe says so.

        Raises:
            ConfigError: settings that do not fit the teacher.
        """
        from edgedistill.data.cache_card import Kept

        return Kept()

    def follows(self, teacher_layers: int, student_layers: int) -> tuple[int, ...]:
        """Teacher layer (from 1) of every student layer, for reports on how close the two are.

        Raises:
            ConfigError: a depth or a choice that does not fit.
        """
        from edgedistill.models.layers import layer_map

        return layer_map(teacher_layers, student_layers, getattr(self, "layer_map", ()))


class CutsVocabulary(RecipeConfig):
    """What a recipe can be told whose students start from their teacher's words (`Ingredients.load_teacher`)."""

    vocabulary: VocabularyConfig | None = None
    """Which entries of the teacher's vocabulary the student keeps, such as vocabulary.coverage=1 for those that occur
    in the training text; null: all."""


@dataclass(frozen=True)
class Ingredients:
    """What a recipe cooks with.

    Attributes:
        data: the task's rows, tokenised for teacher and student, and the corpus where one was given.
        teacher: answers by row; none for a recipe that takes none.
        start: folder or Hub id of a checkpoint to start the student from; none for the recipe's own start.
        others: further tasks by name, for a recipe that learns several at once.
        others_teachers: those of them that have a teacher.
    """

    data: TaskData
    teacher: TeacherProvider | None
    start: str | Path | None = None
    others: Mapping[str, TaskData] = field(default_factory=dict)
    others_teachers: Mapping[str, TeacherProvider] = field(default_factory=dict)

    @property
    def tasks(self) -> dict[str, TaskData]:
        """All tasks by name, the main one first."""
        return {self.data.task.name: self.data, **self.others}

    @property
    def teachers(self) -> dict[str, TeacherProvider]:
        """The teachers of all tasks that have one."""
        own = {} if self.teacher is None else {self.data.task.name: self.teacher}
        return {**own, **self.others_teachers}

    @property
    def needed_teacher(self) -> TeacherProvider:
        """The teacher.

        Raises:
            ConfigError: there is none.
        """
        if self.teacher is None:
            raise ConfigError("this recipe needs a teacher. Give it with --teacher.")
        return self.teacher

    @property
    def layered_teacher(self) -> TeacherProvider:
        """The teacher that a student is built around, layer by layer.

        Raises:
            ConfigError: there is none, or it has no layers.
        """
        teacher = self.needed_teacher
        if not teacher.facts.num_layers:
            raise ConfigError(
                f"the teacher '{teacher.facts.source}' has no layers one above the other to build a student around. "
                "Give an encoder with attention, or take the recipe 'bilstm', which learns from answers alone."
            )
        return teacher

    def load_teacher(self, kind: HeadKind | None = None) -> PreTrainedModel:
        """The teacher's own model, for a student to start from: with a head for the task, and the student's words.

        Args:
            kind: of another head; none: of the task's.

        Raises:
            ConfigError: there is none.
            CheckpointError: it can no longer be read.
        """
        from edgedistill.models.loading import load
        from edgedistill.models.vocabulary import read_by

        data, source = self.data, self.needed_teacher.facts.source
        return read_by(load(source, kind=kind or data.task.kind, labels=data.labels), data.tokenizer).model

    @property
    def hides_layers(self) -> str | None:
        """Why the teacher's hidden states and attentions cannot be compared with the student's; none if they can."""
        if not self.needed_teacher.facts.shows_layers:
            return "an ensemble or a cache answers with logits only"
        if not self.data.judged.shares_tokens:
            return "the teacher splits text into other tokens than the student"
        return None

    def refuse_hidden_layers(self, compared: str, instead: str) -> None:
        """Make sure, before anything is trained, that the teacher's layers can be compared.

        Args:
            compared: what is, and by which setting.
            instead: what to do.

        Raises:
            ConfigError: they cannot.
        """
        if self.hides_layers is not None:
            raise ConfigError(f"{compared} cannot be compared, {self.hides_layers}. {instead}")


class Recipe(Protocol):
    """What a recipe's module has. Its docstring's first line is what `edgedistill ls recipes` prints.

    One whose students can read other tokens than their teacher also has `build_tokenizer(cfg)`: the tokenizer of a
    student that starts anew, or none where it is the teacher's.
    One that learns several tasks at once also has `SEVERAL_TASKS = True`: its --teacher, optional, may be a teacher of
    any of them, and its student answers each (`models.multitask`).
    """

    @property
    def Config(self) -> type[RecipeConfig]:
        """Its settings, defaults from the paper."""
        ...

    @property
    def KINDS(self) -> frozenset[Kind]:
        """Kinds of task it can do."""
        ...

    @property
    def NEEDS_TEACHER(self) -> bool:
        """Whether it cannot do without one."""
        ...

    def build_student(self, cfg: RecipeConfig, given: Ingredients) -> nn.Module:
        """Make the student with its first weights.

        Raises:
            ConfigError: a shape that cannot work.
            CheckpointError: a teacher or start that does not fit.
        """
        ...

    def stages(self, cfg: RecipeConfig, given: Ingredients, student: nn.Module) -> Iterator[Stage]:
        """Yield the phases of training in the paper's order."""
        ...
