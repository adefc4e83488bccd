"""`edgedistill distill`: a teacher, a task and a recipe in; a student's folder out.

The run folder holds config.yaml and run.json (what decides the result), stages/NN-name/ (checkpoint, log.jsonl),
tensorboard/, profile/ where it was asked for, and at the end student/: a Hugging Face folder with edgedistill.json (the
card) and reference.jsonl (the judged rows with the student's and the teacher's logits, so that the gate can run
anywhere).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgedistill import files, plugins, resources
from edgedistill.artifacts import environment, now
from edgedistill.config import build, read_yaml, with_settings
from edgedistill.data.cache_card import Precision
from edgedistill.data.tasks import Task
from edgedistill.errors import ConfigError
from edgedistill.memory import ask_for_huge_pages
from edgedistill.pipeline.refusals import (
    learns_several,
    refuse_layer_rates,
    refuse_small_batches,
    refuse_too_long,
    refuse_unfit_recipe,
    refuse_unfit_teacher,
    refuse_unread_corpus,
    refuse_unsharable,
)
from edgedistill.pipeline.run_folder import PROFILE, STUDENT, open_run, refuse_taken
from edgedistill.pipeline.several_tasks import load_others, named_tasks, place_of, teachers_by_task
from edgedistill.pipeline.student_folder import Plan, command, write_student
from edgedistill.pipeline.teaching import Storage, cache_size, fill, origin_of, provider_of
from edgedistill.pipeline.vocabulary import (
    cut_tokenizer,
    embedding_report,
    refuse_no_cut,
    teachers_read,
    uncut_of,
    vocabulary_report,
)
from edgedistill.progress import is_main_process, say

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from edgedistill.models.loading import Checkpoint
    from edgedistill.recipes import Recipe, RecipeConfig
    from edgedistill.training.stage import Stage


def distill(
    recipe: str,
    *,
    out: Path | str,
    task: str | Sequence[str] | None = None,
    teacher: str | Path | Sequence[str | Path] | None = None,
    teacher_cache: Path | str | None = None,
    cache_dtype: Precision = "float32",
    student: str | Path | None = None,
    data: Path | str | None = None,
    corpus: Path | str | None = None,
    config: Path | str | Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    limit: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    profile: bool = False,
    shard_teacher: bool = False,
) -> Path:
    """Train a student.

    Args:
        recipe: its name; see `edgedistill ls recipes`.
        out: the run folder to make.
        task: name of a task, or the path of a task's YAML file; none for a recipe that learns from raw text; several
            for a recipe that learns them at once, the main one first.
        teacher: folder or Hub id of a checkpoint fine-tuned for the task, or several that answer as one. "minilm" is
            the embedded encoder. With several tasks `TASK=DIR` says which it is for, where its card does not. A recipe
            without a teacher starts from it where `student` is not given.
        teacher_cache: folder to store the teacher's logits in, and what else the recipe says it needs of every row, so
            that it is asked once; for recipes and settings that compare no other layers. One that is there already is
            used if it holds enough, refused if not. "auto": a folder of its own that the same teacher and rows find
            again (see `edgedistill cache ls`).
        cache_dtype: in which precision its logits are stored.
        student: folder or Hub id of a checkpoint to start from, instead of the recipe's own start.
        data: folder of the task's files (for several tasks: of a folder for each, of its name); none: from the Hub.
        corpus: unlabelled text, .txt or .txt.gz, a paragraph per line; a URL of some (s3://, gs://, hf://) is streamed.
        config: settings of the recipe, a YAML file or a mapping.
        settings: `key=value` texts over them.
        limit: most rows of each split, for a quick try.
        overwrite: start anew where there is a run already.
        resume: go on with an interrupted run of the same settings.
        dry_run: check everything, say what would be done, and write nothing.
        profile: trace a few steps of every stage into `out/profile`, by the profiler of torch.
        shard_teacher: share the teacher's layers out among the processes that train together, where one has no room.

    Returns:
        The student's folder, `out/student`.

    Raises:
        ConfigError: a wrong setting, or a recipe that cannot do this task.
        DataError: data that cannot be used.
        CheckpointError: a teacher or student that cannot be used, or a teacher that was not fine-tuned for the task.
        TrainingError: training cannot go on, or must not be resumed.
        StorageError: `out` is taken, in use, or cannot be written.
    """
    ask_for_huge_pages()
    from edgedistill.training.processes import main_first

    out = Path(out)
    if not dry_run:  # in every process: none of them makes the folder before all have looked
        refuse_taken(out, overwrite, resume)
    module = cast("Recipe", plugins.load("recipes", recipe))
    cfg = _config(module, recipe, config, settings)
    refuse_small_batches(cfg)
    teachers = [teacher] if isinstance(teacher, str | Path) else list(teacher or ())
    names = [task] if isinstance(task, str | Path) else list(task or ())
    tasks = named_tasks(recipe, module, names, has_text=corpus is not None and data is None)
    for one in tasks:
        refuse_unfit_recipe(recipe, module, one, teachers, student)
    if corpus is not None:
        refuse_unread_corpus(recipe, cfg, tasks[0])
    if shard_teacher:
        refuse_unsharable(module, cfg, tasks)
    storage = None if teacher_cache is None else Storage(Path(teacher_cache), cache_dtype)
    with main_first(on_each_machine=True):  # text is read and tokenised once, and found by the others
        plan = _planned(recipe, module, cfg, tasks, teachers, storage, student, data, corpus, limit, shard_teacher)
    begun = _built(plan)  # before anything is written: this is where settings that do not go together are refused
    plan = _with_words(plan, begun)
    if dry_run:
        _say_plan(plan, begun)
        return out / STUDENT
    with files.exclusive(out) if is_main_process() else nullcontext():
        if is_main_process():
            facts = {"created": now(), "command": command(), "environment": environment().model_dump(mode="json")}
            open_run(out, plan.identity(), facts, cfg, overwrite)
        return _run(plan, begun, out, out / PROFILE if profile else None)


def _config(
    module: Recipe, recipe: str, config: Path | str | Mapping[str, Any] | None, settings: Sequence[str]
) -> RecipeConfig:
    values = dict(config) if isinstance(config, Mapping) else {} if config is None else read_yaml(Path(config))
    values.pop("recipe", None)
    return build(module.Config, with_settings(values, settings), f"recipe '{recipe}'")


def _planned(
    recipe: str,
    module: Recipe,
    cfg: RecipeConfig,
    tasks: Sequence[Task],
    teachers: Sequence[str | Path],
    storage: Storage | None,
    student: str | Path | None,
    data_dir: Path | str | None,
    corpus: Path | str | None,
    limit: int | None,
    is_sharded: bool,
) -> Plan:
    from edgedistill.data.streams import as_place
    from edgedistill.data.task_data import load_task_data
    from edgedistill.models.loading import load
    from edgedistill.recipes import Ingredients

    task, several = tasks[0], len(tasks) > 1
    if several and (storage is not None or corpus is not None):
        raise ConfigError("--teacher-cache and --corpus are for one task. Leave them out with several.")
    by_task: dict[str, list[Checkpoint]] = {}
    places = [place_of(teacher, tasks)[1] for teacher in teachers]
    if module.NEEDS_TEACHER:
        by_task[task.name] = [load(resources.checkpoint(place), task=task.name) for place in places]
    elif learns_several(module):
        by_task = teachers_by_task(teachers, tasks)
    learnt_from = by_task.get(task.name, [])
    begins_with = student if student is not None or module.NEEDS_TEACHER else places[0]
    start = None if begins_with is None else load(resources.checkpoint(begins_with))
    reads = start or learnt_from[0]
    refuse_too_long(cfg, [*itertools.chain(*by_task.values()), *([start] if start else [])])
    refuse_no_cut(cfg, learnt_from, start)
    rows = partial(
        load_task_data,
        task,
        None if data_dir is None else Path(data_dir, task.name) if several else Path(data_dir),
        max_length=cfg.max_length,
        seed=cfg.seed,
        limit=limit,
        corpus=None if corpus is None else as_place(corpus),
        in_pairs=cfg.reads_pairs,
        needs_labels=cfg.needs_labels,
    )
    tokenizer = reads.tokenizer if start is not None else _own_tokenizer(module, cfg) or reads.tokenizer
    if (how := getattr(cfg, "vocabulary", None)) is not None:
        tokenizer = cut_tokenizer(rows(tokenizer), how)
    readers = learnt_from if several else teachers_read(learnt_from, tokenizer)
    data = rows(tokenizer, teacher_tokenizer=readers[0].tokenizer if readers else None)
    provider, uncut = None, None
    if learnt_from:
        for checkpoint in learnt_from:
            refuse_unfit_teacher(checkpoint, task, data.labels)
        if storage is not None:
            storage = replace(storage, origin=origin_of(learnt_from, data, data_dir, corpus, limit, start, cfg))
        provider = provider_of(readers, data, storage, cfg.kept, is_sharded=is_sharded)
    if readers and readers[0] is not learnt_from[0]:
        uncut = uncut_of(learnt_from, rows(learnt_from[0].tokenizer), tokenizer)
    others, their_teachers = load_others(tasks[1:], data_dir, reads.tokenizer, by_task, cfg, limit)
    given = Ingredients(data, provider, None if start is None else start.path, others, their_teachers)
    of_others = tuple(itertools.chain(*(by_task.get(name, []) for name in others)))
    precision = "float32" if storage is None else storage.logits_dtype
    return Plan(recipe, module, cfg, data, given, tuple(learnt_from), start, limit, of_others, precision, uncut)


def _own_tokenizer(module: Recipe, cfg: RecipeConfig) -> PreTrainedTokenizerFast | None:
    """The tokenizer of students that read other tokens than their teacher; none for most recipes."""
    build_tokenizer = getattr(module, "build_tokenizer", None)
    return None if build_tokenizer is None else cast("PreTrainedTokenizerFast | None", build_tokenizer(cfg))


def _built(plan: Plan) -> PreTrainedModel:
    from edgedistill.training.checkpoint import seed_step

    seed_step(plan.cfg.seed, "student", 0, 0)
    student = cast("PreTrainedModel", plan.module.build_student(plan.cfg, plan.given))
    refuse_layer_rates(plan.cfg, student)
    return student


def _with_words(plan: Plan, student: PreTrainedModel) -> Plan:
    """What the student has of its teacher's words, measured and said."""
    embedding = None
    if plan.uncut is not None:
        vocabulary = vocabulary_report(plan.data, plan.uncut)
        say(f"vocabulary: {vocabulary.sentence}")
        plan = replace(plan, vocabulary=vocabulary)
    if plan.given.teacher is not None and plan.given.start is None:
        embedding = embedding_report(student, plan.given)
    if embedding is not None:
        say(f"embeddings: {embedding.sentence}")
    return replace(plan, embedding=embedding)


def _say_plan(plan: Plan, student: PreTrainedModel) -> None:
    from edgedistill.training.teachers import CachedTeacher

    data = plan.data
    for teacher in (*plan.teachers, *plan.teachers_of_others):
        say(f"teacher: {teacher.path}, {teacher.source.family}, {teacher.source.parameters:,} parameters")
    if isinstance(plan.given.teacher, CachedTeacher):
        say(f"the teacher's cache: {cache_size(plan.given.teacher, data)}")
    say(f"student: {student.config.model_type}, {student.num_parameters():,} parameters")
    corpus = "" if data.corpus is None else f", corpus {len(data.corpus)}"
    for name, rows in plan.given.tasks.items():
        whose = f"{name}: " if plan.given.others else ""
        say(f"{whose}rows: train {len(rows.train)}, dev {len(rows.dev)}, judged {len(rows.judged)}{corpus}")
    for number, stage in enumerate(plan.module.stages(plan.cfg, plan.given, student), start=1):
        say(f"stage {number}: {_described(stage)}")


def _described(stage: Stage) -> str:
    optim = stage.optim
    trained = sum(parameter.numel() for parameter in stage.model.parameters() if parameter.requires_grad)
    size = f"{optim.batch_size} rows" if optim.batch_tokens is None else f"{optim.batch_tokens:,} tokens at most"
    steps = f"steps of {size}" if stage.steps is None else f"{stage.steps} steps of {size}"
    return f"{stage.name}, {len(stage.batches)} rows, {steps}, learning rate {optim.lr:g}, {trained:,} parameters learn"


def _run(plan: Plan, student: PreTrainedModel, out: Path, profiles: Path | None) -> Path:
    from edgedistill.training.loop import fit
    from edgedistill.training.processes import accelerator, wait_for_all
    from edgedistill.training.sharded import follow
    from edgedistill.training.teachers import CachedTeacher

    wait_for_all()  # the run folder is the main process's to open, or to refuse
    if isinstance(plan.given.teacher, CachedTeacher):
        fill(plan.given.teacher, plan.data)
    seconds = {}
    try:
        for number, stage in enumerate(plan.module.stages(plan.cfg, plan.given, student), start=1):
            say(f"stage {number}: {_described(stage)}")
            slot = out / "stages" / f"{number:02d}-{stage.name}"
            profile = None if profiles is None else profiles / f"{slot.name}.json"
            done = fit(stage, slot, plan.cfg.seed, tensorboard=out / "tensorboard", profile=profile)
            seconds[stage.name] = round(done.seconds, 1)
    except KeyboardInterrupt:
        say(f"'{out}' can be gone on with: the same command and --resume")
        raise
    if accelerator().is_main_process:
        say(f"judging on {sum(len(data.judged) for data in plan.given.tasks.values())} rows")
        write_student(plan, student, seconds, out / STUDENT, stage.taught_by)
    follow(plan.given.teacher)  # it is asked about the judged rows
    wait_for_all()
    return out / STUDENT
