"""The recipe: Tang et al.'s loss and transfer set, every kind of task, any teacher, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

from edgedistill.data.cache_card import Fingerprint
from edgedistill.data.logit_cache import LogitCache
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import Task, find_task
from edgedistill.errors import ConfigError, DataError, TrainingError
from edgedistill.losses.soft_targets import logit_mse, soft_targets
from edgedistill.models.loading import load
from edgedistill.pipeline.distill import distill
from edgedistill.recipes import Ingredients, bilstm
from edgedistill.training.teachers import CachedTeacher, EnsembleTeacher, OnlineTeacher
from tests.recipes.kitchen import cook, ingredients, smoke_config, write_uneven_task
from tests.support import LABELS, save_checkpoint, tiny_model, tiny_tokenizer, vocabulary, write_jsonl

NAME = "bilstm"
WORDS = [word for word in vocabulary() if word.isalpha() and len(word) > 1]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return replace(ingredients(tmp_path_factory.mktemp("kitchen")), start=None)


def settings(**values):
    return smoke_config(NAME, {"lstm_size": 8, "fc_size": 8, **values}, max_steps=3)


def write_vectors(path, width=6):
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(len(WORDS), width, generator=random).tolist()
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, rows, strict=True)))
    return path


def write_conllu(path):
    lines = [f"{n}\t{word}\t{word}\tX\t_\t_\t0\t_\t_\t_\n" for n, word in enumerate(WORDS, start=1)]
    path.write_text("".join(lines))
    return path


def one_step(cfg, given):
    """The student, a batch of rows, and the stage's terms for it."""
    torch.manual_seed(0)
    student = bilstm.build_student(cfg, given).eval()
    (stage,) = bilstm.stages(cfg, given, student)
    batch = next(given.data.train.all(8))
    return student, batch, stage.step


def test_loss_is_the_papers_mix_of_labels_and_logits(given):
    cfg = settings(alpha=0.25, copies=0)
    student, batch, step = one_step(cfg, given)
    t = given.teacher(batch).logits
    s = student(**{k: v for k, v in vars(batch.student).items()}).logits
    terms = step(batch)
    torch.testing.assert_close(terms["logits"], 0.75 * (s - t).pow(2).mean())
    torch.testing.assert_close(terms["labels"], 0.25 * torch.nn.functional.cross_entropy(s, batch.labels))
    unlabelled = step(replace(batch, labels=None))
    torch.testing.assert_close(unlabelled["labels"], 0.25 * torch.nn.functional.cross_entropy(s, t.argmax(dim=1)))


@pytest.mark.parametrize(("alpha", "names"), [(0.0, {"logits"}), (0.5, {"logits", "labels"}), (1.0, {"labels"})])
def test_alpha_decides_which_terms_there_are(given, alpha, names):
    _, batch, step = one_step(settings(alpha=alpha, copies=0), given)
    assert step(batch).keys() == names


def test_kl_is_the_authors_for_pairs(given):
    cfg = settings(logit_loss="kl", t2_scaling=False, copies=0)
    student, batch, step = one_step(cfg, given)
    s = student(**vars(batch.student)).logits
    wanted = soft_targets(s, given.teacher(batch).logits, 3.0, t2_scaling=False)
    torch.testing.assert_close(step(batch)["logits"], wanted)


def test_gradient_of_the_logit_loss_and_what_shifts_do():
    random = torch.Generator().manual_seed(0)
    s, t = (torch.randn(5, 3, dtype=torch.float64, generator=random) for _ in range(2))
    s.requires_grad_(True)
    (gradient,) = torch.autograd.grad(5 * logit_mse(s, t), s)  # of each sample's own loss
    torch.testing.assert_close(gradient, 2 * (s - t) / 3)
    both, one = logit_mse(s + 7, t + 7), logit_mse(s + 7, t)
    torch.testing.assert_close(both, logit_mse(s, t))
    assert abs(one - logit_mse(s, t)) > 1
    torch.testing.assert_close(soft_targets(s + 7, t), soft_targets(s, t))


