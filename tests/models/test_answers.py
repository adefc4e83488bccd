import numpy as np
import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, DataError
from edgedistill.models.answers import answer, first_position, longest_input, torch_runner
from edgedistill.models.outputs import Want
from tests.support import HEADS, sentences, tiny_model, tiny_tokenizer

FAMILIES = ("bert", "distilbert", "mobilebert", "roberta")


def tokens(count=3, pad_id=0):
    found = tiny_tokenizer()([text for text, _ in sentences(count)], return_tensors="pt", padding=True)
    found["input_ids"][found["attention_mask"] == 0] = pad_id
    return Encoded(found["input_ids"], found["attention_mask"], found["token_type_ids"])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_and_head_answers_in_the_same_shapes(family, head):
    model = tiny_model(family, head)
    encoded = tokens(pad_id=model.config.pad_token_id)
    rows, length = encoded.input_ids.shape
    found = answer(model, encoded, Want(hidden=True, attentions=True))
    vocabulary = model.config.vocab_size
    expected = {"sequence": (2,), "span": (length, 2), "tokens": (length, 2)}
    expected |= dict.fromkeys(("mlm", "pretraining"), (length, vocabulary))
    if head == "bare":
        assert found.logits is None
    else:
        assert found.logits.shape == (rows, *expected[head])
    assert [tuple(state.shape) for state in found.hidden] == [(rows, length, 16)] * 5
    assert [tuple(matrix.shape) for matrix in found.attentions] == [(rows, 2, length, length)] * 4
    assert torch.allclose(found.attentions[0].sum(-1), torch.ones(rows, 2, length), atol=1e-5)


def test_nothing_is_computed_that_is_not_wanted():
    found = answer(tiny_model(), tokens())
    assert found.hidden == ()
    assert found.attentions == ()


def test_segments_reach_a_model_that_has_them():
    encoded = tokens()
    other = Encoded(encoded.input_ids, encoded.attention_mask, torch.ones_like(encoded.token_type_ids))
    assert not torch.allclose(answer(tiny_model(), encoded).logits, answer(tiny_model(), other).logits)
    plain = tiny_model("distilbert")
    assert torch.equal(answer(plain, encoded).logits, answer(plain, other).logits)


@pytest.mark.filterwarnings("ignore")
def test_attentions_of_an_attention_that_has_none_are_refused():
    model = tiny_model()
    model.set_attn_implementation("sdpa")
    with pytest.raises(CheckpointError, match="eager"):
        answer(model, tokens(), Want(attentions=True))


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("sequence", ["logits"]),
        ("span", ["start_logits", "end_logits"]),
        ("tokens", ["logits"]),
        ("bare", ["last_hidden_state"]),
    ],
)
def test_runner_uses_hugging_face_names(head, names):
    model = tiny_model(head=head).train()
    encoded = tokens()
    arrays = {name: getattr(encoded, name).numpy().astype(np.int32) for name in vars(encoded)}
    found = torch_runner(model)(arrays)
    assert list(found) == names
    assert all(value.dtype == np.float32 for value in found.values())
    assert model.training


def test_runner_agrees_with_answer_and_drops_what_the_model_does_not_take():
    model = tiny_model("distilbert")
    encoded = tokens()
    arrays = {name: getattr(encoded, name).numpy() for name in vars(encoded)}
    found = torch_runner(model)(arrays)["logits"]
    assert np.array_equal(found, answer(model, encoded).logits.detach().numpy())


def test_runner_refuses_text_longer_than_the_positions():
    long = {name: np.ones((1, 129), dtype=np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    with pytest.raises(DataError, match=r"129 tokens.*takes 128"):
        torch_runner(tiny_model())(long)


def test_first_positions_of_roberta_are_not_counted():
    assert (first_position(tiny_model("roberta")), longest_input(tiny_model("roberta"))) == (2, 128)
    assert (first_position(tiny_model()), longest_input(tiny_model())) == (0, 128)
