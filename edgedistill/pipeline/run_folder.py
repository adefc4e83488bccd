"""A run's folder: what it is made from, so that it is only ever resumed with the same."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edgedistill import files
from edgedistill.config import as_commented_yaml
from edgedistill.errors import TakenError, TrainingError

RUN = "run.json"
CONFIG = "config.yaml"
STUDENT = "student"
PROFILE = "profile"
_OWN = (RUN, CONFIG, STUDENT, "stages", "tensorboard", PROFILE)
"""What distill writes, and all that --overwrite removes; artifacts stay."""


def open_run(out: Path, identity: dict[str, Any], facts: dict[str, Any], cfg: BaseModel, overwrite: bool) -> None:
    """Begin a run in `out`, or go on with the one that is there.

    Args:
        out: the run's folder, held by this process alone.
        identity: all that decides the result; a run is only resumed with the same.
        facts: what else to write down (versions, the command).
        cfg: the recipe's settings, written out in full.
        overwrite: start anew, whatever is there.

    Raises:
        TrainingError: the run there was made from something else; the message shows the differences.
        StorageError: the folder cannot be written.
    """
    if overwrite:
        with files.storage_errors(out):
            _clear(out)
    path = out / RUN
    if path.is_file():
        _refuse_other(path, identity, type(cfg))
    else:
        files.write_json(path, {**identity, "made": facts})  # first: it is what makes the folder a run to go on with
    if not (out / CONFIG).is_file():
        files.write_text(out / CONFIG, as_commented_yaml(type(cfg), cfg))


def refuse_taken(out: Path, overwrite: bool, resume: bool) -> None:
    """Refuse a folder that is not ours to write in.

    Raises:
        TakenError: it holds something, and neither resuming nor overwriting was asked for or possible.
    """
    if out.is_file():
        raise TakenError(f"'{out}' is a file. Choose another --out.")
    taken = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.is_dir() else []
    if not taken:
        return
    is_run = (out / RUN).is_file()
    if not is_run and (overwrite or resume):
        raise TakenError(f"'{out}' is no run folder (it holds '{taken[0]}' and no {RUN}). Choose another --out.")
    if not overwrite and not resume:
        advice = "pass --resume to go on with it, --overwrite to start anew, or " if is_run else ""
        raise TakenError(f"'{out}' already exists: {advice}choose another --out.")


def _clear(out: Path) -> None:
    for name in _OWN:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _refuse_other(path: Path, identity: dict[str, Any], settings: type[BaseModel]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read '{path}': {error}. Start anew with --overwrite.") from error
    with suppress(ValidationError):  # settings that are gone or refused today are told below, as differences
        # A setting that a later version brought was what its default says.
        found["config"] = settings.model_validate(found.get("config")).model_dump(mode="json")
    former, wanted = _flat(found), _flat(json.loads(json.dumps(identity)))
    changed = [
        f"  {key}: was {former.get(key, 'not set')}, is {wanted.get(key, 'not set')}"
        for key in sorted(former.keys() | wanted.keys())
        if not key.startswith("made.") and former.get(key) != wanted.get(key)
    ]
    if changed:
        raise TrainingError(
            "\n".join((f"'{path.parent}' was begun with other settings and cannot be resumed with these:", *changed))
            + "\nGive the former settings, choose another --out, or start anew with --overwrite."
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found
