"""A trained student's folder: weights and tokenizer, its card, and the judged rows with everybody's answers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from edgedistill import files, reports, resources
from edgedistill.artifacts import REFERENCE, Source, TaskCard, environment, now, reference_of
from edgedistill.config import NAMES_CHECKPOINT
from edgedistill.errors import ConfigError
from edgedistill.pipeline.judged_rows import judge, write_reference, write_texts
from edgedistill.progress import say
from edgedistill.reports import STUDENT_CARD, StudentCard
from edgedistill.words import EmbeddingReport, VocabularyReport

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgedistill.data.task_data import TaskData
    from edgedistill.models.loading import Checkpoint
    from edgedistill.pipeline.vocabulary import Uncut
    from edgedistill.recipes import Ingredients, Recipe, RecipeConfig
    from edgedistill.reports import ExitReport
    from edgedistill.training.judging import Ask


_WRITTEN = "written.jsonl"


@dataclass(frozen=True)
class Plan:
    """Everything a run needs, loaded and checked.

    Attributes:
        recipe: its name.
        module: its module.
        cfg: its settings.
        data: the task's rows.
        given: what the recipe gets.
        teachers: the checkpoints learnt from; none for a recipe without a teacher.
        start: the checkpoint the student starts from; none for the recipe's own start.
        limit: most rows of each split; none for all.
        teachers_of_others: the checkpoints learnt from in further tasks.
        cache_dtype: in which precision the teacher's logits are kept, where they are.
        uncut: what the student's vocabulary was cut from; none where it reads its teacher's tokens.
        vocabulary: what that does to the text.
        embedding: what its word embeddings keep of the teacher's.
    """

    recipe: str
    module: Recipe
    cfg: RecipeConfig
    data: TaskData
    given: Ingredients
    teachers: tuple[Checkpoint, ...]
    start: Checkpoint | None
    limit: int | None
    teachers_of_others: tuple[Checkpoint, ...] = ()
    cache_dtype: str = "float32"
    uncut: Uncut | None = None
    vocabulary: VocabularyReport | None = None
    embedding: EmbeddingReport | None = None

    def identity(self) -> dict[str, Any]:
        """What decides the result."""
        from edgedistill.data.tokenise import behaviour

        corpus = self.data.corpus
        others: dict[str, Any] = {
            name: {"task": data.task.model_dump(mode="json"), "labels": list(data.labels), "data": data.sha256}
            for name, data in self.given.others.items()
        }
        if others:
            others["teachers"] = [teacher.source.sha256 for teacher in self.teachers_of_others]
        return {
            "recipe": self.recipe,
            "task": self.data.task.model_dump(mode="json"),
            "labels": list(self.data.labels),
            "teacher": "+".join(teacher.source.sha256 for teacher in self.teachers) or None,
            "start": None if self.start is None else self.start.source.sha256,
            "data": self.data.sha256,
            "corpus": None if corpus is None else corpus.sha256,
            "limit": self.limit,
            "config": self.cfg.model_dump(mode="json"),
            **({"others": others} if others else {}),
            **({"cache_dtype": self.cache_dtype} if self.cache_dtype != "float32" else {}),
            **({"vocabulary": behaviour(self.data.tokenizer)} if self.uncut is not None else {}),
            **({"files": read} if (read := _files_of(self.cfg)) else {}),
        }


def write_student(
    plan: Plan,
    student: PreTrainedModel,
    seconds: dict[str, float],
    folder: Path,
    taught_by: Mapping[str, Ask] | None = None,
) -> None:
    """Judge a student and write its folder, in one move.

    Args:
        plan: what it was made from.
        student: trained.
        seconds: time per stage.
        folder: where to; what is there is replaced.
        taught_by: teachers by task that the recipe made itself.

    Raises:
        StorageError: the folder cannot be written.
    """
    from edgedistill.models.loading import save
    from edgedistill.models.multitask import one_task
    from edgedistill.models.seq2seq import without_token_types

    given = plan.given
    teachers: dict[str, Ask] = {**(taught_by or {}), **given.teachers}
    found = {
        name: judge(one_task(student, name), data, teachers.get(name), plan.uncut) for name, data in given.tasks.items()
    }
    judged, exits = found.pop(plan.data.task.name), _exits(plan, student)
    _name_classes(student, plan.data)
    student.requires_grad_(True).cpu()
    with files.atomic_folder(folder, overwrite=True) as part:
        with without_token_types(plan.data.tokenizer, student):
            save(part, student, plan.data.tokenizer)
        if judged.own is not None:
            write_reference(part / REFERENCE, plan.data, judged.own, judged.theirs)
        if judged.texts is not None:
            write_texts(part / _WRITTEN, plan.data, judged.texts)
        if exits is not None:
            reports.save(exits, part / reports.EXITS)
        for name, other in found.items():
            assert other.own is not None
            write_reference(part / reference_of(name), given.others[name], other.own, other.theirs)
        source = Source(
            path=str(folder),
            sha256=files.sha256_of(part / "model.safetensors"),
            family=student.config.model_type,
            parameters=student.num_parameters(),
        )
        scores = judged.scores | {
            f"{name} {who}": score for name, other in found.items() for who, score in other.scores.items()
        }
        updates = {"scores": scores, "layer_errors": _layer_errors(plan, student), "seconds": seconds}
        updates |= {"vocabulary": plan.vocabulary, "embedding": plan.embedding}
        card = _card(plan, source).model_copy(update=updates)
        reports.save(card, part / STUDENT_CARD)


def _name_classes(student: PreTrainedModel, data: TaskData) -> None:
    """Give classes the data's names where a teacher that had none lent its student none either."""
    from edgedistill.models.folder import is_unnamed

    config = student.config
    if not data.task.has_classes or hasattr(config, "tasks") or config.num_labels != len(data.labels):
        return
    if is_unnamed(config.id2label.values()):
        config.id2label = dict(enumerate(data.labels))
        config.label2id = {name: number for number, name in enumerate(data.labels)}


