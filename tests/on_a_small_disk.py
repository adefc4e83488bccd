"""Every verb on a disk that is full, or on a folder that is read-only; a program, run in a mount namespace of its own.

    unshare -rm python -m tests.on_a_small_disk MODEL TASK_DIR PLACE

prints, as JSON, what each verb said and left. See `test_disk.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from edgedistill.cli.verbs import edgedistill
from tests.made import write_artifact, write_verdict

DISK_BYTES = 16_000_000
FREE_BYTES = {
    "distill": (0, 40_960, 327_680),  # at the first file; at the best model; at a later checkpoint
    "export": (0, 81_920),  # before and after the model
    "check": (0,),
    "bench": (0,),
    "report": (0,),
    "package": (0, 8_192),
    "run": (8_192, 163_840),  # between the first files of training; at a checkpoint
}


def call(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(edgedistill, [str(argument) for argument in arguments], prog_name="edgedistill")
    return done.exit_code, done.stderr


def files_in(place: Path) -> dict[str, int]:
    return {str(path.relative_to(place)): path.stat().st_size for path in sorted(place.rglob("*")) if path.is_file()}


class Disk:
    """A tmpfs mounted on `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", place], check=True)

    def fill(self, free_bytes: int) -> None:
        filler = self.place / "filler"
        with filler.open("wb") as file:
            left = os.statvfs(self.place).f_bavail * os.statvfs(self.place).f_bsize
            file.write(bytes(left - free_bytes))

    def empty(self) -> None:
        (self.place / "filler").unlink()

    def close_to_writing(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.place], check=True)


class Verbs:
    """One command of each verb that writes, and what it needs to be there before."""

    def __init__(self, model: Path, task: Path, place: Path) -> None:
        self.model, self.place = model, place
        self.data = ["--task", task / "task.yaml", "--data", task]
        self.exported = place.parent / "exported"
        short = ["--set", "max_length=32", "--target", "onnx"]
        code, said = call("export", model, *short, *self.data, "--out", self.exported)
        assert code == 0, said
        self.commands: dict[str, list[str | Path]] = {
            "distill": ["distill", "finetune", "--student", model, *self.data, "--set", "max_length=32", "--out",
                        place / "run", "--set", "optim.max_steps=12"],
            "export": ["export", model, *short, *self.data, "--out", place / "artifact"],
            "check": ["check", place / "exported"],
            "bench": ["bench", place / "exported", "--mode", "rapid", "--no-reference"],
            "report": ["report", place / "run"],
            "package": ["package", place / "made", "--out", place / "dist"],
            "run": ["run", place / "road.yaml"],
        }  # fmt: skip

    def prepare(self, verb: str) -> None:
        if verb in {"check", "bench"}:
            shutil.copytree(self.exported, self.place / "exported")
        if verb == "package":
            write_artifact(self.place / "made")
            write_verdict(self.place / "made")
        if verb == "report":
            write_artifact(self.place / "run" / "artifacts" / "made")
            write_verdict(self.place / "run" / "artifacts" / "made")
        if verb == "run":
            _, task, _, data = self.data
            road = {"out": str(self.place / "out"), "task": str(task), "data": str(data), "teacher": None,
                    "distill": {"recipe": "finetune", "student": str(self.model),
                                "settings": {"optim": {"max_steps": 2}, "max_length": 32}},
                    "exports": [{"target": "onnx", "scheme": "fp32", "settings": {"max_length": 32}}],
                    "bench": None}  # fmt: skip
            (self.place / "road.yaml").write_text(json.dumps(road), encoding="utf-8")


def seen(verbs: Verbs, verb: str, harm: Callable[[Disk], None], heal: bool) -> dict[str, Any]:
    disk = Disk(verbs.place)
    try:
        verbs.prepare(verb)
        before = files_in(verbs.place)
        harm(disk)
        code, said = call(*verbs.commands[verb])
        after = files_in(verbs.place)
        found = {"verb": verb, "code": code, "said": said, "before": before, "after": after}
        if heal and code:
            disk.empty()
            again = ["--resume"] if verb == "distill" else []
            found["again"], found["said_again"] = call(*verbs.commands[verb], *again)
            found["at_last"] = files_in(verbs.place)
        return found
    finally:
        disk.unmount()


def main(model: Path, task: Path, place: Path) -> None:
    verbs = Verbs(model, task, place)
    found = []
    for verb in verbs.commands:
        found.append({"harm": "read-only", **seen(verbs, verb, Disk.close_to_writing, heal=False)})
        for free in FREE_BYTES[verb]:
            harm = lambda disk, free=free: disk.fill(free)  # noqa: E731
            found.append({"harm": f"{free} bytes free", **seen(verbs, verb, harm, heal=verb not in {"bench", "check"})})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
