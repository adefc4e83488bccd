"""`edgedistill distill`: a teacher, a task and a recipe in; a student's folder out.

The run folder holds config.yaml and run.json (what decides the result), stages/NN-name/ (checkpoint, log.jsonl),
tensorboard/, and at the end student/: a Hugging Face folder with edgedistill.json (the card) and reference.jsonl (the
judged rows with the student's and the teacher's logits, so that the gate can run anywhere).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgedistill import files, plugins, resources
from edgedistill.artifacts import environment, now
from edgedistill.config import build, read_yaml, with_settings
from edgedistill.data.tasks import MASKED_WORDS, Task, find_task, same_head
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.pipeline.run_folder import STUDENT, open_run, refuse_taken
from edgedistill.pipeline.student_folder import Plan, command, write_student
from edgedistill.pipeline.teaching import cache_size, fill, provider_of
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
    task: str | None = None,
    teacher: str | Path | Sequence[str | Path] | None = None,
    teacher_cache: Path | str | None = None,
    student: str | Path | None = None,
    data: Path | str | None = None,
    corpus: Path | str | None = None,
    config: Path | str | Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    limit: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    dry_run: bool = False,
) -> Path:
    """Train a student.

    Args:
        recipe: its name; see `edgedistill ls recipes`.
        out: the run folder to make.
        task: name of a task, or the path of a task's YAML file; none for a recipe that learns from raw text.
        teacher: folder or Hub id of a checkpoint fine-tuned for the task, or several that answer as one. "minilm" is
            the embedded encoder. A recipe without a teacher starts from it where `student` is not given.
        teacher_cache: folder to store the teacher's logits in, and what else the recipe says it needs of every row, so
            that it is asked once; for recipes and settings that compare no other layers. One that is there already is
            used if it holds enough, refused if not.
        student: folder or Hub id of a checkpoint to start from, instead of the recipe's own start.
        data: folder of the task's files; none: from the Hub.
        corpus: unlabelled text, .txt or .txt.gz, a paragraph per line.
        config: settings of the recipe, a YAML file or a mapping.
        settings: `key=value` texts over them.
        limit: most rows of each split, for a quick try.
        overwrite: start anew where there is a run already.
        resume: go on with an interrupted run of the same settings.
        dry_run: check everything, say what would be done, and write nothing.

    Returns:
        The student's folder, `out/student`.

    Raises:
        ConfigError: a wrong setting, or a recipe that cannot do this task.
        DataError: data that cannot be used.
        CheckpointError: a teacher or student that cannot be used, or a teacher that was not fine-tuned for the task.
        TrainingError: training cannot go on, or must not be resumed.
        StorageError: `out` is taken, in use, or cannot be written.
    """
    out = Path(out)
    if not dry_run and is_main_process():
        refuse_taken(out, overwrite, resume)
    module = cast("Recipe", plugins.load("recipes", recipe))
    cfg = _config(module, recipe, config, settings)
    teachers = [teacher] if isinstance(teacher, str | Path) else list(teacher or ())
    plan = _planned(
        recipe,
        module,
        cfg,
        _task(recipe, module, task, has_text=corpus is not None and data is None),
        teachers,
        teacher_cache,
        student,
        data,
        corpus,
        limit,
    )
    begun = _built(plan)  # before anything is written: this is where settings that do not go together are refused
    if dry_run:
        _say_plan(plan, begun)
        return out / STUDENT
    with files.exclusive(out) if is_main_process() else nullcontext():
        if is_main_process():
            open_run(out, plan.identity(), _facts(), cfg, overwrite)
        return _run(plan, begun, out)


def _task(recipe: str, module: Recipe, name: str | None, has_text: bool) -> Task:
    is_about_text = {"mlm"} == module.KINDS or ("mlm" in module.KINDS and has_text)
    if name is None and not is_about_text:
        raise ConfigError(f"the recipe '{recipe}' needs a task. Give it with --task; see: edgedistill ls tasks.")
    return find_task(MASKED_WORDS if name is None else str(name))


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
    task: Task,
    teachers: Sequence[str | Path],
    cache: Path | str | None,
    student: str | Path | None,
    data_dir: Path | str | None,
    corpus: Path | str | None,
    limit: int | None,
) -> Plan:
    from edgedistill.data.task_data import load_task_data
    from edgedistill.models.loading import load
    from edgedistill.recipes import Ingredients

    _refuse_unfit_recipe(recipe, module, task, teachers, student)
    learnt_from = [load(resources.checkpoint(teacher)) for teacher in teachers] if module.NEEDS_TEACHER else []
    begins_with = student if student is not None or module.NEEDS_TEACHER else teachers[0]
    start = None if begins_with is None else load(resources.checkpoint(begins_with))
    reads = start or learnt_from[0]
    _refuse_too_long(cfg, [*learnt_from, *([start] if start else [])])
    data = load_task_data(
        task,
        None if data_dir is None else Path(data_dir),
        reads.tokenizer if start is not None else _own_tokenizer(module, cfg) or reads.tokenizer,
        teacher_tokenizer=learnt_from[0].tokenizer if learnt_from else None,
        max_length=cfg.max_length,
        seed=cfg.seed,
        limit=limit,
        corpus=None if corpus is None else Path(corpus),
    )
    provider = None
    if learnt_from:
        for checkpoint in learnt_from:
            refuse_unfit_teacher(checkpoint, task, data.labels)
        provider = provider_of(learnt_from, data, None if cache is None else Path(cache), cfg.kept)
    given = Ingredients(data=data, teacher=provider, start=None if start is None else start.path)
    return Plan(recipe, module, cfg, data, given, tuple(learnt_from), start, limit)


def _own_tokenizer(module: Recipe, cfg: RecipeConfig) -> PreTrainedTokenizerFast | None:
    """The tokenizer of students that read other tokens than their teacher; none for most recipes."""
    build_tokenizer = getattr(module, "build_tokenizer", None)
    return None if build_tokenizer is None else cast("PreTrainedTokenizerFast | None", build_tokenizer(cfg))


def _refuse_too_long(cfg: RecipeConfig, checkpoints: Sequence[Checkpoint]) -> None:
    from edgedistill.models.answers import longest_input

    for checkpoint in checkpoints:
        longest = longest_input(checkpoint.model)
        if cfg.max_length > longest:
            raise ConfigError(
                f"max_length is {cfg.max_length}, but '{checkpoint.path}' has positions for {longest} tokens. "
                f"Set it lower: --set max_length={longest}."
            )


def _refuse_unfit_recipe(
    recipe: str, module: Recipe, task: Task, teachers: Sequence[str | Path], student: str | Path | None
) -> None:
    if task.kind not in module.KINDS:
        raise ConfigError(
            f"the recipe '{recipe}' cannot do '{task.name}', a task of kind '{task.kind}'. "
            f"It does: {', '.join(sorted(module.KINDS))}."
        )
    if len(teachers) > 1 and not module.NEEDS_TEACHER:
        raise ConfigError(f"the recipe '{recipe}' learns from no teacher; it starts from one checkpoint. Give one.")
    if module.NEEDS_TEACHER and not teachers:
        raise ConfigError(f"the recipe '{recipe}' needs a teacher. Give a fine-tuned checkpoint with --teacher.")
    if not teachers and student is None:
        raise ConfigError(f"the recipe '{recipe}' needs a checkpoint to start from. Give it with --student.")


def refuse_unfit_teacher(teacher: Checkpoint, task: Task, labels: Sequence[str]) -> None:
    """Make sure the teacher answers this very task.

    Raises:
        CheckpointError: it has no head for it, or other labels, or the same in another order.
    """
    if task.kind == "mlm" and teacher.kind != "mlm":
        raise CheckpointError(
            f"the teacher '{teacher.path}' has no masked-word head to answer '{task.name}' with. Train one first: "
            f"edgedistill distill mlm --student {teacher.path} --corpus TEXT --out TEACHER_RUN; then give "
            "TEACHER_RUN/student as --teacher."
        )
    if not same_head(teacher.kind, task.kind):
        raise CheckpointError(
            f"the teacher '{teacher.path}' answers with '{teacher.kind}', but '{task.name}' is a task of kind "
            f"'{task.kind}'. Fine-tune it first: edgedistill distill finetune --student {teacher.path} "
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
            f"the teacher's label {place} is '{teacher.labels[place]}', the task's is '{labels[place]}'. List the "
            "labels in the teacher's order in the task's YAML, or fine-tune the teacher on this data."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _facts() -> dict[str, Any]:
    return {"created": now(), "command": command(), "environment": environment().model_dump(mode="json")}


def _built(plan: Plan) -> PreTrainedModel:
    from edgedistill.training.checkpoint import seed_step

    seed_step(plan.cfg.seed, "student", 0, 0)
    student = plan.module.build_student(plan.cfg, plan.given)
    return cast("PreTrainedModel", student)


def _say_plan(plan: Plan, student: PreTrainedModel) -> None:
    from edgedistill.training.teachers import CachedTeacher

    data = plan.data
    for teacher in plan.teachers:
        say(f"teacher: {teacher.path}, {teacher.source.family}, {teacher.source.parameters:,} parameters")
    if isinstance(plan.given.teacher, CachedTeacher):
        say(f"the teacher's cache: {cache_size(plan.given.teacher, data)}")
    say(f"student: {student.config.model_type}, {student.num_parameters():,} parameters")
    corpus = "" if data.corpus is None else f", corpus {len(data.corpus)}"
    say(f"rows: train {len(data.train)}, dev {len(data.dev)}, judged {len(data.judged)}{corpus}")
    for number, stage in enumerate(plan.module.stages(plan.cfg, plan.given, student), start=1):
        say(f"stage {number}: {_described(stage)}")


def _described(stage: Stage) -> str:
    optim = stage.optim
    trained = sum(parameter.numel() for parameter in stage.model.parameters() if parameter.requires_grad)
    return (
        f"{stage.name}, {len(stage.batches)} rows, {stage.steps} steps of {optim.batch_size} rows, "
        f"learning rate {optim.lr:g}, {trained:,} parameters learn"
    )


def _run(plan: Plan, student: PreTrainedModel, out: Path) -> Path:
    from edgedistill.training.loop import accelerator, fit
    from edgedistill.training.teachers import CachedTeacher

    accelerator().wait_for_everyone()  # the run folder is the main process's to open, or to refuse
    if isinstance(plan.given.teacher, CachedTeacher):
        fill(plan.given.teacher, plan.data)
    seconds = {}
    try:
        for number, stage in enumerate(plan.module.stages(plan.cfg, plan.given, student), start=1):
            say(f"stage {number}: {_described(stage)}")
            slot = out / "stages" / f"{number:02d}-{stage.name}"
            done = fit(stage, slot, plan.cfg.seed, tensorboard=out / "tensorboard")
            seconds[stage.name] = round(done.seconds, 1)
    except KeyboardInterrupt:
        say(f"'{out}' can be gone on with: the same command and --resume")
        raise
    if accelerator().is_main_process:
        say(f"judging on {len(plan.data.judged)} rows")
        write_student(plan, student, seconds, out / STUDENT)
    accelerator().wait_for_everyone()
    return out / STUDENT
