"""What a run of several tasks needs beside the main one's: their rows, and who teaches which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import resources
from edgedistill.data.tasks import MASKED_WORDS, Task, find_task
from edgedistill.errors import ConfigError
from edgedistill.pipeline.refusals import learns_several, refuse_unfit_teacher

if TYPE_CHECKING:
    from edgedistill.data.task_data import TaskData
    from edgedistill.models.loading import Checkpoint
    from edgedistill.recipes import Recipe, RecipeConfig
    from edgedistill.training.teachers import TeacherProvider


def named_tasks(recipe: str, module: Recipe, names: Sequence[str | Path], has_text: bool) -> tuple[Task, ...]:
    """The tasks of a run, the main one first; hidden words where none is named and the recipe can learn from text.

    Raises:
        UnknownNameError: no such task.
        ConfigError: none for a recipe that needs one, or several for one that takes one, or the same one twice.
    """
    is_about_text = {"mlm"} == module.KINDS or ("mlm" in module.KINDS and has_text)
    if not names and not is_about_text:
        raise ConfigError(f"the recipe '{recipe}' needs a task. Give it with --task; see: edgedistill ls tasks.")
    tasks = tuple(find_task(str(name)) for name in names) or (find_task(MASKED_WORDS),)
    if len(tasks) > 1 and not learns_several(module):
        raise ConfigError(
            f"the recipe '{recipe}' learns one task, not {len(tasks)} ({', '.join(task.name for task in tasks)}). "
            "Give one --task; several are learnt at once by mtdnn_kd."
        )
    listed = [task.name for task in tasks]
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"the task '{twice}' is given twice. Give each once, under a name of its own.")
    return tasks


def place_of(teacher: str | Path, tasks: Sequence[Task]) -> tuple[str | None, str | Path]:
    """Read `TASK=DIR` as the task and the folder; the task is none where it is not said.

    Raises:
        ConfigError: another task, and there is no folder of that whole name.
    """
    name, sign, place = str(teacher).partition("=")
    known = [task.name for task in tasks]
    if sign and name not in known and not Path(teacher).exists():
        raise ConfigError(f"--teacher {teacher}: '{name}' is none of the tasks {', '.join(known)}. Name one.")
    return (name, place) if sign and name in known else (None, teacher)


def teachers_by_task(teachers: Sequence[str | Path], tasks: Sequence[Task]) -> dict[str, list[Checkpoint]]:
    """Load every teacher for the tasks it answers.

    A multi-task model teaches all tasks it has a head for; any other one the task said with it (`TASK=DIR`), else the
    one its card names, else the main one.

    Raises:
        CheckpointError: one that cannot be read.
        ConfigError: one that answers none of the tasks.
    """
    from edgedistill.models.loading import load
    from edgedistill.models.multitask import task_names

    found: dict[str, list[Checkpoint]] = {}
    for teacher in teachers:
        said, place = place_of(teacher, tasks)
        checkpoint = load(resources.checkpoint(place))
        heads = task_names(checkpoint.folder)
        if heads:
            taught = [task.name for task in tasks if task.name in heads and said in (None, task.name)]
        else:
            own = checkpoint.card.task.name if checkpoint.card else None
            taught = [said or own or tasks[0].name]
        if not set(taught) & {task.name for task in tasks}:
            answers = ", ".join(heads) or taught[0]
            raise ConfigError(
                f"the teacher '{place}' answers {answers}, none of the tasks {', '.join(task.name for task in tasks)}. "
                "Say which one it is for: --teacher TASK=DIR."
            )
        for name in taught:
            found.setdefault(name, []).append(load(checkpoint.path, task=name) if heads else checkpoint)
    return found


def load_others(
    tasks: Sequence[Task],
    data_dir: Path | str | None,
    student_tokenizer: object,
    teachers: dict[str, list[Checkpoint]],
    cfg: RecipeConfig,
    limit: int | None,
) -> tuple[dict[str, TaskData], dict[str, TeacherProvider]]:
    """Rows and teachers of the tasks but the main one.

    Args:
        tasks: all but the main one.
        data_dir: holds a folder for each task, of its name; none: from the Hub.
        student_tokenizer: the student's fast tokenizer.
        teachers: by task.
        cfg: says how long a row may be, and the seed.
        limit: most rows of each split.

    Raises:
        DataError: as `load_task_data`.
        CheckpointError: a teacher that does not answer its task.
    """
    from edgedistill.data.task_data import load_task_data
    from edgedistill.pipeline.teaching import provider_of

    found: dict[str, TaskData] = {}
    providers: dict[str, TeacherProvider] = {}
    for task in tasks:
        own = teachers.get(task.name, [])
        found[task.name] = load_task_data(
            task,
            None if data_dir is None else Path(data_dir, task.name),
            student_tokenizer,
            teacher_tokenizer=own[0].tokenizer if own else None,
            max_length=cfg.max_length,
            seed=cfg.seed,
            limit=limit,
            needs_labels=cfg.needs_labels,
        )
        for checkpoint in own:
            refuse_unfit_teacher(checkpoint, task, found[task.name].labels)
        if own:
            providers[task.name] = provider_of(own, found[task.name], None, cfg.kept)
    return found, providers
