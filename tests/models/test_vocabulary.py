"""Models with fewer words: the same rows, the same answers."""

import numpy as np
import pytest
import torch

from edgedistill.data.vocabulary import VocabularyConfig, chosen, cut
from edgedistill.models.loading import load
from edgedistill.models.vocabulary import hollow, read_by, with_entries
from tests.support import HEADS, save_checkpoint, sentences, tiny_model, tiny_tokenizer

TEXTS = [text for text, _ in sentences(8)]


@pytest.fixture
def made():
    """A cut tokenizer and the ids it kept."""
    whole = tiny_tokenizer()
    counts = np.bincount(np.concatenate(whole(TEXTS)["input_ids"]), minlength=len(whole))
    kept = chosen(whole, counts, VocabularyConfig())
    return cut(whole, kept), kept


def answers(model, tokenizer):
    tokens = tokenizer(TEXTS, return_tensors="pt", padding=True)
    tokens = {name: value for name, value in tokens.items() if name != "token_type_ids"}
    with torch.no_grad():
        found = model(**tokens, output_hidden_states=True)
    return found


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert"])
@pytest.mark.parametrize("head", list(HEADS))
def test_the_same_text_gets_the_same_answer(family, head, made):
    tokenizer, kept = made
    model = tiny_model(family, head)
    fewer = with_entries(model, kept)
    before, after = answers(model, tiny_tokenizer()), answers(fewer, tokenizer)
    for one, two in zip(before.hidden_states, after.hidden_states, strict=True):
        assert torch.equal(one, two)
    name = "prediction_logits" if "prediction_logits" in before else "logits"
    if head in {"mlm", "pretraining"}:
        assert torch.allclose(before[name][..., torch.from_numpy(kept)], after[name], atol=1e-6)
        assert after[name].shape[-1] == len(kept)
    elif name in before:
        assert torch.equal(before[name], after[name])


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert"])
def test_rows_are_the_teachers_rows(family, made):
    _, kept = made
    model = tiny_model(family, "mlm")
    fewer = with_entries(model, kept)
    table = fewer.get_input_embeddings().weight
    assert torch.equal(table, model.get_input_embeddings().weight[torch.from_numpy(kept)])
    assert fewer.config.vocab_size == len(kept) == len(table)
    assert fewer.config._attn_implementation == "eager"
    assert fewer.config.pad_token_id == 0
    others = {name for name, value in model.state_dict().items() if value.shape != fewer.state_dict()[name].shape}
    assert all("embeddings" in name or "predictions" in name or "vocab_projector" in name for name in others)
    assert model.config.vocab_size == len(tiny_tokenizer())  # the teacher itself is as it was


def test_another_order_of_the_same_words_moves_the_rows():
    kept = np.arange(len(tiny_tokenizer()))[::-1].copy()
    model = tiny_model()
    turned = with_entries(model, kept)
    assert torch.equal(turned.get_input_embeddings().weight, model.get_input_embeddings().weight.flip(0))


def test_reading_a_cut_vocabulary(made, tmp_path):
    tokenizer, kept = made
    checkpoint = load(save_checkpoint(tmp_path, tiny_model()))
    found = read_by(checkpoint, tokenizer)
    assert found.model.config.vocab_size == len(kept)
    assert found.tokenizer is tokenizer
    assert (found.source, found.labels, found.kind) == (checkpoint.source, checkpoint.labels, checkpoint.kind)
    assert read_by(checkpoint, tiny_tokenizer()) is checkpoint
    assert read_by(checkpoint, tiny_tokenizer([*SPECIALS_ONLY, "new"])) is checkpoint


SPECIALS_ONLY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_a_hollow_one_has_the_shape_and_no_numbers(made, tmp_path):
    tokenizer, kept = made
    checkpoint = load(save_checkpoint(tmp_path, tiny_model()))
    found = hollow(checkpoint, tokenizer)
    assert found.model.get_input_embeddings().weight.shape == (len(kept), 16)
    assert found.model.device.type == "meta"


def test_random_numbers_after_it_are_as_without_it(made):
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    with_entries(tiny_model(), made[1])
    assert torch.equal(torch.rand(3), wanted)
