"""Where students begin and what they learn from, through the CLI: checkpoints as they are published, raw text of the
domain, rows without labels."""

import json

import pytest
import torch
from click.testing import CliRunner
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    MobileBertConfig,
    MobileBertForMaskedLM,
    MobileBertForPreTraining,
)

from edgedistill.cli.verbs import edgedistill
from edgedistill.models.loading import load
from edgedistill.models.mobilebert import as_begun_here
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary, write_jsonl

MOBILEBERT = {
    "vocab_size": len(vocabulary()), "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 4,
    "intermediate_size": 16, "intra_bottleneck_size": 8, "embedding_size": 8, "max_position_embeddings": 128,
    "attention_probs_dropout_prob": 0.1, "classifier_activation": False, "key_query_shared_bottleneck": True,
    "num_feedforward_networks": 4, "initializer_range": 0.5,
}  # fmt: skip
"""What the published mobilebert-uncased has, in small: no pooler, dropout in the attention."""


def published(name, **changes):
    """A checkpoint of a published kind with random weights."""
    torch.manual_seed(0)
    words, positions = {"vocab_size": len(vocabulary())}, {"max_position_embeddings": 128}
    if name.startswith("mobilebert"):
        family = MobileBertForPreTraining if name == "mobilebert-pretraining" else MobileBertForMaskedLM
        return family(MobileBertConfig(**(MOBILEBERT | changes)))
    if name == "distilbert":
        values = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
        return DistilBertForMaskedLM(DistilBertConfig(**(words | positions | values | changes)))
    values = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    return BertModel(BertConfig(**(words | positions | values | changes)))


def start(folder, name, more=None, **changes):
    """Its folder; `more` is what else its config.json says."""
    save_checkpoint(folder, published(name, **changes))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | (more or {})))
    return folder


def distil(recipe, out, *words):
    own = {"mobilebert": ("transfer", "distill", "polish"), "tinybert": ("general", "intermediate", "prediction"),
           "distilbert": ("words", "answers"), "pkd": ("",), "mlm": ("",)}[recipe]  # fmt: skip
    # In float32 on every processor: random weights of these kinds have gradients that bf16 makes larger still.
    few = [f"{name}_optim.{one}" if name else f"optim.{one}"
           for name in own for one in ("max_steps=2", "mixed_precision=no")]  # fmt: skip
    settings = [word for one in (*few, "max_length=32") for word in ("--set", one)]
    given = ["distill", recipe, *map(str, words), *settings, "--out", str(out)]
    return CliRunner().invoke(edgedistill, given)


@pytest.fixture
def on_task(tiny_bert, tiny_task_dir):
    return ["--teacher", tiny_bert, "--task", tiny_task_dir / "task.yaml", "--data", tiny_task_dir]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(f"the {a} was {b} and the music" for a in "abcdefgh" for b in "klmnopqr"))
    return path


@pytest.fixture
def on_text(tmp_path, corpus):
    teacher = save_checkpoint(tmp_path / "words", tiny_model("bert", "mlm"))
    return ["--teacher", teacher, "--corpus", corpus]


