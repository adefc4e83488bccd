"""A student of several tasks as one artifact: its heads, and the answers each of them is judged by."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.artifacts import Head, Manifest, ReferenceRow, goldens_of, reference_of
from edgedistill.data.tasks import TASKS, Kind, Metric
from edgedistill.pipeline import goldens
from edgedistill.pipeline.runners import student_runner

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint
    from edgedistill.models.views import View
    from edgedistill.runner import Runner

_METRICS: dict[Kind, Metric] = {"regression": "pearson_spearman", "ranking": "ranking"}
"""Of a task that is not in the table; of other kinds accuracy."""


def heads_in(place: Path | str) -> dict[str, Checkpoint]:
    """A checkpoint's tasks, the main one first, each with its model; none where it answers one task only.

    Raises:
        CheckpointError: as `load`.
    """
    from edgedistill.models.folder import folder_of
    from edgedistill.models.loading import load
    from edgedistill.models.multitask import task_names

    names = task_names(folder_of(str(place)))
    return {name: load(place, task=name) for name in names} if len(names) > 1 else {}


def view_of_all(found: dict[str, Checkpoint]) -> View:
    """One encoder under all its heads.

    Raises:
        ExportError: a head that has no view.
    """
    from edgedistill.models.views.several import HeadsView

    return HeadsView({name: one.model for name, one in found.items()}, [_head(*pair) for pair in found.items()])


def write_others(folder: Path, manifest: Manifest, found: dict[str, Checkpoint], runner: Runner | None) -> None:
    """Write goldens and judged rows of every head but the main one.

    Raises:
        CheckpointError, ExportError: as `goldens.write`.
    """
    for part in manifest.of_each_task()[1:]:
        name = str(part.task.name)
        checkpoint = found[name]
        rows: tuple[ReferenceRow, ...] = ()
        if (stored := checkpoint.folder / reference_of(name)).is_file():
            shutil.copyfile(stored, folder / reference_of(name))
            lines = stored.read_text(encoding="utf-8").split("\n")
            rows = tuple(ReferenceRow.model_validate_json(line) for line in lines if line.strip())
        student = student_runner(checkpoint.model, part)
        goldens.write(folder, part, checkpoint, student, runner, rows, goldens_of(name))


def _head(name: str, checkpoint: Checkpoint) -> Head:
    kind = checkpoint.kind
    assert kind != "embedding"
    known = TASKS.get(name)
    metric: Metric = known.metric if known else _METRICS.get(kind, "accuracy")
    return Head(name=name, output=f"logits_{name}", kind=kind, metric=metric, labels=checkpoint.labels)
