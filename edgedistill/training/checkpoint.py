"""Saving and resuming a stage: safetensors and JSON only, whole or not at all.

Random numbers and the order of the data need no saving: both are functions of the seed, the stage's name and
the step (`seed_step`), so a resumed run sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edgedistill import files
from edgedistill.errors import TrainingError
from edgedistill.training.optimizer import optimizer_tensors, restore_optimizer
from edgedistill.training.stage import Stage

CHECKPOINT = "checkpoint"
BEST = "best"
_WEIGHTS, _SCAFFOLD, _OPTIMIZER, _POSITION = (
    "model.safetensors",
    "scaffold.safetensors",
    "optimizer.safetensors",
    "position.json",
)


@dataclass
class Position:
    """How far a stage is.

    Attributes:
        step: optimiser steps taken.
        epoch: the current epoch, from 0.
        batch: batches of the current epoch already used.
        rows: rows seen.
        seconds: time spent training, over all interruptions.
        best_score: of the best epoch so far; none before the first score.
        best_step: when it was reached.
        is_finished: whether the stage is done, and the weights are its result.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    rows: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None
    is_finished: bool = False


def number_from(seed: int, *place: object) -> int:
    """A seed for one place in a run, the same on every machine."""
    return zlib.crc32("/".join(map(str, (seed, *place))).encode())


def seed_step(seed: int, stage: str, step: int, process: int) -> None:
    """Make everything random in a step a function of where in the run it happens."""
    number = number_from(seed, stage, step, process)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 -- libraries called by a step may use the global generator
    torch.manual_seed(number)


def save(
    slot: Path,
    stage: Stage,
    position: Position,
    optimizer: torch.optim.Optimizer | None = None,
    parameters: dict[str, nn.Parameter] | None = None,
) -> None:
    """Replace the slot's checkpoint in one move.

    Args:
        slot: the stage's folder.
        stage: whose model and scaffold to save.
        position: how far it is.
        optimizer: its memory is saved too; left out once the stage is finished.
        parameters: names of what the optimiser updates.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the former checkpoint stays.
    """
    with files.atomic_folder(slot / CHECKPOINT, overwrite=True) as folder:
        _write(folder / _WEIGHTS, stage.model.state_dict())
        if stage.scaffold is not None:  # of a finished stage too: the next one may go on with it
            _write(folder / _SCAFFOLD, stage.scaffold.state_dict())
        if optimizer is not None:
            _write(folder / _OPTIMIZER, optimizer_tensors(optimizer, parameters or {}))
        (folder / _POSITION).write_text(json.dumps(asdict(position), indent=2), encoding="utf-8")


def restore(
    slot: Path, stage: Stage, optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter]
) -> Position:
    """Continue from the slot's checkpoint, or from the start where there is none.

    Raises:
        TrainingError: the checkpoint is damaged or of another model.
    """
    folder = _found(slot)
    if folder is None:
        return Position()
    try:
        position = Position(**json.loads((folder / _POSITION).read_text(encoding="utf-8")))
        stage.model.load_state_dict(safetensors.torch.load_file(folder / _WEIGHTS))
        if stage.scaffold is not None:
            stage.scaffold.load_state_dict(safetensors.torch.load_file(folder / _SCAFFOLD))
        if not position.is_finished:
            restore_optimizer(optimizer, parameters, safetensors.torch.load_file(folder / _OPTIMIZER))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise TrainingError(
            f"cannot resume from '{folder}': {_reason(error)} Delete it to start this stage again, or use --overwrite."
        ) from error
    return position


def save_best(slot: Path, stage: Stage) -> None:
    """Keep the model as the best one so far."""
    with files.atomic_folder(slot / BEST, overwrite=True) as folder:
        _write(folder / _WEIGHTS, stage.model.state_dict())


def restore_best(slot: Path, stage: Stage) -> None:
    """Put the best model's weights back.

    Raises:
        TrainingError: they are gone, damaged or of another model.
    """
    path = slot / BEST / _WEIGHTS
    try:
        stage.model.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(
            f"cannot take the best epoch's weights from '{path}': {_reason(error)} Use --overwrite to train this stage "
            "again."
        ) from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _found(slot: Path) -> Path | None:
    """The newest complete checkpoint; what a killed process left half-written is removed."""
    for name in (CHECKPOINT, BEST):
        files.recover(slot / name)
    return slot / CHECKPOINT if (slot / CHECKPOINT).is_dir() else None


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    # Serialised here and written by us, so that a full disk is an OSError; copied, because tied weights may not
    # share memory in a safetensors file.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    path.write_bytes(safetensors.torch.save(copies))
