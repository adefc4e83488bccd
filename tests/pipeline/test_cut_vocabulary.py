"""`distill` with a cut vocabulary: what is written, who is judged how, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgedistill import check, distill, export, reports
from edgedistill.artifacts import read_manifest
from edgedistill.errors import ConfigError, TrainingError
from edgedistill.reports import StudentCard
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer

FEW = {"max_steps": 2, "batch_size": 8}
MOBILEBERT = {"max_length": 32, "embedding_size": 8, "transfer_optim": FEW, "distill_optim": FEW, "polish_optim": FEW}


@pytest.fixture
def run(tiny_bert, tiny_task_dir, tmp_path):
    def run(recipe="mobilebert", config=MOBILEBERT, **changes):
        given = {"task": "sst2", "data": tiny_task_dir, "out": tmp_path / "run", "teacher": tiny_bert}
        return distill(recipe, config=config, **{**given, **changes})

    return run


def card_of(student: Path) -> StudentCard:
    return reports.read(StudentCard, student / "edgedistill.json")


def reference(student: Path):
    return [json.loads(line) for line in (student / "reference.jsonl").read_text().splitlines()]


def test_student_tokenizer_and_card_follow(run, capsys):
    student = run(settings=["vocabulary.coverage=0.5"])
    card, tokenizer = card_of(student), AutoTokenizer.from_pretrained(student)
    model = AutoModelForSequenceClassification.from_pretrained(student)
    assert model.config.vocab_size == len(tokenizer) == card.vocabulary.entries < len(tiny_tokenizer())
    assert card.vocabulary.teacher_entries == len(tiny_tokenizer())
    train, judged = card.vocabulary.train, card.vocabulary.judged
    assert (train.rows, judged.rows) == (64, 32)
    assert 0.5 <= train.coverage < 1
    assert 0 < judged.coverage < 1
    assert train.growth > 1
    assert 0 < judged.changed <= 1
    assert judged.unknown == judged.teacher_unknown == 0
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0
    assert card.embedding.size == 8
    assert card.embedding.teacher_size == 16
    assert 0 < card.embedding.error_tokens < 1
    assert card.scores.keys() == {"student", "teacher", "agreement", "rows", "teacher_on_cut_vocabulary"}
    assert card.layer_errors.keys() == {"feature_map_mse", "attention_kl"}
    said = capsys.readouterr().err
    assert f"vocabulary: {card.vocabulary.sentence}" in said
    assert f"embeddings: {card.embedding.sentence}" in said
    text = reference(student)[3]
    logits = model(**tokenizer(text["text"], return_tensors="pt")).logits[0]
    assert torch.allclose(logits, torch.tensor(text["student"]), atol=1e-5)


@pytest.mark.slow
def test_the_teacher_is_judged_on_its_own_tokens(run, tiny_bert, tmp_path):
    cut = run(settings=["vocabulary.coverage=0.3"])
    whole = run(out=tmp_path / "whole")
    for one, two in zip(reference(cut), reference(whole), strict=True):
        assert one["teacher"] == pytest.approx(two["teacher"], abs=1e-5)
    assert card_of(cut).scores["teacher"] == card_of(whole).scores["teacher"]
    assert card_of(whole).vocabulary is None
    assert card_of(whole).embedding is not None


def test_without_loss_the_training_text_is_read_as_before(run):
    train = card_of(run(settings=["vocabulary.coverage=1"])).vocabulary.train
    assert (train.coverage, train.growth, train.changed) == (1.0, 1.0, 0.0)
    assert train.unknown == train.teacher_unknown


@pytest.mark.slow
def test_further_text_is_counted(run, tmp_path):
    (tmp_path / "more.txt").write_text("what is it in\nwho was where\n")
    few = card_of(run(settings=["vocabulary.coverage=1"])).vocabulary.entries
    setting = f"vocabulary.text={tmp_path / 'more.txt'}"
    more = card_of(run(out=tmp_path / "more", settings=[setting])).vocabulary.entries
    assert more > few


@pytest.mark.slow
def test_a_cut_student_is_gone_on_with_and_its_teacher_reads_it(run, tmp_path, capsys):
    first = run(settings=["vocabulary.coverage=0.5"])
    second = run(out=tmp_path / "second", student=first)
    assert card_of(second).vocabulary == card_of(first).vocabulary
    assert card_of(second).layer_errors
    assert card_of(second).embedding is None
    assert AutoTokenizer.from_pretrained(second).get_vocab() == AutoTokenizer.from_pretrained(first).get_vocab()
    with pytest.raises(ConfigError, match=r"vocabulary: the student to start from, .* brings its own"):
        run(out=tmp_path / "third", student=first, settings=["vocabulary.coverage=0.5"])


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_words_only(run, tmp_path):
    run(settings=["vocabulary.coverage=0.5"])
    again = run(settings=["vocabulary.coverage=0.5"], resume=True)
    assert card_of(again).vocabulary.entries
    with pytest.raises(TrainingError, match="vocabulary"):
        run(settings=["vocabulary.coverage=0.4"], resume=True)


def test_a_cache_knows_the_vocabulary(run, tmp_path):
    answers = {"max_length": 32, "beta": 0.0, "alpha": 1.0, "optim": FEW}
    cache = tmp_path / "cache"
    student = run("pkd", answers, teacher_cache=cache, settings=["vocabulary.coverage=0.5"])
    assert card_of(student).scores["teacher"] == card_of(run("pkd", answers, out=tmp_path / "b")).scores["teacher"]
    with pytest.raises((TrainingError, ConfigError)):
        run("pkd", answers, out=tmp_path / "c", teacher_cache=cache)


def test_an_ensemble_reads_it_too(run, tiny_bert, tmp_path):
    other = save_checkpoint(tmp_path / "other", tiny_model(seed=3))
    config = {"max_length": 32, "beta": 0.0, "alpha": 1.0, "optim": FEW}
    student = run("pkd", config, teacher=[tiny_bert, other], settings=["vocabulary.coverage=0.5"])
    assert "teacher_on_cut_vocabulary" in card_of(student).scores


@pytest.mark.parametrize("kind", ["tags", "spans"])
def test_answers_by_token_are_compared_on_the_students_tokens(kind, tmp_path):
    head, task, rows = {"tags": _tags, "spans": _spans}[kind](tmp_path)
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(head=head, labels=("O", "X")))
    student = distill(
        "mobilebert", task=task, data=rows, teacher=teacher, out=tmp_path / "run", config=MOBILEBERT,
        settings=["vocabulary.coverage=0.4"],
    )  # fmt: skip
    assert "teacher_on_cut_vocabulary" not in card_of(student).scores
    for row in reference(student):
        assert len(row["student"]) == len(row["teacher"])


def _tags(folder: Path):
    row = {"tokens": ["the", "film", "was", "great", "superb"], "tags": [0, 1, 0, 0, 1]}
    for split in ("train", "validation", "test"):
        folder.joinpath(f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(12)))
    task = folder / "task.yaml"
    task.write_text("name: t\nkind: tokens\ntext: [tokens]\nlabel: tags\nlabels: [O, X]\nmetric: macro_f1\n")
    return "tokens", task, folder


def _spans(folder: Path):
    answers = {"text": ["great film"], "answer_start": [9]}
    row = {"id": "1", "question": "what was it", "context": "this was great film and script", "answers": answers}
    for split in ("train", "validation"):
        folder.joinpath(f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(12)))
    return "span", "squad", folder


@pytest.mark.slow
def test_exported_and_checked(run):
    """Goldens, vocab.txt, special ids and the gate follow the cut vocabulary."""
    student = run(settings=["vocabulary.coverage=0.5"])
    artifact = export(student, target="onnx", scheme="fp32")
    manifest = read_manifest(artifact)
    entries = card_of(student).vocabulary.entries
    assert manifest.tokenizer.vocab_size == entries
    assert len((artifact / "vocab.txt").read_text().splitlines()) == entries
    assert manifest.tokenizer.special_ids == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    goldens = [json.loads(line) for line in (artifact / "golden.jsonl").read_text().splitlines()]
    assert max(number for golden in goldens for number in golden["input_ids"]) < entries
    rungs = {rung.name: rung for rung in check(artifact).rungs}
    compared = {each.name: each for each in rungs["student_to_artifact"].measures}
    assert compared.pop("student_spread").is_within is False  # two steps of training teach nothing
    assert all(each.is_within for each in compared.values())
    assert compared["reproduces_goldens"].value == 1
    assert {rung.name for rung in rungs.values() if rung.status == "passed"} >= {"files", "tokenizer"}


def test_a_tokenizer_that_is_no_wordpiece_is_refused(tiny_task_dir, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefgh"])}
    backend = Tokenizer(models.BPE(words, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
    model = tiny_model("roberta", vocab_size=len(words))
    teacher = save_checkpoint(tmp_path / "teacher", model, tokenizer)
    with pytest.raises(ConfigError, match="is BPE, and only WordPiece can be cut"):
        distill(
            "mobilebert", task="sst2", data=tiny_task_dir, teacher=teacher, out=tmp_path / "run", config=MOBILEBERT,
            settings=["vocabulary.size=10"],
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
