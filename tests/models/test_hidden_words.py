import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Want
from tests.support import tiny_model

IDS = torch.tensor([[2, 9, 12, 30, 3], [2, 7, 3, 0, 0]])
TOKENS = Encoded(IDS, IDS.ne(0).long(), torch.zeros_like(IDS))
WHERE = torch.tensor([[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]]).bool()


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert", "roberta"])
def test_the_same_numbers_as_over_all_positions(family):
    model = tiny_model(family, "mlm")
    found = answer(model, TOKENS, Want(hidden=True, words=WHERE))
    assert torch.allclose(found.logits, answer(model, TOKENS).logits[WHERE], atol=1e-5)
    assert found.logits.shape == (3, model.config.vocab_size)
    assert found.hidden[-1].shape[:2] == (2, 5)


def test_only_hidden_words_reach_the_output_table():
    model, seen = tiny_model("bert", "mlm"), []
    model.cls.predictions.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[:-1]))
    answer(model, TOKENS, Want(words=WHERE))
    assert seen == [(3,)]
    assert answer(model, TOKENS).logits.shape[:2] == (2, 5)  # nothing of the cut is left behind


def test_a_model_that_guesses_nothing_is_refused():
    with pytest.raises(CheckpointError, match="BertForSequenceClassification guesses no hidden words"):
        answer(tiny_model("bert"), TOKENS, Want(words=WHERE))
