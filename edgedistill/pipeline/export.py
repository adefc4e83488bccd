"""export: a student, or any fine-tuned BERT-family checkpoint, becomes an artifact for one runtime."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill import files, plugins, reports, resources
from edgedistill.artifacts import LABELS, MANIFEST, Cascade, Manifest, Single, TaskCard, environment, file_entry, now
from edgedistill.clients import refuse_clients
from edgedistill.config import build, read_yaml, with_settings
from edgedistill.data.tasks import Task, find_task, same_head
from edgedistill.errors import CheckpointError, ConfigError, ExportError
from edgedistill.pipeline.scheme_refusals import refuse_scheme, refuse_unlabelled
from edgedistill.progress import say
from edgedistill.quant.schemes import SEARCHED
from edgedistill.reports import STUDENT_CARD, StudentCard

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint
    from edgedistill.models.views import View
    from edgedistill.targets import ExportConfig, Exported

_DEFAULT_LENGTH = 128


@dataclass(frozen=True)
class _Plan:
    """What is going to be done, known before anything heavy is imported."""

    student: str
    card: StudentCard | None
    task: Task | None
    cfg: ExportConfig
    out: Path
    command: str


def export(
    student: str | Path,
    *,
    target: str | None = None,
    scheme: str | None = None,
    out: Path | str | None = None,
    config: Path | str | Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    task: str | None = None,
    data: Path | str | None = None,
    clients: Sequence[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
) -> Path:
    """Export a checkpoint.

    Args:
        student: folder of a student or of any BERT-family checkpoint, or a Hub id.
        target: runtime; wins over the config's; "onnx" where neither says.
        scheme: precision; wins over the config's; "fp32" where neither says.
        out: artifact folder; not given: beside the student, named after what is in it.
        config: the target's settings: a YAML file, or a mapping.
        settings: `key=value` texts over the config.
        task: task of a checkpoint that has no card of its own; with it the judged split travels with the artifact.
        data: folder of the task's files; not given: the Hub, or embedded.
        clients: runtimes and libraries that have to read it.
        overwrite: replace an artifact that is there.
        dry_run: say what would be done and do nothing.

    Returns:
        The artifact folder.

    Raises:
        ConfigError: a setting, target, scheme or task that does not exist.
        CheckpointError: a checkpoint that cannot be read or trusted.
        ExportError: a model, target and scheme that do not go together.
        StorageError: the folder is taken or cannot be written; nothing is left behind.
        MissingExtraError: the target's packages are not installed.
    """
    plan = _planned(str(student), target, scheme, out, config, settings, task, data, overwrite)
    refuse_clients(clients, plan.cfg.target, plan.cfg.of_weights, reads_text=len(plan.cfg.lengths) == 1)
    files.refuse_existing(plan.out, overwrite)
    if dry_run:
        lengths = ", ".join(map(str, plan.cfg.lengths)) or "the target's default"
        say(f"would export '{plan.student}' to {plan.cfg.target} {plan.cfg.scheme} in '{plan.out}'")
        say(f"max_length {plan.cfg.max_length}, fixed lengths: {lengths}")
        return plan.out
    from edgedistill.models import views
    from edgedistill.pipeline import heads

    data = Path(data) if data is not None else None
    checkpoint = _loaded(plan, data)
    several = {} if plan.task else heads.heads_in(resources.checkpoint(plan.student))
    if several:
        view = heads.view_of_all(several)
    else:
        view = (views.cut_view_of if plan.cfg.exits else views.view_of)(checkpoint.model)
    with files.atomic_folder(plan.out, overwrite) as folder:
        _write(folder, plan, checkpoint, several, view, data)
    return plan.out


def _planned(
    student: str,
    target: str | None,
    scheme: str | None,
    out: Path | str | None,
    config: Path | str | Mapping[str, Any] | None,
    settings: Sequence[str],
    task: str | None,
    data: Path | str | None,
    overwrite: bool,
) -> _Plan:
    """Check every option against the others.

    Raises:
        ConfigError: one is unknown or wrong.
        ExportError: the target does not honour the scheme.
    """
    given = read_yaml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    values = with_settings(given, settings)
    values |= {key: value for key, value in (("target", target), ("scheme", scheme)) if value is not None}
    values = {"target": "onnx", "scheme": "fp32", **values}
    card = _card(student)
    if not values.get("lengths"):
        values.setdefault("max_length", card.task.max_length if card else _DEFAULT_LENGTH)
    module = plugins.load("targets", str(values["target"]))
    refuse_scheme(str(values["target"]), str(values["scheme"]), module.SCHEMES)
    if data is not None and task is None:
        if card is None or card.task.name is None:
            raise ConfigError("--data needs --task: which task are these files of?")
        task = card.task.name
    if values["scheme"] in SEARCHED:
        refuse_unlabelled(task)
    cfg = build(module.Config, values, str(config) if isinstance(config, str | Path) else "export")
    return _Plan(
        student=student,
        card=card,
        task=find_task(task) if task is not None else None,
        cfg=cfg,
        out=Path(out) if out is not None else _default_out(student, card, task, cfg),
        command=_command(student, target, scheme, out, config, settings, task, data, overwrite),
    )


def _card(student: str) -> StudentCard | None:
    path = Path(student) / STUDENT_CARD
    return reports.read(StudentCard, path) if path.is_file() else None


def _default_out(student: str, card: StudentCard | None, task: str | None, cfg: ExportConfig) -> Path:
    folder = Path(student)
    is_local = folder.is_dir()
    made_by = card.recipe if card else (folder.resolve().name if is_local else student.replace("/", "--"))
    about = Path(task).stem if task else (card.task.name if card else None)
    name = "-".join(part for part in (made_by, about, cfg.target, cfg.scheme) if part)
    return (folder.resolve().parent if is_local else Path()) / "artifacts" / name


def _command(
    student: str,
    target: str | None,
    scheme: str | None,
    out: Path | str | None,
    config: Path | str | Mapping[str, Any] | None,
    settings: Sequence[str],
    task: str | None,
    data: Path | str | None,
    overwrite: bool,
) -> str:
    """The command line that does the same; a mapping given from Python becomes `--set`s."""
    words = ["edgedistill", "export", student]
    if isinstance(config, Mapping):
        settings = (*(f"{key}={value}" for key, value in config.items()), *settings)
        config = None
    options = {"target": target, "scheme": scheme, "out": out, "config": config, "task": task, "data": data}
    for name, value in options.items():
        words += [f"--{name}", str(value)] if value is not None else []
    for setting in settings:
        words += ["--set", setting]
    return shlex.join([*words, *(["--overwrite"] if overwrite else [])])


def _loaded(plan: _Plan, data: Path | None) -> Checkpoint:
    """The checkpoint, with its head and labels fitting the task where one is given.

    Raises:
        CheckpointError: another kind of head, or other labels.
    """
    from edgedistill.data.sources import load_label_names
    from edgedistill.models import loading

    place = resources.checkpoint(plan.student)
    if plan.task is None:
        return loading.load(place)
    names = load_label_names(plan.task, data) if plan.task.kind in {"single", "pair", "tokens"} else ()
    checkpoint = loading.load(place, labels=names, task=plan.task.name)
    if not same_head(checkpoint.kind, plan.task.kind):
        raise CheckpointError(
            f"the checkpoint has a head of kind '{checkpoint.kind}'; the task '{plan.task.name}' is of kind "
            f"'{plan.task.kind}'. Choose another --task, or train it first: edgedistill distill finetune."
        )
    if checkpoint.is_head_new or (names and sorted(names) == sorted(checkpoint.labels) and names != checkpoint.labels):
        own = loading.load(place, task=plan.task.name).labels
        raise CheckpointError(
            f"the checkpoint answers with {len(own)} labels ({', '.join(own[:5])}), the task '{plan.task.name}' has "
            f"{len(names)} ({', '.join(names[:5])}), in that order. Choose another --task, or train it first."
        )
    return checkpoint


def _write(
    folder: Path,
    plan: _Plan,
    checkpoint: Checkpoint,
    several: dict[str, Checkpoint],
    view: View,
    data: Path | None,
) -> None:
    """Fill the artifact folder; the manifest comes last, so that what has one is whole."""
    from edgedistill.pipeline import artifact_files, calibration, goldens, heads, search_rows
    from edgedistill.pipeline.runners import asked_for_all, runner_here, student_runner

    say(f"exporting {plan.cfg.target} {plan.cfg.scheme}: conversion takes about 10 s per graph of a 6-layer model")
    if view.note:
        say(view.note)
    target, task, watched = plugins.load("targets", plan.cfg.target), _task_card(plan, checkpoint), None
    if plan.cfg.scheme in target.CALIBRATED and len(view.pieces) == 1:
        rows, length = plan.cfg.calibration_rows, plan.cfg.max_length
        watched = calibration.chosen(checkpoint, plan.task, task.kind, data, rows, length)
    spec = artifact_files.write_tokenizer(folder, checkpoint, view.input_names, plan.cfg.max_length)
    checkpoint.model.config.save_pretrained(folder)
    (folder / LABELS).write_text("".join(f"{label}\n" for label in checkpoint.labels), encoding="utf-8")
    draft = Manifest(
        created=now(),
        command=plan.command,
        environment=environment(),
        source=checkpoint.source,
        parents=checkpoint.parents,
        recipe=plan.card.recipe if plan.card else None,
        task=task,
        labels=checkpoint.labels,
        target=plan.cfg.target,
        scheme=plan.cfg.scheme,
        graphs=(),
        driver=Single(graph=""),
        tokenizer=spec,
        files=(),
        licence=checkpoint.licence,
    )
    judged = {}
    if plan.task and plan.cfg.scheme in SEARCHED:
        asked = student_runner(checkpoint.model, draft)
        judged["judge"] = search_rows.judge(folder, draft, plan.task, data, plan.cfg, asked)
    exported: Exported = target.export(view, plan.cfg, folder, watched, **judged)
    manifest = draft.model_copy(
        update={
            "opset": exported.opset,
            "graphs": exported.graphs,
            "driver": exported.driver,
            "quantization": exported.quantization
            and (calibration.kept(folder, watched, exported.quantization) if watched else exported.quantization),
            "delegations": exported.delegations,
            "needs": exported.needs,
        }
    )
    student = student_runner(checkpoint.model, manifest)
    leaves_early = isinstance(exported.driver, Cascade)
    reference = artifact_files.write_reference(
        folder, checkpoint, plan.task, data, plan.cfg.max_length, student, asks_again=leaves_early
    )
    if finish := getattr(target, "finish", None):
        manifest = finish(folder, manifest)
    for_all = asked_for_all(manifest)
    student, runner = student_runner(checkpoint.model, for_all), runner_here(folder, for_all)
    say(f"answering the golden texts with {'the artifact and with ' if runner else ''}PyTorch")
    goldens.write(folder, manifest, checkpoint, student, runner, reference)
    heads.write_others(folder, manifest, several, runner)
    models = {path.resolve() for path in exported.model_files}
    listed = tuple(
        file_entry(folder, path, artifact_files.role_of(path, path.resolve() in models))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    reports.save(manifest.model_copy(update={"files": listed}), folder / MANIFEST)


def _task_card(plan: _Plan, checkpoint: Checkpoint) -> TaskCard:
    length = plan.cfg.max_length
    if plan.task is not None:
        return TaskCard(name=plan.task.name, kind=plan.task.kind, metric=plan.task.metric, max_length=length)
    if plan.card is not None:
        return plan.card.task.model_copy(update={"max_length": length})
    if checkpoint.kind == "mlm":  # views of masked-word heads do not exist, so that none gets here
        raise ExportError("a masked-word model answers no task.")
    return TaskCard(name=None, kind=checkpoint.kind, max_length=length)