def test_new_texts_are_asked_of_the_teacher_and_none_needs_a_label(given, tmp_path):
    unlabelled = replace(given, data=replace(given.data, train=Unlabelled(given.data.train)))
    _, lines = cook(NAME, settings(alpha=0.5), unlabelled, tmp_path / "a")
    _, plain = cook(NAME, settings(alpha=0.5, copies=0), given, tmp_path / "b")
    assert lines[-1]["terms"].keys() == {"logits", "labels"}
    assert lines[1]["terms"] != plain[1]["terms"]


class Unlabelled:
    def __init__(self, rows):
        self.rows = rows

    def __getattr__(self, name):
        return getattr(self.rows, name)

    def __len__(self):
        return len(self.rows)

    def epoch(self, *arguments):
        for batch in self.rows.epoch(*arguments):
            yield replace(batch, labels=None)


def test_without_parts_of_speech_it_is_said_and_with_them_words_are_replaced(given, tmp_path, capsys):
    cook(NAME, settings(pos=0.9, mask=0.0, ngram=0.0), given, tmp_path / "a")
    assert "no words are replaced by part of speech" in capsys.readouterr().err
    lexicon = write_conllu(tmp_path / "t.conllu")
    cfg = settings(pos=0.9, mask=0.0, ngram=0.0, conllu=str(lexicon))
    _, lines = cook(NAME, cfg, given, tmp_path / "b")
    assert "part of speech" not in capsys.readouterr().err
    new = bilstm._transfer_set(cfg, given).text(given.data.train.row_ids[0], 0, 0)[0]
    assert new != given.data.train.texts[0]
    assert set(new.split()) <= set(WORDS)
    assert lines


KINDS = {
    "single": Task(name="s", kind="single", text=("a",), labels=("no", "yes")),
    "pair": Task(name="p", kind="pair", text=("a", "b"), labels=("no", "yes")),
    "regression": Task(name="r", kind="regression", text=("a", "b"), metric="pearson_spearman"),
    "score of one text": Task(name="o", kind="regression", text=("a",), metric="pearson_spearman"),
}


def write_kind(folder, task):
    rows = []
    for number in range(24):
        first, second = ("the film is dull", "a plot")[number % 2], ("was dull", "is great", "is cold")[number % 3]
        label = (number % 5) / 2 if task.kind == "regression" else ("no", "yes")[number % 2]
        rows.append({"a": first, "b": second, "label": label})
    for split in ("train", "validation"):
        write_jsonl(folder / f"{split}.jsonl", rows)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_task(tmp_path, name):
    task = KINDS[name]
    labels = ("score",) if task.kind == "regression" else ("no", "yes")
    made = ingredients(tmp_path, task, write_kind(tmp_path / "data", task), labels=labels)
    student, lines = cook(NAME, settings(alpha=0.5), made, tmp_path / "run")
    assert student.config.is_siamese is (len(task.text) == 2)
    assert student.config.num_labels == len(labels)
    assert lines[-1]["terms"].keys() == {"logits", "labels"}
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_word_vectors_start_from_the_teachers_table_or_anything_else(given, tmp_path):
    teacher = load(given.teacher.facts.source).model.get_input_embeddings().weight
    own = bilstm.build_student(settings(), given).bilstm.embeddings
    torch.testing.assert_close(own.tuned.weight[1:], teacher[1:])
    torch.testing.assert_close(own.static.weight, own.tuned.weight)
    narrow = bilstm.build_student(settings(embedding_size=4), given)
    assert narrow.bilstm.embeddings.tuned.weight.shape == (len(teacher), 4)
    free = bilstm.build_student(settings(words="random", channels="tuned"), given)
    assert free.bilstm.embeddings.tuned.weight.shape == (len(given.data.tokenizer), 300)


