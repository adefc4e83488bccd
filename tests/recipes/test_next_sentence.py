"""Next-sentence prediction in the recipes that learn from raw text."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.loading import load
from edgedistill.recipes import Ingredients, mlm, mobilebert
from edgedistill.training.judging import asking, masked_scores
from tests.recipes.kitchen import cook, ingredients, ingredients_in_pairs, smoke_config, write_documents
from tests.support import save_checkpoint, tiny_model

SETTINGS = {
    "mlm": {"next_sentence": 1.0},
    "mobilebert": {
        "distill": {"labels": 0.5, "logits": 0.5, "next_sentence": 1.0},
        "polish_optim": None,
        "embedding_size": 8,
    },
}
"""MobileBERT's are section 3.4: alpha L_MLM + (1 - alpha) L_KD + L_NSP."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ingredients_in_pairs(tmp_path_factory.mktemp("kitchen"))


def config(name, **optim):
    return smoke_config(name, SETTINGS[name], **optim)


def distilled(lines):
    return [line for line in lines if line["stage"] != "transfer"]


class Cut(Exception):
    """A power cut."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_term_of_its_own_that_parts_of_a_step_and_interruptions_do_not_change(name, given, tmp_path):
    few = config(name, max_steps=3)
    student, lines = cook(name, few, given, tmp_path / "8")
    assert all(line["terms"]["next_sentence"] > 0 for line in distilled(lines))
    _, parts = cook(name, config(name, max_steps=3, accumulate=4), given, tmp_path / "4x2")
    for one, two in zip(lines, parts, strict=True):
        assert two["terms"] == pytest.approx(one["terms"], rel=5e-3)
    calls = 0

    def cut(stage: str, model: torch.nn.Module) -> None:
        nonlocal calls
        calls += 1
        if calls == len(lines) - 1:
            raise Cut

    with pytest.raises(Cut):
        cook(name, few, given, tmp_path / "cut", on_step=cut)
    resumed, again = cook(name, few, given, tmp_path / "cut")
    assert again == lines
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in student.state_dict().items())


@pytest.mark.parametrize("name", SETTINGS)
def test_its_weight_is_its_factor_and_its_head_learns(name, given, tmp_path):
    twice = dict(SETTINGS[name])
    twice |= {"next_sentence": 2.0} if name == "mlm" else {"distill": {**twice["distill"], "next_sentence": 2.0}}
    before = {}

    def note(model):
        before.update({key: value.clone() for key, value in model.state_dict().items()})

    student, lines = cook(name, config(name, max_steps=2), given, tmp_path / "1", after_build=note)
    _, doubled = cook(name, smoke_config(name, twice, max_steps=2), given, tmp_path / "2")
    first, other = distilled(lines)[0]["terms"], distilled(doubled)[0]["terms"]
    assert other.pop("next_sentence") == pytest.approx(2 * first.pop("next_sentence"), rel=1e-5)
    assert other == pytest.approx(first, rel=1e-5)
    for part in ("cls.seq_relationship.weight", f"{student.base_model_prefix}.pooler.dense.weight"):
        assert not torch.equal(before[part], student.state_dict()[part])
    assert student.cls.predictions.decoder.weight is student.get_input_embeddings().weight


def test_what_follows_can_be_learnt(given):
    """By heart, of one batch: the term falls, from what cannot be told to what is known."""
    model = mlm.build_student(config("mlm"), given).train()
    (stage,) = mlm.stages(config("mlm"), given, model)
    batch = next(stage.batches.epoch(0, 0, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    terms = []
    for _ in range(60):
        optimizer.zero_grad()
        terms.append(stage.step(batch)["next_sentence"])
        terms[-1].backward()
        optimizer.step()
    assert terms[-1].item() < 0.5 * terms[0].item()


def test_held_out_pairs_are_about_half_and_half_and_scored_beside_the_words(given):
    model = mlm.build_student(config("mlm"), given)
    found = masked_scores(asking(model), given.data.judged, given.data)
    assert found.keys() == {"accuracy", "loss", "tokens", "next_sentence"}
    assert found == masked_scores(asking(model), given.data.judged, given.data)
    assert "next_sentence" not in masked_scores(asking(load(given.start).model), given.data.judged, given.data)


def test_heads_that_are_there_are_kept(given, tmp_path):
    own = save_checkpoint(tmp_path / "own", tiny_model("bert", "pretraining"))
    for start, is_kept in ((own, True), (given.start, False)):
        model = mlm.build_student(config("mlm"), Ingredients(given.data, None, start))
        assert type(model).__name__ == "BertForPreTraining"
        known = load(own, kind="pretraining").model.cls.seq_relationship.weight
        assert torch.equal(model.cls.seq_relationship.weight, known) == is_kept


@pytest.mark.parametrize(("family", "begins"), [("bert", True), ("mobilebert", True), ("roberta", False)])
def test_a_mobilebert_takes_its_teachers_head_for_the_next_sentence(given, tmp_path, family, begins):
    known = "roberta" if family == "roberta" else family
    teacher = ingredients(tmp_path / "t", head="pretraining" if begins else "mlm", family=known, task=given.data.task,
                          corpus=write_documents(tmp_path / "c.txt"), in_pairs=True)  # fmt: skip
    student = mobilebert.build_student(config("mobilebert"), Ingredients(given.data, teacher.teacher))
    assert type(student).__name__ == "MobileBertForPreTraining"
    if begins:
        theirs = load(teacher.teacher.facts.source, kind="pretraining").model
        assert torch.equal(student.cls.seq_relationship.weight, theirs.cls.seq_relationship.weight)


def test_an_ib_bert_has_both_heads(given, tmp_path):
    shape = {"num_layers": 2, "hidden_size": 16, "intra_size": 32, "num_heads": 2, "ffn_size": 48, "embedding_size": 8}
    cfg = smoke_config("mlm", {"ib_bert": shape, "next_sentence": 1.0}, max_steps=2)
    student, _ = cook("mlm", cfg, given, tmp_path / "run")
    assert type(student).__name__ == "IBBertForPreTraining"
    save_checkpoint(tmp_path / "ib", student)
    found = load(tmp_path / "ib", kind="pretraining").model
    assert torch.equal(found.cls.seq_relationship.weight, student.cls.seq_relationship.weight)
    taught = mobilebert.mobilebert_for(found, "pretraining", mobilebert.shape_of(config("mobilebert"), 2))
    assert torch.equal(taught.cls.seq_relationship.weight, found.cls.seq_relationship.weight)
    assert not taught.config.classifier_activation  # both read the first token's state as it is


@pytest.mark.parametrize("family", ["distilbert", "roberta"])
def test_families_that_know_no_next_sentence_are_refused(given, tmp_path, family):
    start = save_checkpoint(tmp_path / "start", tiny_model(family, "mlm"))
    with pytest.raises(CheckpointError, match=f"is a {family}, which has no head for the next sentence"):
        mlm.build_student(config("mlm"), Ingredients(given.data, None, start))


def test_a_task_has_texts_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="next_sentence: pairs are made of raw text"):
        mobilebert.build_student(smoke_config("mobilebert", {"polish": {"next_sentence": 1.0}}), ingredients(tmp_path))


def run(*words):
    return CliRunner().invoke(edgedistill, ["distill", *map(str, words)])


@pytest.fixture
def files(tmp_path):
    start = save_checkpoint(tmp_path / "start", tiny_model("bert", "mlm"))
    return start, write_documents(tmp_path / "documents.txt")


@pytest.mark.slow
def test_from_the_command_line_to_a_teacher_and_a_mobilebert(files, tmp_path):
    start, corpus = files
    few = ("--set", "max_length=32", "--corpus", corpus)
    done = run("mlm", "--student", start, *few, "--out", tmp_path / "t", "--set", "next_sentence=1",
               "--set", "optim.max_steps=3")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "student_next_sentence" in done.output
    teacher = tmp_path / "t" / "student"
    assert architecture(teacher) == "BertForPreTraining"
    assert load(teacher).kind == "mlm"
    each = ("transfer_optim", "distill_optim", "polish_optim")
    done = run("mobilebert", "--teacher", teacher, *few, "--out", tmp_path / "s", "--set", "embedding_size=8",
               "--set", "distill.labels=0.5", "--set", "distill.next_sentence=1", "--set", "polish.next_sentence=1",
               *(word for name in each for word in ("--set", f"{name}.max_steps=2")))  # fmt: skip
    assert done.exit_code == 0, done.output
    student = tmp_path / "s" / "student"
    assert architecture(student) == "MobileBertForPreTraining"
    scores = json.loads((student / "edgedistill.json").read_text())["scores"]
    assert {"student", "student_next_sentence", "teacher", "teacher_loss"} <= scores.keys()
    plain = run("mlm", "--student", teacher, *few, "--out", tmp_path / "plain", "--set", "optim.max_steps=1")
    assert plain.exit_code == 0, plain.output
    assert architecture(tmp_path / "plain" / "student") == "BertForMaskedLM"  # a head that was not trained is not saved
    assert "next_sentence" not in plain.output


def architecture(folder: Path) -> str:
    (name,) = json.loads((folder / "config.json").read_text())["architectures"]
    return name


def test_a_corpus_of_one_document_is_refused_before_anything_is_written(files, tmp_path):
    start, corpus = files
    one = tmp_path / "one.txt"
    one.write_text(corpus.read_text().replace("\n\n", "\n"), encoding="utf-8")
    done = run("mlm", "--student", start, "--corpus", one, "--out", tmp_path / "run", "--set", "next_sentence=1")
    assert done.exit_code == 2
    assert "are one document" in done.output
    assert "blank line between documents" in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()
