import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from edgedistill import evaluate, plugins
from edgedistill.cli.verbs import edgedistill
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.losses.labels import smoothed_word_loss
from edgedistill.models.loading import load
from edgedistill.models.seq2seq import next_words
from edgedistill.models.vocabulary import with_entries
from edgedistill.recipes import Ingredients, bert2seq
from edgedistill.training.judging import dev_score
from edgedistill.training.teachers import EnsembleTeacher, OnlineTeacher
from edgedistill.training.writing import conditional_accuracy, guesses, guesses_together, written_texts
from tests.recipes.kitchen import cook, ingredients_of, of_other_tokens, smoke_config, write_pairs
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary

NAME = "bert2seq"
OTHERS = [name for name in plugins.names("recipes") if name != NAME]


@pytest.fixture
def given(tmp_path):
    return ingredients_of(NAME, tmp_path)


def stages_of(cfg, given, student=None):
    taught = Ingredients(data=given.data, teacher=given.teacher)
    student = student or bert2seq.build_student(cfg, taught)
    return {stage.name: stage for stage in bert2seq.stages(cfg, taught, student)}, student


def first_batch(given, size=8):
    return next(given.data.train.epoch(0, 0, size))


def terms_of(given, batch, **settings):
    torch.manual_seed(0)
    found, student = stages_of(smoke_config(NAME, {"teacher_optim": None, **settings}), given)
    found["student"].prepare()
    terms = found["student"].step(batch)
    sum(terms.values()).backward()
    return terms, {name: weight.grad for name, weight in student.named_parameters() if weight.grad is not None}


@pytest.mark.slow
def test_the_teacher_learns_to_guess_and_the_student_to_write(given, tmp_path):
    shape = {"layers": 1, "hidden_size": 16, "ffn_size": 32, "heads": 2, "dropout": 0.0}
    cfg = smoke_config(NAME, {"shape": shape, "temperature": 1.0, "alpha": 0.3}, max_steps=120, lr=1e-2)
    guessed: list[float] = []

    def on_step(stage, model):
        if stage == "teacher" and not guessed:
            guessed.append(conditional_accuracy(model, given.data))

    before = dev_score(bert2seq.build_student(cfg, replace(given, start=None)), given.data)
    student, lines = cook(NAME, cfg, given, tmp_path / "run", on_step=on_step)
    assert lines[119]["terms"]["words"] < 0.7 * lines[0]["terms"]["words"]
    assert guessed[0] < 0.3
    assert dev_score(student, given.data) > before + 0.4
    texts = written_texts(student, given.data, beams=1)
    assert all(text.startswith("the ") for text in texts), texts
    assert not any("[" in text for text in texts)


def test_without_a_teachers_words_it_is_plain_training_to_the_last_bit(given, tmp_path):
    """alpha 0 asks no teacher: another one, or other settings of it, change nothing; nor does K, which is not used."""
    plain, lines = cook(NAME, smoke_config(NAME, {"alpha": 0.0}), given, tmp_path / "plain")
    other = {"alpha": 0.0, "temperature": 2.0, "top_words": 3, "rest": "one_word", "temper_student": True}
    same, again = cook(NAME, smoke_config(NAME, other), given, tmp_path / "same")
    assert {line["stage"] for line in lines} == {"student"}
    assert again == lines
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in plain.state_dict().items())

    batch = first_batch(given)
    found, student = stages_of(smoke_config(NAME, {"alpha": 0.0}), given)
    found["student"].prepare()
    terms = found["student"].step(batch)
    words = batch.labels[batch.labels.ne(IGNORED)]
    wanted = smoothed_word_loss(next_words(student, batch.student, batch.labels), words, 0.1, 0)
    assert terms.keys() == {"words"}
    assert torch.equal(terms["words"], wanted)


