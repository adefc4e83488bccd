"""check: open an artifact, climb the gate's ladder, write the verdict beside it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgedistill import files, reports
from edgedistill.artifacts import MANIFEST, Cascade, Manifest, Seq2Seq, environment, now, read_manifest
from edgedistill.data.encoding import load_tokenizer
from edgedistill.drivers import at_lengths
from edgedistill.errors import (
    ArtifactError,
    CheckpointError,
    EdgeDistillError,
    MissingExtraError,
    NoRuntimeError,
    StorageError,
    UnwrittenError,
)
from edgedistill.gate.case import Case, Student, read_goldens, read_reference, stored_as
from edgedistill.gate.delegations import with_delegations
from edgedistill.gate.files import files_rung, is_usable
from edgedistill.gate.ladder import climb_each, not_climbed, overall
from edgedistill.gate.rungs import finding
from edgedistill.gate.tolerances import Tolerances, read_tolerances
from edgedistill.pipeline.elsewhere import with_elsewhere
from edgedistill.pipeline.origins import checkpoint_folders
from edgedistill.pipeline.runners import asked_for_all
from edgedistill.pipeline.structure import structure_rungs
from edgedistill.reports import VERDICT, Rung, Verdict
from edgedistill.runner import Arrays, Runner

if TYPE_CHECKING:
    from torch import nn

Opener = Callable[[Path, Manifest], Runner]
StudentFinder = Callable[[Path, Manifest], Student | None]

_SEED = 0
_LAYER_LISTS = ("encoder.layer", "transformer.layer")


def check(artifact: Path | str, *, settings: Sequence[str] = (), write: bool = True) -> Verdict:
    """Judge an artifact against its student and its teacher.

    Args:
        artifact: its folder.
        settings: texts `name=value` that change a tolerance; the verdict lists them.
        write: whether to leave the verdict in the folder as `parity.json`.

    Returns:
        The verdict. A failed gate is no error.

    Raises:
        ArtifactError: no artifact there.
        ConfigError: a setting that is no tolerance.
        MissingExtraError: the artifact's runtime is not installed.
        UnwrittenError: the verdict cannot be written; the error carries it.
    """
    folder = Path(artifact)
    tolerances, overrides = read_tolerances(settings)
    manifest = read_manifest(folder)
    sha256 = files.sha256_of(folder / MANIFEST)
    rungs = with_elsewhere(judge(folder, manifest, tolerances), folder, sha256)
    verdict = Verdict(
        created=now(),
        command=shlex.join(["edgedistill", "check", str(folder), *(part for s in settings for part in ("--set", s))]),
        environment=environment(),
        artifact=folder.resolve().name,
        manifest_sha256=sha256,
        status=overall(rungs),
        rungs=tuple(rungs),
        overrides=overrides,
        seed=_SEED,
    )
    if write:
        _save(verdict, folder / VERDICT)
    return verdict


def _save(verdict: Verdict, path: Path) -> None:
    try:
        reports.save(verdict, path)
    except StorageError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise UnwrittenError(
            f"the verdict is {verdict.status}, but cannot be kept: cannot write '{path}' ({reason}). Free some space, "
            "or copy the artifact to a folder you may write to and check it there.",
            verdict,
        ) from error


def judge(
    folder: Path,
    manifest: Manifest,
    tolerances: Tolerances,
    *,
    opener: Opener | None = None,
    student_finder: StudentFinder | None = None,
) -> list[Rung]:
    """Every rung of one artifact.

    Args:
        folder: the artifact.
        manifest: its manifest, already read.
        tolerances: what may differ.
        opener: loads the model; the target's own runtime unless given.
        student_finder: finds the student in PyTorch; by the manifest's source unless given.
    """
    opener = opener or _open
    first = with_delegations(files_rung(folder, manifest), manifest, tolerances)
    if not is_usable(first):
        return [first, *not_climbed("the artifact's files are not what they should be, so it was not opened")]
    try:
        read_back = structure_rungs(folder, manifest)
        runner = _guarded(_opened(opener, folder, manifest))
        cases = [
            _case(folder, manifest, part, runner, tolerances, opener, student_finder or find_student)
            for part in manifest.of_each_task()
        ]
    except MissingExtraError:
        raise
    except EdgeDistillError as error:
        broken = first.model_copy(
            update={
                "status": "failed",
                "reason": "; ".join(filter(None, [str(error), first.reason])),
                "findings": (*first.findings, finding("cannot_open", str(error))),
            }
        )
        return [broken, *not_climbed("the artifact cannot be opened")]
    return [first, *read_back, *climb_each(cases)]


def _opened(opener: Opener, folder: Path, manifest: Manifest) -> Runner:
    """The artifact in its runtime; where that does not exist here, a runner that says so to whoever asks it."""
    try:
        return opener(folder, manifest)
    except NoRuntimeError as error:
        told = str(error)

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        raise NoRuntimeError(told)

    return run


def _case(
    folder: Path,
    whole: Manifest,
    part: Manifest,
    runner: Runner,
    tolerances: Tolerances,
    opener: Opener,
    student_finder: StudentFinder,
) -> Case:
    """The artifact in one of its tasks."""
    golden, reference = stored_as(part, whole)
    case = Case(
        folder=folder,
        manifest=part,
        runner=runner,
        at_length=_at_length(folder, whole, opener),
        all_answers=_all_answers(folder, whole, opener),
        tokenizer=load_tokenizer(folder),
        goldens=read_goldens(folder, golden),
        reference=read_reference(folder, reference),
        tolerances=tolerances,
        seed=_SEED,
        student=student_finder(folder, part),
    )
    assert case.scheme
    return case


def find_student(folder: Path, manifest: Manifest) -> Student | None:
    """The student in PyTorch, if it is here (also in the Hub's cache) and holds the very weights the manifest names."""
    found = (_load_student(place, manifest) for place in checkpoint_folders(manifest.source, folder))
    return next((student for student in found if student), None)


def _load_student(place: Path, manifest: Manifest) -> Student | None:
    from edgedistill.models.loading import load
    from edgedistill.pipeline.runners import student_runner

    try:
        checkpoint = load(place, task=manifest.task.name)
        tokenizer = load_tokenizer(place)
    except CheckpointError:
        return None
    if checkpoint.source.sha256 != manifest.source.sha256 or checkpoint.is_head_new:
        return None
    holder = _layer_holder(checkpoint.model)
    return Student(
        runner=student_runner(checkpoint.model, manifest),
        num_layers=len(holder.layer) if holder else 0,
        without_layer=lambda layer: _without_layer(checkpoint.model, layer),
        tokenizer=tokenizer,
        labels=checkpoint.labels,
    )


def _layer_holder(model: nn.Module) -> Any:
    """The module whose `layer` is the list of transformer layers; None for a family without one."""
    for name, module in model.named_modules():
        if any(f".{name}".endswith(f".{where}") for where in _LAYER_LISTS):
            return model.get_submodule(name.rpartition(".")[0]) if len(list(module.children())) else None
    return None


def _without_layer(model: nn.Module, skipped: int) -> Runner:
    """Run a model with one layer left out; the model is whole again after every call."""
    from torch import nn

    from edgedistill.models.answers import torch_runner

    holder, run = _layer_holder(model), torch_runner(model)

    def shorter(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        whole = holder.layer
        holder.layer = nn.ModuleList(layer for place, layer in enumerate(whole) if place != skipped)
        try:
            return run(inputs)
        finally:
            holder.layer = whole

    return shorter


def _at_length(folder: Path, manifest: Manifest, opener: Opener) -> Callable[[int], Runner] | None:
    """Each fixed length alone: the artifact opened again with a driver that knows only this one."""
    drivers = at_lengths(manifest)
    if None in drivers:
        return None

    @lru_cache
    def open_at(length: int) -> Runner:
        return _guarded(opener(folder, manifest.model_copy(update={"driver": drivers[length]})))

    return open_at


def _all_answers(folder: Path, manifest: Manifest, opener: Opener) -> Callable[[Manifest], Runner] | None:
    """The artifact opened so that it gives all that goldens store; None where it always does."""
    if not isinstance(manifest.driver, Cascade | Seq2Seq):
        return None
    return lambda changed: _guarded(opener(folder, asked_for_all(changed)))


def _open(folder: Path, manifest: Manifest) -> Runner:
    from edgedistill.pipeline.runners import open_runner

    return open_runner(folder, manifest)


def _guarded(runner: Runner) -> Runner:
    """Runtimes raise their own classes; the gate shows what they said and goes on to the next rung."""

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        try:
            return runner(inputs)
        except EdgeDistillError:
            raise
        except Exception as error:  # onnxruntime and LiteRT raise many unrelated classes
            first_line = str(error).strip().partition("\n")[0]
            raise ArtifactError(f"the runtime refused an input: {type(error).__name__}: {first_line}") from error

    return run