def test_only_the_tuned_table_learns(given, tmp_path):
    first = {}
    student, _ = cook(
        NAME, settings(), given, tmp_path, lambda m: first.update({k: v.clone() for k, v in m.state_dict().items()})
    )
    after = student.state_dict()
    assert torch.equal(first["bilstm.embeddings.static.weight"], after["bilstm.embeddings.static.weight"])
    assert not torch.equal(first["bilstm.embeddings.tuned.weight"], after["bilstm.embeddings.tuned.weight"])


def teachers(given, tmp_path):
    another = load(save_checkpoint(tmp_path / "another", tiny_model(seed=1)))
    return EnsembleTeacher([given.teacher, OnlineTeacher(another)])


def test_an_ensemble_answers_new_texts_too(given, tmp_path):
    _, lines = cook(NAME, settings(), replace(given, teacher=teachers(given, tmp_path)), tmp_path / "run")
    assert lines[-1]["terms"].keys() == {"logits"}


def test_a_cache_serves_the_rows_and_is_refused_for_new_texts(given, tmp_path):
    cache = LogitCache(tmp_path / "cache", Fingerprint("t", "v", 32, "d"))
    cached = replace(given, teacher=CachedTeacher(given.teacher, cache))
    with pytest.raises(ConfigError, match=r"copies is 2: .*cache.*--set copies=0"):
        bilstm.build_student(settings(), cached)
    cached.teacher.fill(given.data.train.all(16))
    _, online = cook(NAME, settings(copies=0), given, tmp_path / "online")
    _, looked_up = cook(NAME, settings(copies=0), cached, tmp_path / "cached")
    for one, two in zip(online, looked_up, strict=True):
        assert one["terms"]["logits"] == pytest.approx(two["terms"]["logits"], rel=1e-4)


def test_whole_words_and_word_pieces_meet(given, tmp_path, capsys):
    cfg = settings(vectors=str(write_vectors(tmp_path / "v.txt")), copies=1)
    data = load_task_data(
        find_task("sst2"),
        write_uneven_task(tmp_path / "data"),
        bilstm.build_tokenizer(cfg),
        teacher_tokenizer=tiny_tokenizer(),
        max_length=32,
        seed=0,
    )
    other = Ingredients(data=data, teacher=given.teacher)
    student, lines = cook(NAME, cfg, other, tmp_path / "run")
    assert student.config.vocab_size == len(WORDS) + 5
    assert student.config.embedding_size == 6
    assert "100.0% of the training texts' words are in" in capsys.readouterr().err
    assert lines[-1]["terms"].keys() == {"logits"}
    with pytest.raises(ConfigError, match=r"embedding_size is 7; the vectors of .* have 6"):
        bilstm.build_student(settings(vectors=str(tmp_path / "v.txt"), embedding_size=7), other)


def test_a_student_is_gone_on_with_where_it_is_one(given, tmp_path):
    student = bilstm.build_student(settings(), given)
    start = save_checkpoint(tmp_path / "single", student)
    again = bilstm.build_student(settings(), replace(given, start=str(start)))
    assert not again.bilstm.embeddings.static.weight.requires_grad
    assert again.bilstm.embeddings.tuned.weight.requires_grad
    pairs = ingredients(tmp_path / "p", KINDS["pair"], write_kind(tmp_path / "d", KINDS["pair"]), labels=("no", "yes"))
    with pytest.raises(ConfigError, match=r"is a bilstm for single texts\. .* goes on with a bilstm for pairs"):
        bilstm.build_student(settings(), replace(pairs, start=str(start)))
    with pytest.raises(ConfigError, match=r"lstm_size: --student '.*single' has another shape\. Leave lstm_size out"):
        bilstm.build_student(settings(lstm_size=9), replace(given, start=str(start)))
    with pytest.raises(ConfigError, match="is a bert"):
        bilstm.build_student(settings(), replace(given, start=given.teacher.facts.source))