def test_with_the_teachers_words_alone_the_right_word_is_no_target(given, monkeypatch):
    batch = first_batch(given)
    terms, _ = terms_of(given, batch, alpha=1.0)
    assert terms.keys() == {"soft"}
    half, _ = terms_of(given, batch, alpha=0.5)
    assert half.keys() == {"soft", "words"}
    assert half["soft"].item() == pytest.approx(0.5 * terms["soft"].item(), rel=1e-6)
    # By the logits the gradient is (student - teacher's words): nothing in it is of the word that stands there.
    cfg = smoke_config(NAME, {"alpha": 1.0, "top_words": 2})
    logits = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    from edgedistill.data.top_words import top_words

    said = top_words(torch.randn(4, 9), 2, cfg.temperature)
    bert2seq.soft_loss(cfg, logits, said).backward()
    target = torch.zeros(4, 9, dtype=torch.float64)
    target.scatter_(1, said.words, (said.logits.double() / cfg.temperature).softmax(-1))
    assert torch.allclose(logits.grad, (logits.detach().softmax(-1) - target) / 4, atol=1e-9)


def test_padding_is_no_target(given):
    """Rows of several lengths together give the gradients of each row alone, weighted by its words."""
    batch = given.data.train.batch(np.arange(6))
    counts = batch.labels.ne(IGNORED).sum(dim=1)
    assert counts.unique().numel() > 1
    _, together = terms_of(given, batch)
    sums: dict[str, torch.Tensor] = {}
    for row, count in enumerate(counts.tolist()):
        size = int(batch.student.attention_mask[row].sum())
        source = type(batch.student)(*(part[row : row + 1, :size] for part in vars(batch.student).values()))
        labels = batch.labels[row : row + 1, :count]
        one = replace(batch, row_ids=batch.row_ids[row : row + 1], student=source, teacher=source, labels=labels)
        for name, gradient in terms_of(given, one)[1].items():
            sums[name] = sums.get(name, 0) + count / int(counts.sum()) * gradient
    for name, gradient in together.items():
        assert torch.allclose(gradient, sums[name], atol=1e-5), name


@pytest.mark.parametrize(
    "settings",
    [{"temper_student": True, "t2_scaling": True}, {"rest": "one_word"}, {"top_words": 500, "temperature": 1.0}],
)
def test_both_forms_of_the_soft_loss_train(given, tmp_path, settings):
    student, lines = cook(NAME, smoke_config(NAME, settings, max_steps=2), given, tmp_path)
    assert len(lines) == 4
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_nothing_of_the_teacher_is_in_the_student(given):
    cfg = smoke_config(NAME, {"shape": {"layers": 2, "hidden_size": 16, "ffn_size": 32, "heads": 2}})
    _, student = stages_of(cfg, given)
    theirs = list(load(given.teacher.facts.source, kind="mlm").model.state_dict().values())
    for name, value in student.named_parameters():
        if value.dim() > 1:
            assert not any(value.shape == other.shape and torch.equal(value, other) for other in theirs), name


def test_the_teacher_given_is_not_changed_and_can_be_asked_as_it_is(given, tmp_path):
    model = load(given.teacher.facts.source, kind="mlm").model
    before = conditional_accuracy(model, given.data)
    _, lines = cook(NAME, smoke_config(NAME, {"teacher_optim": None}), given, tmp_path)
    assert {line["stage"] for line in lines} == {"student"}
    assert conditional_accuracy(load(given.teacher.facts.source, kind="mlm").model, given.data) == before


def together(given, *folders):
    """Several teachers in the place of one."""
    return replace(given, teacher=EnsembleTeacher([OnlineTeacher(load(folder)) for folder in folders]))


def test_teachers_are_averaged_word_by_word(given):
    batch = first_batch(given)
    one, two = tiny_model(head="mlm"), tiny_model(head="mlm", seed=1)
    is_hidden = torch.ones_like(batch.student.input_ids).bool()
    each = [guesses(model)(batch.student, is_hidden).detach().softmax(dim=-1) for model in (one, two)]
    assert not torch.allclose(*each, atol=0.1)
    both = guesses_together([one, two])(batch.student, is_hidden).detach()
    assert torch.allclose(both.exp(), (each[0] + each[1]) / 2, atol=1e-6)
    alone = guesses_together([one])(batch.student, is_hidden)
    assert torch.equal(alone, guesses(one)(batch.student, is_hidden))