TINYBERT = {"cell": {}, "emb_size": 8, "structure": [], "pre_trained": "", "training": ""}
"""What the authors' config.json has beside BERT's own."""
CALM = {"initializer_range": 0.02}
"""Without layer norms larger weights grow to 1e8 within four layers, whose gradients overflow."""
WORKS = {
    "mobilebert-pretraining": ("mobilebert", "task", CALM, {}),
    "mobilebert-mlm": ("mobilebert", "task", CALM, {}),
    "mobilebert-pretraining on text": ("mobilebert", "text", CALM, {}),
    "tinybert": ("tinybert", "task", {}, TINYBERT),
    "tinybert as wide": ("pkd", "task", {"hidden_size": 16}, TINYBERT),
    "distilbert": ("distilbert", "task", {}, {"tie_weights_": True}),
    "distilbert on text": ("distilbert", "text", {}, {"tie_weights_": True}),
    "distilbert as wide": ("pkd", "task", {}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_a_published_start_is_gone_on_with(name, on_task, on_text, tmp_path):
    recipe, kind, changes, more = WORKS[name]
    begins = start(tmp_path / "start", name.split()[0], more, **changes)
    given = on_task if kind == "task" else on_text
    done = distil(recipe, tmp_path / "run", *given, "--student", begins)
    assert done.exit_code == 0, done.output
    before, after = load(begins).model, load(tmp_path / "run" / "student").model
    assert before.config.model_type == after.config.model_type
    moved = [
        (name, (value - after.base_model.state_dict()[name]).abs().max().item())
        for name, value in before.base_model.state_dict().items()
        if "word_embeddings" not in name and name in after.base_model.state_dict()
    ]
    assert all(most < 0.1 for _, most in moved), "not the start's weights"  # a few steps of at most the learning rate
    assert any(most > 0 for _, most in moved)


REFUSED = {
    "mobilebert-mlm": [
        ("mobilebert", {"hidden_size": 32}, (), "width 32 with 2 heads"),
        ("mobilebert", {"num_attention_heads": 4}, (), "width 16 with 4 heads"),
        ("mobilebert", {"num_hidden_layers": 6}, (), "a student of 6 layers is deeper than its teacher of 4"),
        ("mobilebert", {}, ("--set", "num_layers=2"), "num_layers: 2 is asked for, but --student"),
        ("mobilebert", {}, ("--set", "intra_size=4"), "intra_size: 4 is asked for, but --student"),
        ("tinybert", {"num_hidden_layers": 6}, (), "a student of 6 layers is deeper than its teacher of 4"),
        ("pkd", {"hidden_size": 32}, (), "have 32 features, the teacher's 16"),
    ],
    "tinybert": [
        ("mobilebert", {}, (), "is a bert of width 8 with 2 heads"),
        ("tinybert", {"num_hidden_layers": 3}, (), "3 layers cannot be spread evenly over the teacher's 4"),
        ("pkd", {}, (), "have 8 features, the teacher's 16"),
    ],
    "distilbert": [("mobilebert", {}, (), "is a distilbert of width 16 with 2 heads")],
}


@pytest.mark.parametrize(
    ("name", "recipe", "changes", "options", "message"),
    [(name, *case) for name, cases in REFUSED.items() for case in cases],
)
def test_a_start_that_does_not_fit_is_refused(on_task, tmp_path, name, recipe, changes, options, message):
    begins = start(tmp_path / "start", name, **changes)
    done = distil(recipe, tmp_path / "run", *on_task, "--student", begins, *options)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tinybert", "mobilebert-mlm"])
def test_guesses_of_a_student_of_another_width_are_compared_without_its_states(on_text, tmp_path, name):
    begins = start(tmp_path / "start", name, **({} if name == "tinybert" else {"hidden_size": 32}))
    refused = distil("distilbert", tmp_path / "run", *on_text, "--student", begins)
    assert refused.exit_code == 2
    assert "words.cosine: the hidden states of --student" in " ".join(refused.output.split())
    assert not (tmp_path / "run").exists()
    done = distil("distilbert", tmp_path / "run", *on_text, "--student", begins, "--set", "words.cosine=0")
    assert done.exit_code == 0, done.output


def test_a_mobilebert_of_another_form_learns_the_teachers_answers(on_task, tmp_path):
    """Such as the published one, of 24 layers and 512 features, from a teacher of 12 and 768."""
    form = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 6, "initializer_range": 0.02}
    begins = start(tmp_path / "start", "mobilebert-mlm", **form)
    refused = distil("mobilebert", tmp_path / "run", *on_task, "--student", begins)
    assert refused.exit_code == 2
    assert "or distil on answers alone: --set strategy=auxiliary --set " in " ".join(refused.output.split())
    terms = [f"distill.{name}=0" for name in ("feature", "mean", "variance", "attention")]
    alone = [word for one in ("strategy=auxiliary", *terms) for word in ("--set", one)]
    still = distil("mobilebert", tmp_path / "run", *on_task, "--student", begins, *alone)
    assert still.exit_code == 2, "the polish compares features"
    done = distil("mobilebert", tmp_path / "run", *on_task, "--student", begins, *alone, "--set", "polish.feature=0")
    assert done.exit_code == 0, done.output
    config = load(tmp_path / "run" / "student").model.config
    assert (config.num_hidden_layers, config.hidden_size) == (6, 32)


def test_a_published_mobilebert_learns_without_dropout_and_reads_zeros_after_a_text(tmp_path):
    model = load(start(tmp_path, "mobilebert-mlm")).model
    model.base_model.embeddings.word_embeddings.weight.data[0] = 1.0
    ids = torch.tensor([[2, 9, 12, 3]])
    alone = model.eval()(ids).logits
    begun = as_begun_here(model).train()
    same = begun(ids, output_attentions=True)
    assert torch.allclose(alone[..., 1:], same.logits[..., 1:], atol=1e-5)  # the word PAD itself is another now
    assert torch.allclose(same.attentions[0].sum(-1), torch.ones(1, 2, 4))
    padded = begun(torch.tensor([[2, 9, 12, 3, 0, 0]]), attention_mask=torch.tensor([[1, 1, 1, 1, 0, 0]])).logits
    assert torch.allclose(padded[:, :4, 1:], alone[..., 1:], atol=1e-4)
    padded.square().sum().backward()
    assert begun.base_model.embeddings.word_embeddings.weight.grad[0].eq(0).all()


@pytest.mark.parametrize("recipe", ["mobilebert", "tinybert"])
def test_layers_are_led_on_text_of_the_domain(on_task, corpus, tmp_path, recipe):
    more = ("--set", "hidden_size=8") if recipe == "tinybert" else ()
    done = distil(recipe, tmp_path / "run", *on_task, "--corpus", corpus, *more)
    assert done.exit_code == 0, done.output

    first = "transfer, 64 rows" if recipe == "mobilebert" else "general, 64 rows"
    assert f"stage 1: {first}" in done.output


@pytest.fixture
def unlabelled(tiny_task_dir, tmp_path):
    """The same task with a train split that has no label column."""
    folder = tmp_path / "unlabelled"
    for split in ("train", "validation"):
        rows = [json.loads(line) for line in (tiny_task_dir / f"{split}.jsonl").read_text().splitlines()]
        keep = ("sentence",) if split == "train" else ("sentence", "label")
        write_jsonl(folder / f"{split}.jsonl", [{name: row[name] for name in keep} for row in rows])
    (folder / "task.yaml").write_text((tiny_task_dir / "task.yaml").read_text())
    return folder


WITHOUT = {
    "mobilebert": (),
    "mobilebert augmented": ("--set", "augment=0.3"),
    "tinybert": ("--set", "hidden_size=8"),
    "distilbert": ("--set", "answers.labels=0", "--set", "answers.soft=1"),
    "pkd": ("--set", "alpha=1"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_no_label_is_needed_where_the_teacher_says_all(name, tiny_bert, unlabelled, tmp_path):
    given = ["--teacher", tiny_bert, "--task", unlabelled / "task.yaml", "--data", unlabelled]
    done = distil(name.split()[0], tmp_path / "run", *given, *WITHOUT[name])
    assert done.exit_code == 0, done.output
    assert "train has no labels, half of validation chooses and the other half judges" in " ".join(done.output.split())
    scores = json.loads((tmp_path / "run" / "student" / "edgedistill.json").read_text())["scores"]
    assert scores["rows"] == 16
    assert 0 <= scores["agreement"] <= 1


@pytest.mark.parametrize(
    ("recipe", "options"),
    [("mobilebert", ("--set", "polish.labels=0.5")), ("distilbert", ()), ("pkd", ())],
)
def test_labels_that_are_learnt_from_are_missed_before_anything_is_made(
    recipe, options, tiny_bert, unlabelled, tmp_path
):
    given = ["--teacher", tiny_bert, "--task", unlabelled / "task.yaml", "--data", unlabelled]
    done = distil(recipe, tmp_path / "run", *given, *options)
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "has no column 'label'" in said
    assert "other recipes with a teacher none where their weight is 0" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["mobilebert", "tinybert", "pkd"])
def test_something_must_be_judged_by(recipe, tiny_bert, unlabelled, tmp_path):
    (unlabelled / "validation.jsonl").write_text('{"sentence": "the film was great"}\n{"sentence": "dull"}\n')
    given = ["--teacher", tiny_bert, "--task", unlabelled / "task.yaml", "--data", unlabelled]
    done = distil(recipe, tmp_path / "run", *given, *WITHOUT[recipe])
    assert done.exit_code == 2
    assert "no labelled test or validation split" in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["distilbert", "mobilebert"])
def test_words_are_not_compared_across_tokenizers(recipe, corpus, tmp_path):
    other = tiny_tokenizer([*vocabulary()[:-1], "unheard"])
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(head="mlm"))
    student = save_checkpoint(tmp_path / "student", published(recipe), other)
    done = distil(recipe, tmp_path / "run", "--teacher", teacher, "--corpus", corpus, "--student", student)
    assert done.exit_code == 2
    assert "splits text into other tokens than the student" in done.output
    assert "Leave --student out" in done.output
    assert not (tmp_path / "run").exists()
