import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from edgedistill.cli.verbs import edgedistill
from edgedistill.data.tasks import MASKED_WORDS, find_task
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.loading import load
from edgedistill.recipes import Ingredients, mlm
from edgedistill.training.judging import asking, masked_scores
from tests.recipes.kitchen import cook, ingredients_in_pairs, ingredients_of, smoke_config, write_uneven_task
from tests.support import save_checkpoint, tiny_model

NAME = "mlm"


@pytest.fixture
def given(tmp_path):
    return ingredients_of(NAME, tmp_path)


@pytest.mark.slow
def test_learns_to_guess_what_can_be_guessed(given, tmp_path):
    before = masked_scores(asking(load(given.start, kind="mlm").model), given.data.judged, given.data)
    student, _ = cook(NAME, smoke_config(NAME, max_steps=150, lr=3e-3), given, tmp_path / "run")
    after = masked_scores(asking(student), given.data.judged, given.data)
    assert after["loss"] < 0.7 * before["loss"]
    assert after["tokens"] == before["tokens"] > 0


def test_the_head_is_tied_to_the_embeddings_and_learns_faster(given, tmp_path):
    cfg = smoke_config(NAME, {"head_pace": 3.0})
    student = mlm.build_student(cfg, given)
    assert student.cls.predictions.decoder.weight is student.get_input_embeddings().weight
    (stage,) = mlm.stages(cfg, given, student)
    paces = {name: stage.pace(name) for name, _ in student.named_parameters()}
    assert paces["bert.embeddings.word_embeddings.weight"] == paces["bert.encoder.layer.0.output.dense.weight"] == 1.0
    assert {paces[name] for name in paces if not name.startswith("bert.")} == {3.0}


@pytest.mark.parametrize(("family", "head"), [("bert", "bare"), ("distilbert", "sequence"), ("mobilebert", "bare")])
def test_any_encoder_gets_a_head(given, tmp_path, family, head):
    start = save_checkpoint(tmp_path / "start", tiny_model(family, head))
    student, lines = cook(NAME, smoke_config(NAME, max_steps=3), Ingredients(given.data, None, start), tmp_path / "run")
    assert len(lines) == 3
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_needs_a_start_and_raw_text(given, tmp_path):
    with pytest.raises(ConfigError, match="--student"):
        mlm.build_student(smoke_config(NAME), Ingredients(data=given.data, teacher=None))


def run(*words):
    return CliRunner().invoke(edgedistill, ["distill", *map(str, words)])


@pytest.fixture
def files(tmp_path):
    start = save_checkpoint(tmp_path / "start", tiny_model("bert", "bare"))
    data = write_uneven_task(tmp_path / "data")
    corpus = tmp_path / "text.txt"
    rows = (data / "train.jsonl").read_text().splitlines()
    corpus.write_text("\n".join(json.loads(line)["sentence"] for line in rows), encoding="utf-8")
    return start, corpus, data


def test_from_the_command_line_to_a_student_for_other_recipes(files, tmp_path):
    start, corpus, data = files
    done = run(NAME, "--student", start, "--corpus", corpus, "--out", tmp_path / "run",
               "--set", "optim.max_steps=3", "--set", "max_length=16")  # fmt: skip
    assert done.exit_code == 0, done.output
    student = tmp_path / "run" / "student"
    assert f"edgedistill distill finetune --student {student}" in " ".join(done.output.split())
    card = json.loads((student / "edgedistill.json").read_text())
    assert card["task"]["kind"] == "mlm"
    assert 0 <= card["scores"]["student"] <= 1 < card["scores"]["student_loss"]
    assert not (student / "reference.jsonl").exists()
    found = load(student)
    assert (found.kind, found.is_head_new) == ("mlm", False)
    tuned = run("finetune", "--student", student, "--task", "sst2", "--data", data, "--out", tmp_path / "tuned",
                "--set", "optim.max_steps=2", "--set", "max_length=16")  # fmt: skip
    assert tuned.exit_code == 0, tuned.output


def test_what_does_not_fit_is_refused_before_anything_is_written(files, tmp_path):
    start, corpus, data = files
    out = tmp_path / "run"
    cases = (
        ((NAME, "--student", start), "give it with --corpus FILE"),
        ((NAME, "--student", start, "--corpus", corpus, "--data", data), "leave --data out"),
        ((NAME, "--student", start, "--corpus", corpus, "--task", "sst2"), "cannot do 'sst2'"),
        (("finetune", "--student", start, "--task", MASKED_WORDS, "--corpus", corpus), "cannot do 'masked_words'"),
        (("finetune", "--student", start, "--data", data), "needs a task. Give it with --task"),
        ((NAME, "--corpus", corpus), "Give it with --student"),
    )
    for words, message in cases:
        done = run(*words, "--out", out)
        assert done.exit_code == 2, words
        assert message in " ".join(done.output.split()), done.output
        assert not out.exists()


def test_a_masked_word_model_is_exported_by_no_target(files, tmp_path):
    start = save_checkpoint(tmp_path / "mlm", tiny_model("bert", "mlm"))
    done = CliRunner().invoke(edgedistill, ["export", str(start), "--out", str(tmp_path / "artifact")])
    assert done.exit_code == 2
    assert "a BertForMaskedLM cannot be exported" in done.output


def test_a_family_without_a_masked_word_head_is_refused(tmp_path, given):
    folder = save_checkpoint(tmp_path / "odd", tiny_model("bert", "bare"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit", "architectures": ["ViTModel"]}))
    with pytest.raises(CheckpointError):
        mlm.build_student(smoke_config(NAME), Ingredients(given.data, None, folder))
    assert find_task(MASKED_WORDS).kind == "mlm"


def test_an_ib_bert_begins_from_random_weights_with_the_starts_tokenizer(given, tmp_path):
    shape = {"num_layers": 3, "hidden_size": 16, "intra_size": 32, "num_heads": 2, "ffn_size": 48, "embedding_size": 8}
    cfg = smoke_config(NAME, {"ib_bert": shape}, max_steps=3)
    student, lines = cook(NAME, cfg, given, tmp_path / "run")
    assert student.config.model_type == "ib_bert"
    assert student.config.num_hidden_layers == len(lines) == 3
    assert student.config.vocab_size == len(given.data.tokenizer)
    assert_learns_no_padding(student)
    with pytest.raises(ConfigError, match="33 cannot be cut into 2 heads"):
        mlm.build_student(smoke_config(NAME, {"ib_bert": shape | {"intra_size": 33}}), given)


def assert_learns_no_padding(student):
    """The trigram of a text's last token reads PAD's row in a batch, and zeros alone: they must be the same."""
    words = student.get_input_embeddings()
    assert words.weight[words.padding_idx].abs().max().item() == 0
    assert words.weight.abs().max().item() > 0


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_mobilebert_learns_nothing_into_padding(given, tmp_path, weight):
    teacher = tiny_model("mobilebert", "mlm")
    torch.nn.init.normal_(teacher.get_input_embeddings().weight)
    made = ingredients_in_pairs(tmp_path) if weight else given
    start = replace(made, start=save_checkpoint(tmp_path / "start", teacher))
    student, _ = cook(NAME, smoke_config(NAME, {"next_sentence": weight}, max_steps=3), start, tmp_path / "run")
    assert_learns_no_padding(student)
