import numpy as np
import pytest
import torch

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.conditional import Blanks, Conditional, covered, joined, random_words, strided_words
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import ConfigError, DataError
from tests.recipes.kitchen import WRITING, ingredients, write_pairs
from tests.support import tiny_tokenizer

MASK, PAD = 4, 0
BLANKS = Blanks(MASK, PAD)


def pairs():
    """[CLS] 10 11 [SEP] to 20 21 22 [SEP], and [CLS] 12 [SEP] to 23 [SEP]."""
    ids = torch.tensor([[2, 10, 11, 3], [2, 12, 3, 0]])
    source = Encoded(ids, ids.ne(PAD).long(), torch.zeros_like(ids))
    return Batch(("a", "b"), source, source, torch.tensor([[20, 21, 22, 3], [23, 3, IGNORED, IGNORED]]))


def many(lengths, sources=5):
    count, width = len(lengths), max(lengths)
    ids = torch.full((count, sources), 10)
    source = Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids))
    target = torch.full((count, width), IGNORED)
    for row, length in enumerate(lengths):
        target[row, :length] = torch.arange(20, 20 + length)
        target[row, length - 1] = 3
    return Batch(tuple(map(str, range(count))), source, source, target)


@pytest.fixture
def rows(tmp_path):
    return ingredients(tmp_path, WRITING, write_pairs(tmp_path / "pairs"), head="mlm").data.train


def test_a_target_follows_its_source_as_the_second_text():
    batch = pairs()
    whole, is_target = joined(batch.student, batch.labels, PAD)
    assert whole.input_ids.tolist() == [[2, 10, 11, 3, 20, 21, 22, 3], [2, 12, 3, 23, 3, 0, 0, 0]]
    assert whole.attention_mask.tolist() == [[1] * 8, [1] * 5 + [0] * 3]
    assert whole.token_type_ids.tolist() == [[0] * 4 + [1] * 4, [0] * 3 + [1] * 2 + [0] * 3]
    assert torch.equal(is_target, whole.token_type_ids.bool())


def test_it_is_what_the_tokenizer_makes_of_the_pair():
    tokenizer = tiny_tokenizer()
    source = tokenizer(["the film", "a dull story"], return_tensors="pt", padding=True)
    written = [tokenizer(text, add_special_tokens=False)["input_ids"] + [3] for text in ("is great", "no")]
    target = torch.tensor([row + [IGNORED] * (3 - len(row)) for row in written])
    whole, _ = joined(Encoded(source["input_ids"], source["attention_mask"], source["token_type_ids"]), target, PAD)
    wanted = tokenizer(["the film", "a dull story"], ["is great", "no"], return_tensors="pt", padding=True)
    assert torch.equal(whole.input_ids, wanted["input_ids"])
    assert torch.equal(whole.token_type_ids, wanted["token_type_ids"])
    assert torch.equal(whole.attention_mask, wanted["attention_mask"])


@pytest.mark.parametrize("lengths", [(1,), (2, 9, 7, 30), (6, 6), (8, 1)])
def test_the_masks_together_cover_every_target_token_once_the_end_included(lengths):
    batch = many(lengths)
    whole, is_target = joined(batch.student, batch.labels, PAD)
    masks = list(strided_words(is_target))
    assert len(masks) == min(7, max(lengths))
    assert torch.equal(torch.stack(masks).sum(0), is_target.long())
    for row, length in enumerate(lengths):
        most = max(int(mask[row].sum()) for mask in masks)
        assert most == -(-length // 7)  # a seventh at a time; short targets token by token
    assert all(whole.input_ids[is_target][batch.labels[batch.labels.ne(IGNORED)].eq(3)].eq(3))


def test_a_batch_is_covered_row_by_row():
    batch = pairs()
    words, seen = batch.labels[batch.labels.ne(IGNORED)], []
    for shown, is_hidden, numbers in covered(batch, BLANKS):
        assert is_hidden.any(dim=1).all()
        assert shown.input_ids[is_hidden].eq(MASK).all()
        assert int(shown.input_ids.eq(MASK).sum()) == len(numbers)
        seen += list(zip(numbers.tolist(), words[numbers].tolist(), strict=True))
    assert sorted(seen) == list(enumerate(words.tolist()))
    first = next(covered(batch, BLANKS))
    assert first[0].input_ids.tolist() == [[2, 10, 11, 3, MASK, 21, 22, 3], [2, 12, 3, MASK, 3, 0, 0, 0]]
    assert first[2].tolist() == [0, 4]


def test_words_are_hidden_with_the_same_chance_and_at_least_one():
    _, is_target = joined(many([20] * 3000).student, many([20] * 3000).labels, PAD)
    chosen = random_words(is_target, 0.15, np.random.default_rng(0))
    assert not (chosen & ~is_target).any()
    assert chosen.any(dim=1).all()
    share = chosen[is_target].double().mean().item()
    assert share == pytest.approx(0.15 / (1 - 0.85**20), abs=0.005)  # given that there is one
    assert chosen[:, -1].double().mean().item() == pytest.approx(share, abs=0.02)  # the end like any other
    _, short = joined(many([1] * 50).student, many([1] * 50).labels, PAD)
    assert torch.equal(random_words(short, 0.01, np.random.default_rng(0)), short)


def test_epochs_hide_other_words_and_nothing_of_the_source(rows):
    conditional = Conditional(rows, Blanks.of(tiny_tokenizer()))
    first, again, other = (list(conditional.epoch(1, epoch, 8)) for epoch in (0, 0, 1))
    assert len(conditional) == len(rows) == sum(map(len, first))
    assert all(torch.equal(a.student.input_ids, b.student.input_ids) for a, b in zip(first, again, strict=True))
    assert {row for batch in first for row in batch.row_ids}.isdisjoint(row for batch in other for row in batch.row_ids)
    for batch in first:
        is_hidden = batch.labels.ne(IGNORED)
        assert is_hidden.any(dim=1).all()
        assert batch.student.token_type_ids[is_hidden].all()
        assert torch.equal(batch.student.input_ids.eq(MASK), is_hidden)


def test_rows_without_texts_or_of_other_tokens_are_refused():
    batch = pairs()
    with pytest.raises(DataError, match="no texts to learn to write"):
        next(covered(Batch(batch.row_ids, batch.student, batch.student), BLANKS))
    with pytest.raises(ConfigError, match="share a tokenizer"):
        next(covered(Batch(batch.row_ids, batch.student, pairs().student, batch.labels), BLANKS))
