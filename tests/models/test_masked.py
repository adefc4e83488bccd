import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.models.answers import answer
from edgedistill.models.masked import guesses
from tests.support import tiny_model

IDS = torch.tensor([[2, 9, 12, 30, 3], [2, 7, 3, 0, 0]])
TOKENS = Encoded(IDS, IDS.ne(0).long(), torch.zeros_like(IDS))
WHERE = torch.tensor([[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]]).bool()


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert", "roberta"])
def test_the_same_numbers_as_over_all_positions(family):
    model = tiny_model(family, "mlm")
    found = guesses(model, TOKENS, WHERE)
    assert torch.allclose(found, answer(model, TOKENS).logits[WHERE], atol=1e-5)
    assert found.shape == (3, model.config.vocab_size)


def test_only_hidden_words_reach_the_output_table():
    model, seen = tiny_model("bert", "mlm"), []
    model.cls.predictions.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[:-1]))
    guesses(model, TOKENS, WHERE)
    assert seen == [(3,)]
    assert answer(model, TOKENS).logits.shape[:2] == (2, 5)  # and nothing of the cut is left behind


def test_a_head_of_another_name_still_answers():
    model = tiny_model("bert", "mlm")
    other = type("Other", (torch.nn.Module,), {"forward": lambda self, **inputs: model(**inputs)})()
    assert torch.allclose(guesses(other, TOKENS, WHERE), guesses(model, TOKENS, WHERE), atol=1e-5)