@pytest.mark.parametrize("rest", ["dropped", "one_word"])
def test_two_teachers_that_are_the_same_teach_as_one_does(given, tmp_path, rest):
    """Also where one of them numbers the words otherwise."""
    source, batch = given.teacher.facts.source, first_batch(given)
    words = vocabulary()
    swapped = words[:5] + words[5:][::-1]
    other = load(source, kind="mlm")
    other = with_entries(other.model, np.array([words.index(word) for word in swapped]))
    renumbered = save_checkpoint(tmp_path / "renumbered", other, tiny_tokenizer(swapped))
    alone, gradients = terms_of(given, batch, rest=rest)
    for again in (source, renumbered):
        both, theirs = terms_of(together(given, source, again), batch, rest=rest)
        assert both["soft"].item() == pytest.approx(alone["soft"].item(), abs=1e-6)
        assert all(torch.allclose(theirs[name], value, atol=1e-6) for name, value in gradients.items())
    unlike = save_checkpoint(tmp_path / "unlike", tiny_model(head="mlm", seed=1))
    both, _ = terms_of(together(given, source, unlike), batch, rest=rest)
    assert both["soft"].item() != pytest.approx(alone["soft"].item(), abs=1e-3)


def test_every_teacher_learns_in_a_stage_of_its_own(given, tmp_path):
    """Two that start as one have other words hidden from them, so that they end apart."""
    source = given.teacher.facts.source
    ended = {}

    def on_step(stage, model):
        ended[stage] = model.state_dict()

    _, lines = cook(NAME, smoke_config(NAME), together(given, source, source), tmp_path, on_step=on_step)
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["teacher-1", "teacher-2", "student"]
    one, two = ended["teacher-1"], ended["teacher-2"]
    assert not all(torch.equal(value, two[name]) for name, value in one.items())


def test_what_cannot_work_is_refused(given, tmp_path):
    taught = Ingredients(data=given.data, teacher=given.teacher)
    with pytest.raises(ConfigError, match=r"positions for 128 tokens\. Set it lower: --set max_length=64"):
        bert2seq.build_student(smoke_config(NAME, {"max_length": 65}), taught)
    assert bert2seq.build_student(smoke_config(NAME, {"max_length": 65, "alpha": 0.0}), taught)
    with pytest.raises(ConfigError, match="other tokens than the teacher"):
        bert2seq.build_student(smoke_config(NAME), of_other_tokens(taught, tmp_path / "other"))
    start = save_checkpoint(tmp_path / "start", bert2seq.build_student(smoke_config(NAME), taught))
    assert bert2seq.build_student(smoke_config(NAME), replace(taught, start=str(start)))
    with pytest.raises(ConfigError, match=r"shape: --student '.*start' has another shape\. Leave shape out"):
        bert2seq.build_student(smoke_config(NAME, {"shape": {"layers": 3}}), replace(taught, start=str(start)))
    with pytest.raises(ConfigError, match="follows no layers"):
        smoke_config(NAME).follows(4, 2)


def run(*words):
    return CliRunner().invoke(edgedistill, [*map(str, words)])


@pytest.fixture
def files(tmp_path):
    task = tmp_path / "writing.yaml"
    task.write_text("kind: generation\ntext: [facts]\nlabel: sentence\nmetric: bleu\n")
    return task, write_pairs(tmp_path / "data"), save_checkpoint(tmp_path / "teacher", tiny_model(head="mlm"))


SMALL = [word for setting in ("shape.layers=1", "shape.hidden_size=16", "shape.ffn_size=32", "shape.heads=2",
                              "optim.max_steps=4", "teacher_optim.max_steps=2", "max_length=32", "decoding.beams=2")
         for word in ("--set", setting)]  # fmt: skip


