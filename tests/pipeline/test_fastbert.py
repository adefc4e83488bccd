"""A FastBERT on the whole road: its folder holds its curve, and what is exported is its last classifier."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistill import check, distill, export, reports
from edgedistill.artifacts import read_manifest
from edgedistill.cli import show
from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.errors import ConfigError
from edgedistill.models.answers import torch_runner
from edgedistill.models.early_exit import answer_early, early_runner
from edgedistill.models.loading import load
from edgedistill.pipeline.runners import open_runner
from edgedistill.reports import STUDENT_CARD, ExitReport, StudentCard
from edgedistill.training.exits import SPEEDS
from tests.models.test_early_exit import one
from tests.models.test_fastbert import tokens

FEW = {"max_steps": 3, "batch_size": 8}
CONFIG = {"max_length": 32, "classifier_size": 16, "finetune_optim": FEW, "distill_optim": FEW, "max_drop": 2.0}
TEXTS = ["the film was lovely", "a very dull and messy plot in the end ."]


@pytest.fixture(scope="module")
def student(tiny_bert, tiny_task_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("fastbert") / "run"
    return distill("fastbert", task="sst2", data=tiny_task_dir, teacher=tiny_bert, config=CONFIG, out=out)


def test_its_folder_holds_the_curve_and_the_speed_that_was_chosen_on_it(student):
    found = reports.read(ExitReport, student / "exits.json")
    assert (found.max_drop, found.padded_length, found.dev_rows, found.judged_rows) == (2.0, 32, 32, 32)
    assert [point.speed for point in found.dev] == [point.speed for point in found.judged]
    assert {*SPEEDS, found.speed} < {point.speed for point in found.dev}
    assert len({point.mean_layers for point in found.dev}) > 5, "a curve is there to be read"
    full, chosen = found.dev[0], next(point for point in found.dev if point.speed == found.speed)
    assert chosen.score >= full.score - 0.02
    assert found.each_exit[-1] == full.score
    assert load(student).model.config.speed == found.speed


def test_what_judges_a_student_sees_its_last_classifier(student):
    card, model = reports.read(StudentCard, student / STUDENT_CARD), load(student).model
    assert (card.recipe, card.student.family, card.seconds.keys()) == ("fastbert", "fastbert", {"finetune", "distill"})
    assert card.scores["student"] == reports.read(ExitReport, student / "exits.json").judged[0].score
    row = json.loads((student / "reference.jsonl").read_text().splitlines()[0])
    encoded = load(student).tokenizer(row["text"], return_tensors="pt")
    assert torch.allclose(model(**encoded).logits[0], torch.tensor(row["student"]), atol=1e-5)


def test_the_result_says_what_leaving_early_comes_to(student, capsys):
    show.student(student, as_json=False, is_made=True)
    assert reports.read(ExitReport, student / "exits.json").summary in capsys.readouterr().out


def test_the_judged_curve_is_what_early_answers_give(student):
    found, model = reports.read(ExitReport, student / "exits.json"), load(student).model
    rows = [json.loads(line) for line in (student / "reference.jsonl").read_text().splitlines()]
    tokenizer = load(student).tokenizer
    for point in found.judged[::4]:
        right, layers = [], []
        for row in rows:
            encoded = tokenizer(row["text"], return_tensors="pt", truncation=True, max_length=32)
            answers = answer_early(model, _encoded(encoded), point.speed)
            right.append(answers.logits.argmax().item() == row["label"])
            layers.append(answers.layers.item())
        assert np.mean(right) == pytest.approx(point.score)
        assert np.mean(layers) == pytest.approx(point.mean_layers)


def _encoded(found):
    return one(type(tokens())(found["input_ids"], found["attention_mask"], found["token_type_ids"]), 0)


@pytest.mark.parametrize("target", ["onnx", "tflite", pytest.param("executorch", marks=pytest.mark.long)])
@pytest.mark.slow
def test_exported_it_leaves_where_the_student_does(student, tmp_path, target):
    pytest.importorskip({"onnx": "onnxruntime", "tflite": "litert_torch", "executorch": "executorch"}[target])
    artifact = export(student, target=target, out=tmp_path / target, settings=["lengths=[16,32]"])
    manifest, model = read_manifest(artifact), load(student).model
    assert manifest.driver.kind == "cascade"
    assert [(one.graphs, one.threshold) for one in manifest.driver.exits] == [
        ((f"segment_{n}_length_16", f"segment_{n}_length_32"), model.config.speed) for n in (1, 2, 3, 4)
    ]
    inputs = pad(encode(load_tokenizer(artifact), TEXTS, [None] * 2, 32))
    ours, theirs = open_runner(artifact)(inputs), early_runner(model)(inputs)
    np.testing.assert_allclose(ours["logits"], theirs["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(ours["layers"], theirs["layers"])
    rungs = {rung.name: rung for rung in check(artifact, write=False).rungs}
    assert rungs["early_exits"].status == "passed", rungs["early_exits"]
    assert rungs["student_to_artifact"].status == "passed"
    assert rungs["padding_and_batch"].status == "passed"


@pytest.mark.slow
def test_exported_whole_it_answers_with_its_last_classifier(student, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    artifact = export(student, out=tmp_path / "whole", settings=["lengths=[32]", "exits=false"])
    assert "answers with the last classifier" in capsys.readouterr().err
    assert read_manifest(artifact).driver.kind == "buckets"
    assert read_manifest(artifact).source.family == "fastbert"
    inputs = pad(encode(load_tokenizer(artifact), TEXTS[:1], [None], 32), length=32)
    ours, theirs = open_runner(artifact)(inputs), torch_runner(load(student).model)(inputs)
    np.testing.assert_allclose(ours["logits"], theirs["logits"], rtol=1e-4, atol=1e-4)


def test_only_texts_and_pairs(tiny_bert, tiny_task_dir, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot do 'stsb'.*It does: pair, single"):
        distill("fastbert", task="stsb", data=tiny_task_dir, teacher=tiny_bert, out=tmp_path / "run")


def test_a_dry_run_trains_and_measures_nothing(tiny_bert, tiny_task_dir, tmp_path, capsys):
    given = {"task": "sst2", "data": tiny_task_dir, "teacher": tiny_bert, "config": CONFIG}
    distill("fastbert", **given, out=tmp_path / "run", dry_run=True)
    said = capsys.readouterr().err
    assert "stage 1: finetune, 64 rows, 3 steps of 8 rows, learning rate 2e-05" in said
    assert "stage 2: distill" in said
    assert "exits:" not in said
    assert not (tmp_path / "run").exists()


def test_the_benchmark_times_every_speed(student, tiny_task_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    script = importlib.import_module("fastbert_curve")
    if importlib.util.find_spec("matplotlib") is None:  # an extra of the benchmarks alone
        monkeypatch.setattr(script, "_plot", lambda path, _results: path.write_text("<svg"))
    words = [student, "--data", tiny_task_dir, "--out", tmp_path / "time.json", "--texts", 4, "--rounds", 1]
    monkeypatch.setattr("sys.argv", ["fastbert_curve", *map(str, words), "--batch", "4", "--budget-ms", "1e6"])
    script.main()
    found = json.loads((tmp_path / "time.json").read_text())
    assert {row["speed"] for row in found["judged"]} >= {*SPEEDS, found["own_speed"]}
    assert all(row["ms_alone"] > 0 and row["ms_in_4"] > 0 for row in found["judged"])
    assert found["ms_to_exit"] == sorted(found["ms_to_exit"])
    assert found["speed_for_budget"] is not None
    page = (tmp_path / "time.md").read_text()
    assert "Without exits:" in page
    assert page in capsys.readouterr().out
    assert "![score over milliseconds](time.svg)" in page
    assert "<svg" in (tmp_path / "time.svg").read_text()