def test_what_cannot_work_is_refused_before_training(given, tmp_path):
    with pytest.raises(ConfigError, match="--teacher"):
        bilstm.build_student(settings(), replace(given, teacher=None))
    with pytest.raises(ConfigError, match="cannot be cut from that"):
        bilstm.build_student(settings(embedding_size=64), given)
    (tmp_path / "bad.conllu").write_text("no treebank\n")
    with pytest.raises(DataError, match="CoNLL-U has 10"):
        bilstm.build_student(settings(conllu=str(tmp_path / "bad.conllu")), given)
    tokenizer = Untyped(given.data.tokenizer)
    untyped = replace(given, data=replace(given.data, task=KINDS["pair"], tokenizer=tokenizer))
    with pytest.raises(ConfigError, match="does not mark the second text"):
        bilstm.build_student(settings(), untyped)


class Untyped:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, *texts, **_):
        return {"token_type_ids": [0] * 5}


def test_a_word_is_not_masked_and_replaced():
    with pytest.raises(ConfigError, match=r"mask and pos are shares of the same words: 0\.6 and 0\.5"):
        settings(mask=0.6, pos=0.5)


def test_the_verb_writes_nothing_where_it_refuses(tmp_path):
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(labels=LABELS))
    common = {"task": "sst2", "teacher": teacher, "data": write_uneven_task(tmp_path / "data"), "out": tmp_path / "run"}
    with pytest.raises(ConfigError, match="Leave --teacher-cache out"):
        distill(NAME, **common, teacher_cache=tmp_path / "cache", settings=["max_length=32"])
    (tmp_path / "v.txt").write_text("word 1 2\nother 1\n")
    with pytest.raises(DataError, match=r"v.txt, line 2: 1 numbers"):
        distill(NAME, **common, settings=["max_length=32", f"vectors={tmp_path / 'v.txt'}"])
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_a_run_is_not_gone_on_with_once_a_file_of_its_settings_has_changed(tmp_path):
    """Half a student of one table of vectors and half of another would be none that anybody asked for."""
    vectors = write_vectors(tmp_path / "v.txt")
    config = {"max_length": 32, "vectors": str(vectors), "copies": 0, "lstm_size": 8, "fc_size": 8}
    config["optim"] = {"max_steps": 2, "batch_size": 8}
    common = {
        "task": "sst2",
        "teacher": save_checkpoint(tmp_path / "teacher", tiny_model(labels=LABELS)),
        "data": write_uneven_task(tmp_path / "data"),
        "out": tmp_path / "run",
        "config": config,
    }
    distill(NAME, **common)
    assert list(json.loads((tmp_path / "run" / "run.json").read_text())["files"]) == ["vectors"]
    distill(NAME, **common, resume=True)
    first, *others = vectors.read_text().splitlines()
    vectors.write_text("\n".join([f"{first.split()[0]} {' '.join(['0.5'] * 6)}", *others]) + "\n")
    with pytest.raises(TrainingError, match=r"begun with other settings[\s\S]*files.vectors: was "):
        distill(NAME, **common, resume=True)


@pytest.mark.slow
def test_from_words_to_a_checked_artifact(tmp_path):
    """distill with word vectors, export to ONNX, check: the student reads other tokens than its teacher all the way."""
    pytest.importorskip("onnxruntime")
    from edgedistill.pipeline.check import check
    from edgedistill.pipeline.export import export

    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(labels=LABELS))
    chosen = {"max_length": 32, "vectors": str(write_vectors(tmp_path / "v.txt")), "lstm_size": 8, "fc_size": 8}
    optim = {"max_steps": 60, "batch_size": 8, "lr": 0.01}
    folder = distill(
        NAME, task="sst2", teacher=teacher, data=write_uneven_task(tmp_path / "data"), out=tmp_path / "run",
        config={**chosen, "optim": optim},
    )  # fmt: skip
    assert json.loads((folder / "tokenizer.json").read_text())["model"]["type"] == "WordLevel"
    artifact = export(folder, target="onnx", out=tmp_path / "artifact")
    assert json.loads((artifact / "manifest.json").read_text())["tokenizer"]["kind"] == "wordlist"
    rungs = {rung.name: rung for rung in check(artifact).rungs}
    for name in ("tokenizer", "student_to_artifact", "padding_and_batch"):
        assert rungs[name].status == "passed", rungs[name]
