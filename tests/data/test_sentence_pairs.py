import numpy as np
import pytest
import torch

from edgedistill.data.documents import held_out_sections, load_documents
from edgedistill.data.masking import Masked, vocabulary_of
from edgedistill.data.sentence_pairs import SentencePairs
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import ConfigError
from tests.support import BAD, GOOD, NOUNS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
NUMBERS = [f"{a} {b} {c}" for a in NOUNS for b in (*GOOD, *BAD) for c in ("is", "was", "and")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """6 documents of 60 different paragraphs, 3 tokens or (every third) 19 of them, to be cut into two."""
    path = tmp_path_factory.mktemp("corpus") / "a.txt"
    each = [NUMBERS[60 * d : 60 * (d + 1)] for d in range(6)]
    lines = [["the " * 16 + text if n % 3 == 0 else text for n, text in enumerate(texts)] for texts in each]
    path.write_text("\n\n".join("\n".join(texts) for texts in lines), encoding="utf-8")
    return load_documents(path)


@pytest.fixture(scope="module")
def pairs(corpus):
    return SentencePairs(corpus, TOKENIZER, max_length=28)


def text_of(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module")
def known(corpus):
    """Paragraph number and document of every row, by row id."""
    return dict(zip(corpus["row_id"][:], zip(corpus["paragraph"][:], corpus["document"][:], strict=True), strict=True))


def places(row_id, known):
    """Where the two texts of a pair are from: (paragraph, document, piece) each."""
    found = []
    for name in row_id.split("+"):
        paragraph, _, piece = name.partition(".")
        found.append((*known[paragraph], int(piece or 0)))
    return found


def all_batches(pairs, epoch=0, size=16):
    return list(pairs.epoch(0, epoch, size))


def labelled(pairs, epoch):
    """Id and label of every pair."""
    batches = all_batches(pairs, epoch)
    return [pair for b in batches for pair in zip(b.row_ids, b.next_sentence.tolist(), strict=True)]


def test_what_follows_follows_and_what_does_not_is_of_another_document(pairs, known):
    for epoch in (0, 1):
        for row_id, label in labelled(pairs, epoch):
            (first, own, piece), (second, other, next_piece) = places(row_id, known)
            assert (own == other) == (label == 0)
            if label == 0:
                assert (second, next_piece) in {(first, piece + 1), (first + 1, 0)}


def test_about_half_come_from_elsewhere_and_which_ones_changes(pairs):
    labels = [{row.split("+")[0]: label for row, label in labelled(pairs, epoch)} for epoch in range(2)]
    for found in labels:
        assert len(found) == len(pairs)
        assert sum(found.values()) / len(found) == pytest.approx(0.5, abs=3 * 0.5 / len(found) ** 0.5)
    assert np.mean([labels[0][row] != labels[1][row] for row in labels[0]]) > 0.3


def test_elsewhere_is_anywhere_else(pairs, known):
    found = [places(row, known) for epoch in range(3) for row, label in labelled(pairs, epoch) if label]
    assert {second[1] - first[1] for first, second in found} == set(range(-5, 6)) - {0}


def test_a_pair_is_a_function_of_row_seed_and_epoch(pairs):
    by_row = [
        {row.split("+")[0]: row for b in pairs.epoch(seed, epoch, size) for row in b.row_ids}
        for seed, epoch, size in ((0, 0, 16), (0, 0, 5), (0, 1, 16), (1, 0, 16))
    ]
    assert by_row[0] == by_row[1]  # whatever the batch size
    assert by_row[0] != by_row[2]
    assert by_row[0] != by_row[3]
    one, two = all_batches(pairs), all_batches(pairs)
    assert all(torch.equal(a.student.input_ids, b.student.input_ids) for a, b in zip(one, two, strict=True))


def test_tokens_are_those_of_the_tokenizer(pairs):
    texts = dict(zip(pairs._text_ids, pairs._dataset["text"][:], strict=True))
    for batch in all_batches(pairs):
        for row, name in enumerate(batch.row_ids):
            first, second = (texts[part] for part in name.split("+"))
            wanted = TOKENIZER(first, second)
            size = len(wanted["input_ids"])
            assert size <= 28
            assert batch.student.input_ids[row, :size].tolist() == wanted["input_ids"]
            assert batch.student.token_type_ids[row, :size].tolist() == wanted["token_type_ids"]
            assert batch.student.attention_mask[row].nonzero().flatten().tolist() == list(range(size))
        assert batch.shares_tokens


def test_judged_pairs_are_always_the_same(pairs):
    rows = np.array([3, 50, 7])
    one, alone = pairs.batch(rows), [pairs.batch(rows[n : n + 1]) for n in range(3)]
    assert one.row_ids == tuple(part.row_ids[0] for part in alone) == tuple(pairs.row_ids[row] for row in rows)
    assert one.next_sentence.tolist() == [part.next_sentence.item() for part in alone]
    assert one.student.attention_mask.sum(dim=1).tolist() == pairs.lengths[rows].tolist()
    assert len(pairs.texts) == len(pairs.pairs) == len(pairs.row_ids) == len(pairs)
    assert text_of(one.student.input_ids[0]) == f"{pairs.texts[3]} {pairs.pairs[3]}"


def test_no_text_is_in_two_parts(corpus):
    parts = [SentencePairs(part, TOKENIZER, max_length=28) for part in held_out_sections(corpus, seed=0)]
    seen = [
        {name for epoch in range(3) for b in all_batches(part, epoch) for row in b.row_ids for name in row.split("+")}
        for part in parts
    ]
    assert all(seen)
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_words_are_hidden_in_both_texts_and_the_label_stays(pairs):
    masked = Masked(pairs, vocabulary_of(TOKENIZER, pairs, 0.7))
    plain, hidden = all_batches(pairs), list(masked.epoch(0, 0, 16))
    chosen = {0: 0, 1: 0}
    for one, two in zip(plain, hidden, strict=True):
        assert torch.equal(one.next_sentence, two.next_sentence)
        is_hidden = two.labels.ne(IGNORED)
        assert torch.equal(one.student.input_ids[is_hidden], two.labels[is_hidden])
        for side in chosen:
            chosen[side] += int(is_hidden[one.student.token_type_ids == side].sum())
    assert min(chosen.values()) > 50


def test_texts_that_nothing_follows_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(NUMBERS[:9]), encoding="utf-8")
    with pytest.raises(ConfigError, match="none of 9 texts is followed by another one"):
        SentencePairs(load_documents(tmp_path / "a.txt"), TOKENIZER, max_length=28)


def test_other_tokens_are_refused(corpus):
    with pytest.raises(
        ConfigError, match=r"\[CLS\] one \[SEP\] other \[SEP\], in tokens that teacher and student share"
    ):
        SentencePairs(corpus, TOKENIZER, TOKENIZER, max_length=28)
