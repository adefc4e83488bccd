from pathlib import Path

import pytest
import torch

from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.loading import load, save
from edgedistill.models.multitask import (
    MultiTaskBertForSequenceClassification,
    TaskHead,
    multitask_bert,
    one_task,
    task_names,
)
from edgedistill.models.views import view_of
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer

HEADS = (
    TaskHead(name="sst2", kind="single", labels=("negative", "positive")),
    TaskHead(name="rte", kind="pair", labels=("yes", "no", "perhaps"), answer="san"),
    TaskHead(name="stsb", kind="regression"),
)
NAMES = tuple(head.name for head in HEADS)


@pytest.fixture
def model() -> MultiTaskBertForSequenceClassification:
    torch.manual_seed(0)
    return multitask_bert(tiny_model(head="bare"), HEADS).eval()


def tokens() -> dict[str, torch.Tensor]:
    found = tiny_tokenizer()(
        ["the film is great", "a plot"], ["a film", "it was dull"], return_tensors="pt", padding=True
    )
    return dict(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_head_is_read_back_as_a_model_of_one_task(model, tmp_path: Path, name: str):
    save(tmp_path, model, tiny_tokenizer())
    assert task_names(tmp_path) == NAMES
    found, head = load(tmp_path, task=name), model.head(name)
    assert (found.kind, found.labels, found.source.family) == (head.kind, head.labels, "bert")
    assert not found.is_head_new
    assert not found.model.training
    torch.testing.assert_close(found.model(**tokens()).logits, model(**tokens(), task=name).logits)


def test_the_first_task_is_the_main_one(model, tmp_path: Path):
    save(tmp_path, model, tiny_tokenizer())
    assert load(tmp_path).labels == ("negative", "positive")
    torch.testing.assert_close(model(**tokens()).logits, model(**tokens(), task="sst2").logits)


def test_a_task_without_a_head_is_refused(model, tmp_path: Path):
    save(tmp_path, model, tiny_tokenizer())
    with pytest.raises(CheckpointError, match="no head for the task 'mnli'"):
        load(tmp_path, task="mnli")


def test_serves_as_a_start_for_other_tasks(model, tmp_path: Path):
    save(tmp_path, model, tiny_tokenizer())
    same = load(tmp_path, kind="pair", labels=("Negative", "Positive"))
    other = load(tmp_path, kind="pair", labels=("no", "yes"))
    wide = load(tmp_path, kind="single", labels=("a", "b", "c"))
    tags = load(tmp_path, kind="tokens", labels=("a", "b"))
    san = load(tmp_path, kind="pair", labels=("yes", "no", "perhaps"), task="rte")
    assert not same.is_head_new
    assert all(found.is_head_new for found in (other, wide, tags, san))
    assert load(tmp_path, labels=("a", "b", "c"), task="sst2").is_head_new  # what export refuses
    assert other.labels == ("no", "yes")
    for found in (same, other, wide, tags, san):
        torch.testing.assert_close(
            found.model.bert.embeddings.word_embeddings.weight, model.bert.embeddings.word_embeddings.weight
        )
    assert load(tmp_path, kind="embedding").model(**tokens()).last_hidden_state.shape[-1] == 16
    assert task_names(save_checkpoint(tmp_path / "plain", tiny_model())) == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_task_gives_the_other_heads_no_gradient(model, name: str):
    model.single(name)(**tokens()).logits.sum().backward()
    for other in NAMES:
        gradients = [parameter.grad for parameter in model.heads[f"{other}_head"].parameters()]
        assert any(gradient is not None for gradient in gradients) == (other == name)
    assert model.bert.embeddings.word_embeddings.weight.grad is not None


def test_one_task_shares_the_weights(model):
    assert model.single("stsb") is one_task(model, "stsb")
    with torch.no_grad():
        model.heads["stsb_head"].classifier.bias += 1.0
    before = model(**tokens(), task="stsb").logits
    torch.testing.assert_close(one_task(model, "stsb")(**tokens()).logits, before)
    plain = tiny_model()
    assert one_task(plain, "stsb") is plain


@pytest.mark.parametrize("name", NAMES)
def test_every_head_has_an_export_view(model, name: str):
    single = model.single(name)
    view, given = view_of(single), tokens()
    (answered,) = view(given["input_ids"], given["attention_mask"], given["token_type_ids"])
    torch.testing.assert_close(answered, single(**given).logits, atol=1e-5, rtol=1e-5)
    assert view.kind == ("regression" if name == "stsb" else "single")


def test_tasks_may_be_named_like_methods():
    heads = [TaskHead(name=name, kind="regression") for name in ("items", "train", "a-b")]
    assert multitask_bert(tiny_model(head="bare"), heads)(**tokens(), task="train").logits.shape == (2, 1)


def test_encoders_that_cannot_be_shared_are_refused():
    with pytest.raises(ConfigError, match="not one of the family 'distilbert'"):
        multitask_bert(tiny_model("distilbert", "bare"), HEADS)
