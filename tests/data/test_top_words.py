import datasets
import pytest
import torch

from edgedistill.data.conditional import Blanks, joined
from edgedistill.data.tasks import IGNORED
from edgedistill.data.top_words import Asking, ask, ask_all, top_words
from edgedistill.training.writing import guesses
from tests.data.test_conditional import many
from tests.recipes.kitchen import WRITING, ingredients, write_pairs
from tests.support import tiny_model, tiny_tokenizer

BLANKS = Blanks.of(tiny_tokenizer())


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return ingredients(tmp_path, WRITING, write_pairs(tmp_path / "pairs", rows=20), head="mlm").data.train


def asking(model, count=4, temperature=2.0, told=None):
    guess = guesses(model)

    def told_guess(shown, is_hidden):
        if told is not None:
            told.append(len(shown.input_ids))
        return guess(shown, is_hidden)

    return Asking(told_guess, BLANKS, count, temperature)


def test_worked_by_hand():
    # Of exp(z / 2) = 4, 1, 3, 2 the best two are 4 and 3; the rest is ln(1 + 2).
    logits = 2 * torch.tensor([[4.0, 1.0, 3.0, 2.0]]).log()
    found = top_words(logits, 2, 2.0)
    assert found.words.tolist() == [[0, 2]]
    assert torch.allclose(found.logits, logits[:, [0, 2]])
    assert found.rest.item() == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-6)
    whole = (found.logits / 2).exp().sum() + found.rest.exp()
    assert whole.item() == pytest.approx((logits / 2).exp().sum().item(), rel=1e-6)


def test_every_word_is_asked_about_in_its_place():
    """The same as hiding, one mask at a time, what shares that mask."""
    model, batch = tiny_model(head="mlm"), many([3, 9, 1])
    found = ask(batch, asking(model))
    whole, is_target = joined(batch.student, batch.labels, BLANKS.pad)
    place = 0
    for row, length in enumerate((3, 9, 1)):
        start = whole.attention_mask[row].sum() - length
        for word in range(length):
            is_hidden = torch.zeros_like(is_target)
            is_hidden[row, start + word % 7 : start + length : 7] = True
            shown = type(whole)(
                whole.input_ids.masked_fill(is_hidden, BLANKS.mask), whole.attention_mask, whole.token_type_ids
            )
            logits = guesses(model)(shown, is_hidden)[word // 7].detach()
            assert torch.equal(found.words[place], logits.topk(4).indices)
            assert torch.allclose(found.logits[place], logits.topk(4).values, atol=1e-4)
            place += 1
    assert place == len(found.words) == len(found.rest)


def test_rows_are_looked_up_by_id_in_any_order(rows):
    model = tiny_model(head="mlm")
    table = ask_all(rows, model, asking(model))
    for batch in rows.epoch(0, 0, 6):
        found, wanted = table(batch.row_ids), ask(batch, asking(model))
        assert len(found.words) == int(batch.labels.ne(IGNORED).sum())
        assert torch.equal(found.words, wanted.words)
        assert torch.allclose(found.logits, wanted.logits, atol=1e-4)
        assert torch.allclose(found.rest, wanted.rest, atol=1e-4)


def test_the_teacher_is_asked_once(rows, tmp_path):
    model, told = tiny_model(head="mlm"), []
    first = ask_all(rows, model, asking(model, told=told))
    asked = len(told)
    again = ask_all(rows, model, asking(model, told=told))
    assert len(told) == asked > 0
    assert torch.equal(first(rows.row_ids).logits, again(rows.row_ids).logits)
    ask_all(rows, model, asking(model, temperature=3.0, told=told))
    assert len(told) == 2 * asked  # the rest is of one temperature
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    ask_all(rows, model, asking(model, told=told))
    assert len(told) == 3 * asked
    stored = sorted((tmp_path / "cache" / "edgedistill").glob("words-*.safetensors"))
    assert len(stored) == 3
    for path in stored:
        path.write_bytes(path.read_bytes()[:100])
    ask_all(rows, model, asking(model, told=told))
    assert len(told) == 4 * asked  # a damaged file is made again
