import pytest
import torch
from transformers import AlbertConfig, AlbertModel, AutoModelForSequenceClassification, BertConfig, BertModel

from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Want
from edgedistill.models.shortened import shorten
from tests.support import TinyRows, save_checkpoint, tiny_model

FAMILIES = ("bert", "distilbert", "roberta", "mobilebert")
TOKENS = TinyRows(4).batch(torch.arange(4)).student


@pytest.mark.parametrize(("layers", "parameters"), [(12, 109_482_240), (6, 66_955_008), (3, 45_691_392)])
def test_bert_base_has_the_published_sizes(layers, parameters):
    with torch.device("meta"):
        model = BertModel(BertConfig())
    assert shorten(model, range(1, layers + 1)).num_parameters() == parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_first_layers_are_those_of_the_whole_model(family):
    whole, cut = (tiny_model(family, labels=("a", "b", "c")) for _ in range(2))
    shorten(cut, (1, 2))
    assert len(answer(cut, TOKENS, Want(hidden=True)).hidden) == 3
    hidden = answer(whole, TOKENS, Want(hidden=True)).hidden
    assert torch.equal(answer(cut, TOKENS, Want(cls=(1, 2))).cls, torch.stack(hidden[1:3], 1)[:, :, 0])
    heads = [name for name in cut.state_dict() if not name.startswith(f"{cut.base_model_prefix}.")]
    assert heads
    assert all(torch.equal(cut.state_dict()[name], whole.state_dict()[name]) for name in heads)


@pytest.mark.parametrize("family", FAMILIES)
def test_loads_back_as_any_checkpoint(family, tmp_path):
    cut = shorten(tiny_model(family), (2, 4))
    again = AutoModelForSequenceClassification.from_pretrained(save_checkpoint(tmp_path, cut))
    assert again.config.num_hidden_layers == 2
    assert torch.allclose(answer(again, TOKENS).logits, answer(cut, TOKENS).logits, atol=1e-6)


def test_mapped_layers_are_the_chosen_ones():
    whole, cut = tiny_model(), shorten(tiny_model(), (2, 4))
    theirs, ours = whole.base_model.encoder.layer, cut.base_model.encoder.layer
    for mine, layer in zip(ours, (1, 3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs[layer].parameters(), strict=True))


@pytest.mark.parametrize(
    ("layers", "message"),
    [((), "no layer at all"), ((0, 1), "layer 0"), ((1, 5), "layer 5 .* 1 to 4"), ((2, 1), "must rise: 2, 1")],
)
def test_layers_that_are_not_there_are_refused(layers, message):
    with pytest.raises(ConfigError, match=message):
        shorten(tiny_model(), layers)


def test_a_family_that_shares_its_layers_is_refused():
    model = AlbertModel(AlbertConfig(vocab_size=8, hidden_size=8, num_attention_heads=2, intermediate_size=8))
    with pytest.raises(CheckpointError, match="'albert' cannot be taken one by one"):
        shorten(model, (1,))
