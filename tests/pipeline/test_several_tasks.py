"""Several tasks through the whole road: distill, a student of several heads, export and check of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForSequenceClassification

from edgedistill import check, distill, export, reports
from edgedistill.artifacts import ReferenceRow, read_manifest
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.loading import load
from edgedistill.models.multitask import task_names
from edgedistill.reports import StudentCard
from tests.support import save_checkpoint, sentences, tiny_model, write_jsonl, write_task

FEW = {"max_steps": 4, "batch_size": 8}
CONFIG = {"max_length": 32, "member_optim": FEW, "optim": FEW}
TASKS = ("sst2", "rte", "stsb", "squad_ranking")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders: one for each task, of its name."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder / "sst2")
    for seed, (split, count) in enumerate((("train", 40), ("validation", 20), ("test", 20))):
        rows = [
            {"sentence1": text, "sentence2": "a lovely film" if number % 3 else "a dull plot", "label": label}
            for number, (text, label) in enumerate(sentences(count, seed))
        ]
        write_jsonl(folder / "rte" / f"{split}.jsonl", rows)
        scored = [{**row, "label": float(number % 5)} for number, row in enumerate(rows)]
        write_jsonl(folder / "stsb" / f"{split}.jsonl", scored)
        if split != "test":
            asked = [paragraph(number, text) for number, (text, _) in enumerate(sentences(count, seed))]
            write_jsonl(folder / "squad_ranking" / f"{split}.jsonl", asked)
    return folder


def paragraph(number: int, text: str) -> dict[str, Any]:
    """A question whose answer lies in one of three sentences."""
    parts = ["The film is quite cold.", "It was a plot.", f"What is the cast {number}?"]
    parts[number % 3] = f"The {text.removesuffix('.').strip()}."
    context = " ".join(parts)
    start = context.index(parts[number % 3])
    return {
        "question": f"what is {number}",
        "context": context,
        "answers": {"text": [parts[number % 3]], "answer_start": [start]},
    }


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("start"), tiny_model(head="bare"))


@pytest.fixture(scope="module")
def student(data: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    return distill("mtdnn_kd", task=TASKS, data=data, student=start, out=out, config=CONFIG)


def test_the_student_answers_all_tasks_and_says_how_well(student: Path) -> None:
    assert task_names(student) == TASKS
    card = reports.read(StudentCard, student / "edgedistill.json")
    assert (card.task.name, card.labels) == ("sst2", ("negative", "positive"))
    who = ("student", "teacher", "agreement", "rows")
    ranked = {f"squad_ranking {one}_{name}" for one in who[:2] for name in ("mrr", "pair_accuracy")}
    assert card.scores.keys() == {*who, *(f"{task} {name}" for task in TASKS[1:] for name in who), *ranked}
    assert 0 < card.scores["squad_ranking student"] <= card.scores["squad_ranking student_mrr"] <= 1
    assert card.seconds.keys() == {"member-1", "member-2", "student"}
    for task, name in zip(TASKS, ("", "-rte", "-stsb", "-squad_ranking"), strict=True):
        row = ReferenceRow.model_validate_json((student / f"reference{name}.jsonl").read_text().splitlines()[3])
        found = load(student, task=task)
        tokens = found.tokenizer(row.text, row.text_pair, return_tensors="pt")
        answered = found.model.eval()(**tokens).logits[0]
        torch.testing.assert_close(answered, torch.tensor(row.student), atol=1e-5, rtol=1e-5)
        assert row.teacher is not None
        assert len(row.teacher) == len(row.student)


def test_transformers_reads_the_student(student: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(student)
    assert [head.name for head in model.task_heads] == list(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_each_head_exports_and_holds_at_the_gate(student: Path, tmp_path: Path, task: str) -> None:
    artifact = export(student, out=tmp_path / "artifact", task=task)
    manifest = read_manifest(artifact)
    assert (manifest.task.name, manifest.source.family) == (task, "bert")
    assert len(manifest.labels) == (2 if task in {"sst2", "rte"} else 0)
    status = {rung.name: rung.status for rung in check(artifact).rungs}
    assert status["student_to_artifact"] == "passed"
    assert status["padding_and_batch"] == "passed"
    assert status["student_to_artifact_metric"] in {"passed", "inconclusive"}  # 20 rows prove little


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_all_heads_export_as_one_file_and_each_holds_at_the_gate(student: Path, tmp_path: Path, target: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "tflite": "litert_torch"}[target])
    artifact = export(student, target=target, out=tmp_path / "artifact", settings=["lengths=[32]"])
    manifest = read_manifest(artifact)
    assert [head.name for head in manifest.driver.heads] == list(TASKS)
    assert len([entry for entry in manifest.files if entry.role == "model"]) == 1
    assert {entry.path for entry in manifest.files if entry.role == "golden"} == {
        "golden.jsonl", "golden-rte.jsonl", "golden-stsb.jsonl", "golden-squad_ranking.jsonl",
    }  # fmt: skip
    status = {rung.name: rung.status for rung in check(artifact).rungs}
    for task in ("", "/rte", "/stsb", "/squad_ranking"):
        assert status[f"student_to_artifact{task}"] == "passed"
        assert status[f"student_to_artifact_metric{task}"] in {"passed", "inconclusive"}


def test_a_head_that_is_not_there_is_refused(student: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no head for the task 'mrpc'"):
        export(student, out=tmp_path / "artifact", task="mrpc")


@pytest.mark.slow
def test_teachers_are_heard_in_their_own_task(student: Path, data: Path, start: Path, tmp_path: Path) -> None:
    alone = distill(
        "finetune", task="rte", data=data / "rte", student=start, out=tmp_path / "rte",
        config={"max_length": 32, "optim": FEW},
    )  # fmt: skip
    given = {"data": data, "student": start, "config": CONFIG, "task": ("sst2", "rte")}
    taught = distill("mtdnn_kd", out=tmp_path / "one", teacher=alone, **given)
    card = reports.read(StudentCard, taught / "edgedistill.json")
    assert "teacher" not in card.scores  # sst2 has none
    assert "rte teacher" in card.scores
    assert any(parent.path == str(alone) for parent in card.parents)
    by_all = distill("mtdnn_kd", out=tmp_path / "all", teacher=[student, student], **given)
    card = reports.read(StudentCard, by_all / "edgedistill.json")
    assert {"teacher", "rte teacher"} <= card.scores.keys()
    once = distill("mtdnn_kd", out=tmp_path / "said", teacher=f"rte={alone}", **given)
    assert reports.read(StudentCard, once / "edgedistill.json").scores == {
        **reports.read(StudentCard, taught / "edgedistill.json").scores
    }


def test_what_does_not_go_together_is_refused(student: Path, data: Path, start: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"data": data, "student": start, "out": tmp_path / "run"}
    with pytest.raises(ConfigError, match="'finetune' learns one task, not 2"):
        distill("finetune", task=("sst2", "rte"), **given)
    with pytest.raises(ConfigError, match="'sst2' is given twice"):
        distill("mtdnn_kd", task=("sst2", "sst2"), **given)
    with pytest.raises(ConfigError, match="cannot do 'squad'"):
        distill("mtdnn_kd", task=("sst2", "squad"), **given)
    with pytest.raises(ConfigError, match="answers sst2, rte, stsb, squad_ranking, none of the tasks mrpc"):
        distill("mtdnn_kd", task="mrpc", teacher=student, **given)
    with pytest.raises(ConfigError, match="--teacher-cache and --corpus are for one task"):
        distill("mtdnn_kd", task=("sst2", "rte"), teacher_cache=tmp_path / "cache", **given)
    assert not (tmp_path / "run").exists()


def test_other_tasks_are_part_of_what_decides_the_result(student: Path) -> None:
    facts = json.loads((student.parent / "run.json").read_text())
    assert "rte" in json.dumps(facts)


def test_the_command_line_takes_several_tasks(data: Path, start: Path, tmp_path: Path) -> None:
    words = ["distill", "mtdnn_kd", "--task", "sst2", "--task", "rte", "--data", str(data), "--student", str(start)]
    words += ["--out", str(tmp_path / "run"), "--set", "max_length=32", "--dry-run"]
    result = CliRunner().invoke(edgedistill, words)
    assert result.exit_code == 0, result.output
    assert "rte: rows: train" in result.output
    assert "stage 3: student" in result.output
