"""Files damaged at random, under every verb that reads them: a verdict or one clear message, and never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgedistill.cli.verbs import edgedistill

pytestmark = pytest.mark.long

ROUNDS = 40
EXIT_CODES = {0, 1, 2, 3}
VALUES: tuple[Any, ...] = (None, "", "../../etc/passwd", "<script>", -1, 0, 2**40, 1e308, True, [], {}, ["x"], {"a": 1})


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(edgedistill, [str(argument) for argument in arguments], prog_name="edgedistill")
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.stderr


def flip_bytes(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 8)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content)


def cut(path: Path, dice: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: dice.randrange(len(content))])


def remove(path: Path, dice: random.Random) -> None:
    path.unlink()


def repeat(path: Path, dice: random.Random) -> None:
    content = path.read_bytes()
    start = dice.randrange(len(content))
    path.write_bytes(content[:start] + content[start // 2 :])


def change_a_value(path: Path, dice: random.Random) -> None:
    """Well-formed JSON with one value that makes no sense."""
    if path.suffix != ".json":
        return flip_bytes(path, dice)
    document = json.loads(path.read_text(encoding="utf-8"))
    place = document
    while True:
        key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or dice.random() < 0.3:
            break
        place = place[key]
    place[key] = dice.choice(VALUES)
    path.write_text(json.dumps(document), encoding="utf-8")
    return None


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (flip_bytes, cut, remove, repeat, change_a_value)


def damaged(folder: Path, copy: Path, dice: random.Random) -> str:
    """A copy of the folder with one file harmed; says how."""
    shutil.copytree(folder, copy)
    path = dice.choice(sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size))
    damage = dice.choice(DAMAGES)
    damage(path, dice)
    return f"{damage.__name__} of {path.name}"


@pytest.fixture(scope="module")
def artifact(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "artifact"
    code, said = run("export", tiny_bert, "--target", "onnx", "--set", "max_length=32", "--out", folder)
    assert code == 0, said
    return folder


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("verb", ["check", "doctor", "bench", "package", "report"])
def test_a_damaged_artifact(artifact: Path, tmp_path: Path, verb: str, seed: int) -> None:
    dice = random.Random(f"{verb} {seed}")
    how = damaged(artifact, tmp_path / "artifact", dice)
    options = {
        "bench": ["--mode", "rapid", "--threads", "1"],
        "package": ["--for", "files", "--out", tmp_path / "dist"],
    }.get(verb, [])
    code, said = run(verb, tmp_path / "artifact", *options)
    assert code in EXIT_CODES, (how, code, said)
    assert "Traceback" not in said, how
    assert code != 2 or said.strip(), f"{how}: refused without a word"


def test_no_damage_passes_the_gate_unless_the_file_is_not_part_of_it(artifact: Path, tmp_path: Path) -> None:
    for seed in range(ROUNDS):
        dice = random.Random(seed)
        copy = tmp_path / str(seed)
        how = damaged(artifact, copy, dice)
        code, _ = run("check", copy)
        changed = {path.name for path in artifact.iterdir() if _differs(path, copy / path.name)}
        if changed - {"manifest.json", "parity.json"}:
            assert code != 0, f"{how}: the gate let changed bytes through"
        shutil.rmtree(copy)


def _differs(one: Path, two: Path) -> bool:
    return not two.is_file() or one.read_bytes() != two.read_bytes()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_damaged_checkpoint(tiny_bert: Path, tmp_path: Path, seed: int) -> None:
    how = damaged(tiny_bert, tmp_path / "model", random.Random(seed))
    code, said = run("export", tmp_path / "model", "--set", "max_length=32", "--out", tmp_path / "artifact")
    assert code in EXIT_CODES, (how, code, said)
    assert (tmp_path / "artifact" / "manifest.json").is_file() == (code == 0), how
    assert (tmp_path / "artifact").exists() == (code == 0), how


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_damaged_data(tiny_bert: Path, tiny_task_dir: Path, tmp_path: Path, seed: int) -> None:
    how = damaged(tiny_task_dir, tmp_path / "data", random.Random(seed))
    task = tmp_path / "data" / "task.yaml"
    code, said = run("distill", "finetune", "--student", tiny_bert, "--task", task, "--data", tmp_path / "data",
                     "--set", "optim.max_steps=1", "--set", "max_length=32", "--out", tmp_path / "run")  # fmt: skip
    assert code in EXIT_CODES, (how, code, said)
    assert (tmp_path / "run" / "student").exists() == (code == 0), how