@pytest.mark.slow
def test_from_the_command_line_to_a_student_that_transformers_writes_with(files, tmp_path):
    task, data, teacher = files
    words = ("distill", NAME, "--task", task, "--data", data, "--teacher", teacher, *SMALL)
    done = run(*words, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    student = tmp_path / "run" / "student"
    assert "written.jsonl" in done.output
    assert "next: edgedistill export" in done.output
    card = json.loads((student / "edgedistill.json").read_text())
    assert (card["task"]["kind"], card["task"]["metric"], card["labels"]) == ("generation", "bleu", [])
    assert card["scores"].keys() == {
        "student", "student_greedy", "bleu", "rouge_1", "rouge_2", "rouge_l", "next_word_accuracy", "next_word_loss",
        "rows",
    }  # fmt: skip
    assert card["scores"]["student"] == card["scores"]["bleu"]
    assert card["layer_errors"] == {}
    assert not (student / "reference.jsonl").exists()
    lines = [json.loads(line) for line in (student / "written.jsonl").read_text().splitlines()]
    assert len(lines) == card["scores"]["rows"] <= 16
    assert lines[0].keys() == {"row_id", "text", "text_pair", "references", "written"}

    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(student), AutoTokenizer.from_pretrained(student)
    assert model.generation_config.num_beams == 2
    row = model.eval().generate(**tokenizer(lines[0]["text"], return_tensors="pt"))[0]
    assert tokenizer.decode(row, skip_special_tokens=True) == lines[0]["written"]

    more = run(*words, "--student", student, "--set", "alpha=0", "--out", tmp_path / "more")
    assert more.exit_code == 0, more.output
    other = save_checkpoint(tmp_path / "other", tiny_model(head="mlm", seed=1))
    taught_by_two = (*words, "--teacher", other, "--out", tmp_path / "both")
    assert run(*taught_by_two).exit_code == 0
    card = json.loads((tmp_path / "both" / "student" / "edgedistill.json").read_text())
    assert (card["teacher"]["path"], [parent["path"] for parent in card["parents"]]) == (str(teacher), [str(other)])
    log = (tmp_path / "both" / "stages" / "03-student" / "log.jsonl").read_text()
    gone_on = run(*taught_by_two, "--resume")  # stages that are finished are not learnt again
    assert gone_on.exit_code == 0, gone_on.output
    assert (tmp_path / "both" / "stages" / "03-student" / "log.jsonl").read_text() == log
    assert "begun with other settings" in run(*words, "--out", tmp_path / "both", "--resume").output
    made = run("export", student, "--out", tmp_path / "artifact")
    assert made.exit_code == 0, made.output
    judged = run("check", tmp_path / "artifact")
    assert "written_equal 1" in judged.output


def test_what_does_not_fit_is_refused_before_anything_is_written(files, tmp_path, monkeypatch):
    task, data, teacher = files
    sorter = save_checkpoint(tmp_path / "sorter", tiny_model())
    wide = save_checkpoint(tmp_path / "wide", tiny_model(head="mlm", vocab_size=len(vocabulary()) + 2))
    words = [*vocabulary()[:-1], "zebra"]
    foreign = save_checkpoint(tmp_path / "foreign", tiny_model(head="mlm"), tiny_tokenizer(words))
    with_data = ("--task", task, "--data", data)
    cases = (
        ((NAME, "--task", "sst2", "--teacher", teacher), "cannot do 'sst2', a task of kind 'single'"),
        ((NAME, *with_data), "needs a teacher"),
        ((NAME, *with_data, "--teacher", teacher, "--teacher", foreign), "splits text into other tokens"),
        ((NAME, *with_data, "--teacher", teacher, "--teacher", wide), " words, which cannot be averaged"),
        ((NAME, *with_data, "--teacher", sorter), "no masked-word head to answer 'writing' with"),
        ((NAME, *with_data, "--teacher", teacher, "--teacher-cache", tmp_path / "cache"), "and that is kept anyway"),
        *(((name, *with_data, "--teacher", teacher), f"'{name}' cannot do 'writing', a task of kind 'generation'")
          for name in OTHERS),
    )  # fmt: skip
    for words, message in cases:
        done = run("distill", *words, "--set", "max_length=32", "--out", tmp_path / "run")
        assert done.exit_code == 2, words
        assert message in " ".join(done.output.split()), done.output
        assert not (tmp_path / "run").exists()
    monkeypatch.setattr(evaluate.importlib.util, "find_spec", lambda name: None)
    done = run("distill", NAME, *with_data, "--teacher", teacher, "--out", tmp_path / "run")
    assert done.exit_code == 3
    assert 'pip install "edgedistill[generation]"' in done.output


def test_a_student_that_writes_is_no_teacher_of_other_tasks(given, tmp_path):
    student = bert2seq.build_student(smoke_config(NAME), Ingredients(data=given.data, teacher=given.teacher))
    folder = save_checkpoint(tmp_path / "student", student)
    assert load(folder).kind == "generation"
    done = run("distill", "distilbert", "--task", "sst2", "--data", tmp_path, "--teacher", folder, "--out", tmp_path)
    assert done.exit_code == 2
    with pytest.raises(CheckpointError):
        load(folder, kind="mlm")
