from dataclasses import replace

import pytest
import torch

from edgedistill.data.augment import Replaced, neighbours
from edgedistill.data.batches import Encoded
from edgedistill.errors import ConfigError
from tests.support import BAD, GOOD, TinyRows, tiny_tokenizer, vocabulary

WORDS = vocabulary()
ROWS = TinyRows(64)


def embeddings():
    """Good words lie on one ray, bad ones on another, everything else anywhere."""
    random = torch.Generator().manual_seed(0)
    table = torch.randn(len(WORDS), 8, generator=random)
    for words, axis in ((GOOD, 0), (BAD, 1)):
        for word in words:
            table[WORDS.index(word)] = 0.01 * torch.randn(8, generator=random)
            table[WORDS.index(word), axis] = 5.0
    return table


def replaced(share=0.5):
    return Replaced(ROWS, neighbours(embeddings(), tiny_tokenizer(), ROWS, count=5), share)


def all_ids(rows, epoch=0):
    return torch.cat([batch.student.input_ids for batch in rows.epoch(0, epoch, 16)])


def test_neighbours_are_the_nearest_other_words():
    found = neighbours(embeddings(), tiny_tokenizer(), ROWS, count=5)
    for word in (*GOOD[:2], *BAD[:2]):
        near = {WORDS[number] for number in found.table[WORDS.index(word)].tolist()}
        assert near <= set(GOOD if word in GOOD else BAD)
        assert word not in near
    assert not found.is_word[[WORDS.index(token) for token in ("[CLS]", "[SEP]", "##s", ".", "q")]].any()


def test_only_whole_words_change_and_shapes_stay():
    before, after = all_ids(ROWS), all_ids(replaced())
    changed = before != after
    assert 0.2 < changed.sum() / (before > 4).sum() < 0.6
    specials = torch.tensor([WORDS.index(token) for token in ("[PAD]", "[CLS]", "[SEP]")])
    assert not (changed & torch.isin(before, specials)).any()
    for batch in replaced().epoch(0, 0, 16):
        assert batch.shares_tokens
        assert batch.labels is None


def test_pieces_of_words_are_left_alone():
    similar = neighbours(embeddings(), tiny_tokenizer(), ROWS, count=5)
    great, piece = WORDS.index("great"), WORDS.index("##s")
    ids = torch.tensor([[2, great, piece, great, 3]] * 64)
    tokens = Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids))
    batch = replace(ROWS.batch(torch.arange(64)), student=tokens, teacher=tokens)

    class One:
        def __len__(self):
            return 64

        def epoch(self, *_):
            yield batch

    (found,) = Replaced(One(), similar, 0.5).epoch(0, 0, 64)
    assert (found.student.input_ids[:, 1] == great).all()
    assert (found.student.input_ids[:, 3] != great).any()


def test_same_seed_and_epoch_give_the_same_words_others_do_not():
    assert torch.equal(all_ids(replaced()), all_ids(replaced()))
    assert not torch.equal(all_ids(replaced(), epoch=1), all_ids(replaced(), epoch=2))
    assert torch.equal(all_ids(replaced(share=0.0)), all_ids(ROWS))


def test_two_tokenizers_are_refused():
    class Two:
        def epoch(self, *_):
            batch = ROWS.batch(torch.arange(4))
            yield replace(batch, teacher=Encoded(*vars(batch.student).values()))

    similar = neighbours(embeddings(), tiny_tokenizer(), ROWS, count=5)
    with pytest.raises(ConfigError, match="share a tokenizer"):
        next(Replaced(Two(), similar, 0.5).epoch(0, 0, 4))


class FewWords:
    """A tokenizer of which only so many entries are words: the others are like characters or numbers."""

    def __init__(self, words):
        self._names = [word if word in words else "1" for word in WORDS]

    def __len__(self):
        return len(self._names)

    def convert_ids_to_tokens(self, ids):
        return [self._names[one] for one in ids]


def test_fewer_words_than_neighbours_stand_for_each_other_only():
    words = GOOD[:3]
    found = neighbours(embeddings(), FewWords(words), ROWS, count=15)
    for word in words:
        ids = found.table[WORDS.index(word)].tolist()
        assert {WORDS[one] for one in ids} == set(words) - {word}


@pytest.mark.parametrize("words", [(), GOOD[:1]])
def test_without_other_words_nothing_is_replaced(words):
    rows = Replaced(ROWS, neighbours(embeddings(), FewWords(words), ROWS), 0.5)
    assert torch.equal(all_ids(rows), all_ids(ROWS))
