import numpy as np
import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.data.masking import Masked, Vocabulary, hide, vocabulary_of
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import CheckpointError, ConfigError
from tests.support import TinyRows, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SPECIAL = torch.tensor(sorted(TOKENIZER.all_special_ids))


def many(rows=400, width=40, pads=10, seed=0):
    """Rows of ordinary tokens between [CLS] and [SEP], the last `pads` of them padding."""
    ids = torch.randint(5, len(TOKENIZER), (rows, width), generator=torch.Generator().manual_seed(seed))
    ids[:, 0], ids[:, width - pads - 1], ids[:, width - pads :] = 2, 3, 0
    mask = (torch.arange(width) < width - pads).long().expand(rows, -1)
    return Encoded(ids, mask, torch.zeros_like(ids))


def test_as_many_as_asked_are_chosen_and_never_a_special_token_or_padding():
    tokens = many()
    hidden, labels = hide(tokens, vocabulary_of(TOKENIZER), 0.15, np.random.default_rng(0))
    chosen = labels.ne(IGNORED)
    assert chosen.sum(dim=1).eq(round(0.15 * 28)).all()
    assert not torch.isin(tokens.input_ids[chosen], SPECIAL).any()
    assert torch.equal(labels[chosen], tokens.input_ids[chosen])
    assert torch.equal(hidden.input_ids[~chosen], tokens.input_ids[~chosen])


def test_of_the_chosen_80_10_10():
    tokens = many(rows=4000)
    hidden, labels = hide(tokens, vocabulary_of(TOKENIZER), 0.5, np.random.default_rng(0))
    chosen = labels.ne(IGNORED)
    shown, was = hidden.input_ids[chosen], labels[chosen]
    count = len(was)
    masked, same = shown.eq(TOKENIZER.mask_token_id).sum() / count, shown.eq(was).sum() / count
    assert masked == pytest.approx(0.8, abs=0.01)
    assert same == pytest.approx(0.1 + 0.1 / (len(TOKENIZER) - 5), abs=0.01)
    others = shown[shown.ne(TOKENIZER.mask_token_id)]
    assert not torch.isin(others, SPECIAL).any()


def test_every_row_has_one_and_a_row_of_special_tokens_none():
    ids = torch.tensor([[2, 9, 3, 0], [2, 3, 0, 0]])
    tokens = Encoded(ids, ids.ne(0).long(), torch.zeros_like(ids))
    _, labels = hide(tokens, vocabulary_of(TOKENIZER), 0.01, np.random.default_rng(0))
    assert labels.ne(IGNORED).sum(dim=1).tolist() == [1, 0]


def test_rare_words_are_chosen_in_proportion_to_their_weight():
    """One of two tokens is chosen: the one of weight 3 three times as often as the one of weight 1."""
    ids = torch.tensor([[2, 5, 6, 3]]).repeat(8000, 1)
    weights = torch.zeros(len(TOKENIZER))
    weights[5], weights[6] = 3.0, 1.0
    vocabulary = Vocabulary(4, torch.arange(5, 20), weights)
    _, labels = hide(
        Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids)), vocabulary, 0.5, np.random.default_rng(0)
    )
    assert labels[:, 1].ne(IGNORED).double().mean() == pytest.approx(0.75, abs=0.02)


def test_smoothing_counts_the_rows_own_tokens():
    rows = TinyRows(32)
    counts = torch.zeros(len(TOKENIZER))
    for batch in rows.all(8):
        for token in batch.student.input_ids[batch.student.attention_mask.bool()].tolist():
            counts[token] += 1
    weights = vocabulary_of(TOKENIZER, rows, smoothing=0.7).weights
    ordinary = torch.ones(len(TOKENIZER), dtype=torch.bool)
    ordinary[SPECIAL] = False
    assert torch.allclose(weights[ordinary], counts.clamp(min=1)[ordinary] ** -0.7)
    assert weights[SPECIAL].eq(0).all()


def test_masks_change_with_the_epoch_and_nothing_else():
    masked = Masked(TinyRows(16), vocabulary_of(TOKENIZER))
    first, again, later = ([b.student.input_ids for b in masked.epoch(0, epoch, 8)] for epoch in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    batches = list(masked.epoch(0, 1, 8))
    assert all(name.endswith("~1") for name in batches[0].row_ids)
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, later, strict=True))
    assert batches[0].shares_tokens


def test_a_judged_rows_mask_does_not_depend_on_its_neighbours():
    masked = Masked(TinyRows(16), vocabulary_of(TOKENIZER))
    together = masked.batch(torch.tensor([3, 5, 7]))
    for place, row in enumerate((3, 5, 7)):
        alone = masked.batch(torch.tensor([row]))
        assert torch.equal(alone.labels[0], together.labels[place, : alone.labels.shape[1]])
        assert torch.equal(alone.student.input_ids[0], together.student.input_ids[place, : alone.labels.shape[1]])


def test_other_tokens_for_the_teacher_are_refused():
    class Apart(TinyRows):
        def batch(self, rows):
            made = super().batch(rows)
            return type(made)(made.row_ids, made.student, many(len(made)), made.labels)

    with pytest.raises(ConfigError, match="share a tokenizer"):
        next(Masked(Apart(8), vocabulary_of(TOKENIZER)).epoch(0, 0, 4))


def test_a_tokenizer_without_a_mask_token_is_refused():
    class Bare:
        mask_token_id, name_or_path = None, "some/gpt"

    with pytest.raises(CheckpointError, match="'some/gpt' has no mask token"):
        vocabulary_of(Bare())
