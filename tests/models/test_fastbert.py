import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.answers import answer
from edgedistill.models.fastbert import FastBertConfig, NarrowClassifier, fastbert_for
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.models.views import view_of
from tests.support import save_checkpoint, sentences, tiny_model, tiny_tokenizer


def tokens(count=6, pad_to=None):
    how = {"padding": "max_length", "max_length": pad_to} if pad_to else {"padding": True}
    found = tiny_tokenizer()([text for text, _ in sentences(count)], return_tensors="pt", **how)
    return Encoded(found["input_ids"], found["attention_mask"], found["token_type_ids"])


def made(keeps_head=False, size=8, **shape):
    """A FastBERT whose every parameter is random, so that no bias hides a fault."""
    model = fastbert_for(tiny_model(**shape), size=size, keeps_head=keeps_head)
    with torch.no_grad():
        for parameter in model.exits.parameters() if not keeps_head else model.exits[:-1].parameters():
            parameter.normal_(std=0.3)
    return model


def test_a_branch_of_the_papers_shape_has_181250_parameters():
    config = FastBertConfig(num_labels=2)
    assert sum(parameter.numel() for parameter in NarrowClassifier(config).parameters()) == 181_250
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    assert sum(parameter.numel() for parameter in model.exits.parameters()) == 2_175_000 == 12 * 181_250
    assert len(model.exits) == config.num_hidden_layers == 12


def test_classifier_worked_by_hand():
    """Width 1, one head, weights 1 and biases 0 but two: the attention is a mean over the real tokens."""
    config = FastBertConfig(hidden_size=1, num_attention_heads=1, classifier_size=1, classifier_heads=1, num_labels=2)
    own = NarrowClassifier(config).eval()
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            parameter.fill_(float("weight" in name))
        own.query.weight.zero_()  # every score 0: uniform attention
        own.classifier.weight[1] = -2.0
    hidden = torch.tensor([[[0.5], [1.0], [9.0]]])
    mean = (torch.tensor(0.5).tanh() + torch.tensor(1.0).tanh()) / 2
    logits = own(hidden, torch.tensor([[1, 1, 0]]))
    assert torch.allclose(logits, torch.stack((mean.tanh(), -2 * mean.tanh()))[None], atol=1e-6)


def test_answers_with_its_last_classifier_whichever_way_it_is_run():
    model, encoded = made(), tokens()
    with torch.no_grad():
        logits = answer(model, encoded).logits
        hidden = model.embed(encoded)
        for number in range(1, 5):
            hidden = model.layer(number, hidden, encoded.attention_mask)
        assert torch.equal(model.exits[-1](hidden, encoded.attention_mask), logits)
        every = model.exit_logits(encoded)
    assert every.shape == (6, 4, 2)
    assert torch.equal(every[:, -1], logits)
    found = answer(model, encoded, Want(hidden=True, attentions=True))
    assert (len(found.hidden), len(found.attentions)) == (5, 4)


def test_no_answer_depends_on_padding():
    model = made().double()
    with torch.no_grad():
        short, long = model.exit_logits(tokens()), model.exit_logits(tokens(pad_to=40))
    assert torch.allclose(short, long, atol=1e-9)


def test_layers_are_the_berts_and_its_own_head_answers_bit_for_bit():
    bert = tiny_model()
    with torch.no_grad():
        theirs = answer(bert, tokens()).logits
        assert torch.equal(answer(fastbert_for(bert, keeps_head=True), tokens()).logits, theirs)
        assert not torch.equal(answer(fastbert_for(bert), tokens()).logits, theirs)


@pytest.mark.parametrize("keeps_head", [False, True])
def test_saved_as_safetensors_and_opened_by_our_loader_and_by_transformers(tmp_path, keeps_head):
    model = made(keeps_head)
    model.config.speed = 0.25
    save_checkpoint(tmp_path, model)
    assert not list(tmp_path.glob("*.bin"))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "fastbert"
    for kind in (None, "single", "pair"):
        found = load(tmp_path, kind)
        assert (found.kind, found.labels, found.is_head_new) == (kind or "single", ("negative", "positive"), False)
        assert found.source.family == "fastbert"
        assert torch.equal(found.model.exit_logits(tokens()), model.exit_logits(tokens()))
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    assert again.config.speed == 0.25
    assert torch.equal(answer(again, tokens()).logits, answer(model, tokens()).logits)


def test_weights_that_are_missing_are_noticed(tmp_path):
    save_checkpoint(tmp_path, made())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    with pytest.raises(CheckpointError, match="does not hold the weights"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"size": 9}, "9 cannot be cut into 2 heads. Try 8"),
        ({"layers": 1}, "nowhere to exit"),
    ],
)
def test_impossible_shapes_are_refused(shape, message):
    with pytest.raises(ConfigError, match=message):
        made(**shape)


def test_only_a_bert_can_be_the_backbone():
    with pytest.raises(CheckpointError, match="not a distilbert"):
        fastbert_for(tiny_model("distilbert"))


@pytest.mark.parametrize("keeps_head", [False, True])
def test_the_export_view_answers_as_the_last_classifier_whatever_the_padding(keeps_head):
    model = made(keeps_head)
    view = view_of(model)
    assert (view.kind, view.output_names, view.output_axes) == ("single", ("logits",), {"logits": ("batch", 2)})
    for encoded in (tokens(), tokens(pad_to=40)):
        with torch.no_grad():
            (ours,) = view(encoded.input_ids, encoded.attention_mask, encoded.token_type_ids)
        torch.testing.assert_close(ours, answer(model, tokens()).logits, rtol=1e-5, atol=2e-5)
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in view.parameters()} <= own


def test_a_bert_without_segments_will_do():
    config = BertConfig(
        vocab_size=129,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        type_vocab_size=1,
    )
    model = fastbert_for(BertForSequenceClassification(config), size=8)
    assert view_of(model).input_names == ("input_ids", "attention_mask")
