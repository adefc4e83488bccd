"""Teachers' caches from the outside: filled by distill, listed, verified, removed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from edgedistill import distill
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import ConfigError, StorageError, TrainingError
from edgedistill.training.teachers import OnlineTeacher
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, write_jsonl, write_task

FEW = {"max_steps": 2, "batch_size": 8}
PKD = {"max_length": 32, "optim": FEW}
# A teacher that is asked in every step answers in the step's precision, one that is asked before in float32.
NO_LAYERS = {"strategy": "auxiliary", "max_length": 32, "polish_optim": None}
NO_LAYERS["distill_optim"] = {**FEW, "mixed_precision": "no"}
NO_LAYERS["distill"] = {"feature": 0, "mean": 0, "variance": 0, "attention": 0, "logits": 1}


@pytest.fixture
def run(tiny_bert, tiny_task_dir, tmp_path):
    def run(recipe="pkd", **changes):
        given = {"task": "sst2", "data": tiny_task_dir, "out": tmp_path / "run", "teacher": tiny_bert, "config": PKD}
        return distill(recipe, **{**given, "teacher_cache": tmp_path / "cache", **changes})

    return run


def call(*words):
    done = CliRunner().invoke(edgedistill, ["cache", *map(str, words)], prog_name="edgedistill")
    return done.exit_code, done.stdout, done.stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_listed_verified_removed(run, tmp_path):
    run()
    code, said, _ = call("ls", tmp_path)
    assert code == 0
    assert "logits and the [CLS] of" in said
    (one,) = json.loads(call("ls", tmp_path, "--json")[1])
    assert (one["status"], one["rows"], one["task"]) == ("complete", 96, "sst2")
    assert one["size_bytes"] == sum(map(len, contents(tmp_path / "cache").values()))
    code, said, _ = call("verify", tmp_path / "cache")
    assert code == 0
    assert "8 random rows" in said
    assert "passed" in said
    assert call("rm", tmp_path / "cache")[0] == 0
    assert not (tmp_path / "cache").exists()
    assert "no caches" in call("ls", tmp_path)[1]


def test_a_cut_vocabulary_is_cut_again_to_verify(run, tmp_path):
    run(config={**PKD, "vocabulary": {"coverage": 1.0, "characters": "seen"}})
    code, said, errors = call("verify", tmp_path / "cache")
    assert code == 0, errors
    assert "8 random rows" in said
    assert json.loads((tmp_path / "run/student/edgedistill.json").read_text())["vocabulary"]["entries"] > 5


def test_a_cache_that_does_not_say_what_it_is_of_cannot_be_verified(run, tmp_path):
    run()
    card = tmp_path / "cache" / "cache.json"
    told = json.loads(card.read_text())
    del told["origin"]["teachers"]
    card.write_text(json.dumps(told))
    code, _, errors = call("verify", tmp_path / "cache")
    assert (code, "it has no 'teachers'" in " ".join(errors.split())) == (2, True)


def test_answers_that_are_not_the_teachers_exit_with_one_and_are_not_used(run, tmp_path):
    run()
    cache = tmp_path / "cache"
    (shard,) = cache.glob("answers-*")
    table = safetensors.numpy.load_file(shard)
    table["logits"] = np.flip(table["logits"], axis=1).copy()
    shard.write_bytes(safetensors.numpy.save(table))
    code, _, errors = call("verify", cache)
    assert (code, "its bytes are not those that were written" in errors) == (2, True)
    (cache / "index.safetensors").unlink()
    code, said, errors = call("verify", cache, "--rows", 3, "--seed", 5)
    assert code == 1, errors
    assert "does not say what its teacher says: failed" in " ".join(said.split())
    assert f"next: edgedistill cache rm {cache}" in said
    found = json.loads(call("verify", cache, "--json", "--seed", 5)[1])
    assert (found["is_same"], found["seed"], found["what"]) == (False, 5, "logits")
    with pytest.raises(TrainingError, match=r"of 8 random rows, the logits of '.*' differ by .*edgedistill cache rm"):
        run(out=tmp_path / "second")


def test_a_stale_cache_is_told_from_a_wrong_one(run, tiny_task_dir, tmp_path):
    run()
    other = save_checkpoint(tmp_path / "other", tiny_model(seed=7))
    code, _, errors = call("verify", tmp_path / "cache", "--teacher", other)
    assert (code, "teacher was" in errors) == (2, True)
    moved = shutil.copytree(tiny_task_dir, tmp_path / "moved")
    assert call("verify", tmp_path / "cache", "--data", moved)[0] == 0
    (moved / "train.jsonl").write_text((moved / "train.jsonl").read_text().replace("film", "movie"))
    code, _, errors = call("verify", tmp_path / "cache", "--data", moved)
    assert (code, "data was" in errors) == (2, True)


def test_a_cache_of_its_own_is_found_again(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "home"))
    assert call("ls")[1] == "no caches\n"
    for out, values in (("first", {}), ("second", {}), ("third", {"settings": ["max_length=16"]})):
        run(out=tmp_path / out, teacher_cache="auto", **values)
    names = [Path(one["path"]).name for one in json.loads(call("ls", "--json")[1])]
    assert len(names) == 2
    assert all("-sst2-" in name for name in names)
    assert call("verify", names[0])[0] == 0
    assert call("rm", *names)[0] == 0
    assert not list((tmp_path / "home").iterdir())


def test_what_is_no_cache_is_left_alone(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    for verb in ("rm", "verify"):
        code, _, errors = call(verb, tmp_path / "mine")
        assert (code, "is no teacher's cache" in errors) == (2, True)
    run()
    (tmp_path / "cache" / "thesis.txt").write_text("mine")
    code, _, errors = call("rm", tmp_path / "cache")
    assert (code, "'thesis.txt', which is no part of a cache" in errors) == (2, True)
    assert len(contents(tmp_path / "cache")) == 4
    assert call("ls", tmp_path / "nowhere")[0] == 2


def test_a_partial_cache_and_an_old_one_are_shown_as_such(run, tmp_path):
    run()
    (tmp_path / "cache" / "index.safetensors").unlink()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "fingerprint.json").write_text("{}")
    (tmp_path / "old" / "logits-00000.safetensors").write_bytes(b"0" * 10)
    partial, old = json.loads(call("ls", tmp_path, "--json")[1])
    assert (partial["status"], partial["rows"], partial["rows_wanted"]) == ("partial", None, 96)
    assert (old["status"], old["size_bytes"]) == ("unreadable", 12)
    assert "format was 1" in old["message"]
    assert "? of 96" in call("ls", tmp_path)[1]
    assert call("rm", tmp_path / "old")[0] == 0


def test_a_cache_that_lost_something_is_not_listed_as_complete(run, tmp_path):
    run()
    cache = tmp_path / "cache"
    (shard,) = cache.glob("answers-*")
    whole = contents(cache)
    for name, bytes_left in ((shard.name, 1000), ("index.safetensors", 1000), ("index.safetensors", 5)):
        (cache / name).write_bytes(whole[name][:bytes_left])
        (one,) = json.loads(call("ls", cache, "--json")[1])
        assert (one["status"], one["rows"], name in one["message"]) == ("damaged", None, True)
        assert call("verify", cache)[0] == 2
        (cache / name).write_bytes(whole[name])
    shard.unlink()
    said = " ".join(call("ls", cache)[1].split())
    assert "is gone. See: edgedistill cache verify" in said
    shard.write_bytes(whole[shard.name])
    assert json.loads(call("ls", cache, "--json")[1])[0]["status"] == "complete"


def test_several_are_removed_together_or_not_at_all(run, tmp_path):
    run()
    before = contents(tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    assert call("rm", tmp_path / "cache", tmp_path / "mine")[0] == 2
    assert contents(tmp_path / "cache") == before
    code, said, _ = call("rm", tmp_path / "cache", tmp_path / "cache")
    assert (code, len(said.splitlines()), (tmp_path / "cache").exists()) == (0, 1, False)


def test_the_command_that_removes_a_cache_can_be_pasted(run, tmp_path):
    cache = tmp_path / "it's $(touch owned)"
    run(teacher_cache=cache)
    with pytest.raises(TrainingError) as refused:
        run(teacher_cache=cache, out=tmp_path / "other", settings=["max_length=16"])
    (command,) = re.findall(r"\((edgedistill cache rm .*)\), or choose", str(refused.value))
    assert shlex.split(command) == ["edgedistill", "cache", "rm", str(cache)]


def test_a_disk_too_small_is_refused_before_the_first_question(run, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5000, 5000))
    monkeypatch.setattr(OnlineTeacher, "__call__", lambda *_: pytest.fail("asked"))
    with pytest.raises(StorageError, match=r"cache' would take 0\.0 MB, and the disk has 0\.0 MB free"):
        run()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bit_logits_teach_nearly_the_same_and_are_part_of_the_run(run, tmp_path, dtype):
    straight = run(teacher_cache=None, out=tmp_path / "straight")
    rounded = run(cache_dtype=dtype)
    theirs, ours = (safetensors.numpy.load_file(path / "model.safetensors") for path in (straight, rounded))
    assert max(np.abs(theirs[name] - ours[name]).max() for name in theirs) < 5e-3
    assert json.loads((tmp_path / "run" / "run.json").read_text())["cache_dtype"] == dtype
    with pytest.raises(TrainingError, match=f"cache_dtype: was {dtype}, is not set"):
        run(resume=True, teacher_cache=None)
    with pytest.raises(TrainingError, match=f"it holds logits in {dtype} and"):
        run(out=tmp_path / "other")


TAGS = ("O", "B")
TAG_TASK = "name: tags\nkind: tokens\ntext: [words]\nlabel: tags\nlabels: [O, B]\nmetric: macro_f1\n"


@pytest.fixture
def tagged(tmp_path):
    folder = tmp_path / "tags"
    for split, count in (("train", 24), ("validation", 12), ("test", 12)):
        words = [["the", "film", "is", "superb"][: 2 + n % 3] for n in range(count)]
        rows = [{"words": some, "tags": [TAGS[word == "film"] for word in some]} for some in words]
        write_jsonl(folder / f"{split}.jsonl", rows)
    (folder / "task.yaml").write_text(TAG_TASK)
    return folder


def test_answers_of_every_token_teach_the_same_student(run, tagged, tmp_path):
    teacher = save_checkpoint(tmp_path / "tagger", tiny_model(head="tokens", labels=TAGS), tiny_tokenizer())
    given = {"task": str(tagged / "task.yaml"), "data": tagged, "teacher": teacher, "config": NO_LAYERS}
    straight = run("mobilebert", **given, teacher_cache=None, out=tmp_path / "straight")
    cached = run("mobilebert", **given)
    theirs, ours = (safetensors.numpy.load_file(path / "model.safetensors") for path in (straight, cached))
    assert max(np.abs(theirs[name] - ours[name]).max() for name in theirs) < 1e-5
    assert "logits of every token" in " ".join(call("ls", tmp_path)[1].split())
    assert call("verify", tmp_path / "cache")[0] == 0


def test_hidden_words_are_not_worth_keeping(run, tmp_path):
    (tmp_path / "text.txt").write_text("the film is superb\n" * 60)
    teacher = save_checkpoint(tmp_path / "mlm", tiny_model(head="mlm"))
    given = {"task": None, "data": None, "corpus": tmp_path / "text.txt", "teacher": teacher}
    with pytest.raises(ConfigError, match=r"other words are hidden in every epoch.*Leave it out"):
        run("mobilebert", **given, config={"max_length": 32})


@pytest.mark.slow
def test_two_processes_fill_the_cache_of_one(tiny_bert, tmp_path):
    task = write_task(tmp_path / "task", train=2500)  # three shards

    def fill(words, name, *more):
        command = [*words, "-m", "edgedistill", "distill", "pkd", "--teacher", str(tiny_bert), "--task", "sst2"]
        command += ["--data", str(task), "--out", str(tmp_path / f"run-{name}"), "--set", "max_length=32"]
        command += ["--teacher-cache", str(tmp_path / name), "--set", "optim.max_steps=1", "--json", *more]
        where = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        home = Path(__file__).parents[2]
        done = subprocess.run(command, env=where, cwd=home, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr

    fill([sys.executable], "one")
    # One has two shards to ask about, the other one: it helps with the last, of a teacher that each has half of.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    fill(launch, "two", "--shard-teacher")
    assert len(contents(tmp_path / "one")) == 3 + 2
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