def _card(plan: Plan, student: Source) -> StudentCard:
    data = plan.data
    source = plan.teachers[0] if plan.teachers else plan.start
    assert source is not None
    others = tuple(teacher.source for teacher in (*plan.teachers[1:], *plan.teachers_of_others))
    parents = (*others, *source.parents) if plan.teachers else (source.source, *others, *source.parents)
    return StudentCard(
        created=now(),
        command=command(),
        environment=environment(),
        recipe=plan.recipe,
        task=TaskCard(name=data.task.name, kind=data.task.kind, metric=data.task.metric, max_length=data.max_length),
        labels=data.labels,
        student=student,
        teacher=plan.teachers[0].source if plan.teachers else None,
        parents=parents,
        seed=plan.cfg.seed,
        data_sha256=data.sha256,
        licence=source.licence,
    )


def _layer_errors(plan: Plan, student: PreTrainedModel) -> dict[str, list[float]]:
    from edgedistill.training.judging import layer_errors

    provider, depth = plan.given.teacher, student.config.num_hidden_layers
    if provider is None or not provider.facts.shows_layers or not plan.data.judged.shares_tokens or not depth:
        return {}
    if provider.facts.hidden_size != student.config.hidden_size or depth > provider.facts.num_layers:
        return {}
    try:
        follows = plan.cfg.follows(provider.facts.num_layers, depth)
    except ConfigError:  # the recipe followed no layers with this student
        return {}
    return layer_errors(student, provider, plan.data.judged, follows)


def _exits(plan: Plan, student: PreTrainedModel) -> ExitReport | None:
    """Choose the speed of a student with early exits, and say what every speed costs; none for other students."""
    from edgedistill.models.fastbert import FastBertForSequenceClassification
    from edgedistill.training.exits import Target, exit_report

    if not isinstance(student, FastBertForSequenceClassification):
        return None
    said = plan.cfg.model_dump()  # another recipe may have gone on with a FastBERT
    target = Target(**{part.name: said[part.name] for part in fields(Target) if part.name in said})
    report = exit_report(student, plan.data, target, said.get("flops_count", "paper"))
    student.config.speed = report.speed
    say(report.summary)
    return report


def _files_of(settings: BaseModel, prefix: str = "") -> dict[str, str]:
    """SHA-256 of every file and checkpoint that settings name (word vectors, text, ...), under the setting's key."""
    from edgedistill.models.folder import folder_of, sha256_of_weights

    found: dict[str, str] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            found |= _files_of(value, f"{prefix}{name}.")
        elif isinstance(value, Path) and value.is_file():
            found[prefix + name] = files.sha256_of(value)
        elif NAMES_CHECKPOINT in field.metadata and value is not None:
            found[prefix + name] = sha256_of_weights(folder_of(str(resources.checkpoint(value))))
    return found


def command() -> str:
    """What was typed, as far as can be told."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
