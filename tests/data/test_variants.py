import numpy as np
import pytest
import torch

from edgedistill.data.candidates import Together, find_candidates, masked_lm
from edgedistill.data.replaceable import STOP_WORDS
from edgedistill.data.variants import How, Variants, vary
from edgedistill.data.vectors import WordTable
from edgedistill.errors import ConfigError, DataError
from tests.support import FILLERS, TinyRows, save_checkpoint, tiny_model, tiny_tokenizer, vocabulary

WORDS = vocabulary()
MLM = tiny_model(head="mlm")


class Texts(TinyRows):
    """Rows of given texts, or pairs of them."""

    def __init__(self, *texts):
        from edgedistill.data.batches import Encoded

        tokens = tiny_tokenizer()(list(texts), return_tensors="pt", padding=True)
        self._tokens = Encoded(tokens["input_ids"], tokens["attention_mask"], tokens["token_type_ids"])
        self._labels = torch.arange(len(texts))


def found(rows, has_guesses=True, count=5):
    return find_candidates(rows, tiny_tokenizer(), MLM, count, has_guesses=has_guesses)


def variants(rows, copies=3, share=0.4, has_guesses=True, keeps_labels=False, seed=0):
    how = How(copies, share, seed, keeps_labels)
    return Variants(rows, lambda: found(rows, has_guesses), how)


def texts(rows, epoch=0, batch_size=16):
    """Every text by its row's id."""
    tokenizer, seen = tiny_tokenizer(), {}
    for batch in rows.epoch(0, epoch, batch_size):
        for row, ids, mask in zip(batch.row_ids, batch.student.input_ids, batch.student.attention_mask, strict=True):
            assert row not in seen
            seen[row] = tokenizer.decode(ids[mask.bool()])
    return seen


@pytest.mark.parametrize("has_guesses", [True, False])
def test_words_and_their_candidates(has_guesses):
    rows = Texts("the great films was dull .", "q is in it")
    some = found(rows, has_guesses)
    assert some.row_ids == ("train-0", "train-1")
    # [CLS] the great film ##s was dull . [SEP]: stop words, single letters, marks and specials are left alone.
    assert some.places.tolist() == [[2, 3, 0], [3, 5, 0], [6, 7, 0]]
    assert some.offsets.tolist() == [0, 3, 3]
    for row, own in zip(some.table.tolist(), ("great", None, "dull"), strict=True):
        names = {WORDS[token] for token in row}
        assert len(names) == 5
        assert own not in names
        assert all(len(name) > 1 and name.isalpha() and name not in STOP_WORDS for name in names)


def test_a_single_piece_gets_the_masked_lms_guesses_and_others_their_neighbours():
    rows = Texts("the great films was dull .")
    guessed, near = found(rows), found(rows, has_guesses=False)
    tokens = next(rows.all(1)).student
    hidden = tokens.input_ids.clone()
    hidden[0, 2] = WORDS.index("[MASK]")
    logits = MLM(hidden, attention_mask=tokens.attention_mask).logits[0, 2].detach()
    allowed = [n for n, word in enumerate(WORDS) if len(word) > 1 and word.isalpha() and word not in STOP_WORDS]
    best = sorted(set(allowed) - {WORDS.index("great")}, key=lambda token: -float(logits[token]))[:5]
    assert guessed.table[0].tolist() == best
    assert torch.equal(guessed.table[1], near.table[1])
    table = MLM.get_input_embeddings().weight.detach()
    vector = (table[WORDS.index("film")] + table[WORDS.index("##s")]) / 2
    likeness = torch.cosine_similarity(vector[None], table[allowed], dim=1)
    assert near.table[1].tolist() == [allowed[place] for place in likeness.topk(5).indices]


def test_processes_share_the_work_and_find_what_one_finds(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr("edgedistill.data.candidates._BATCH", 1)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "together")
    rows, told = Texts("the great films was dull .", "a bad plot", "dull dull film"), {}
    for process in range(3):
        told[process] = []
        own = told[process]
        # What a process gives for the sum, and none of it ever stored: a cache that one machine lacks is not read.
        shares = Together(process, 3, lambda given, own=own: own.append(given.clone()) or given)
        find_candidates(rows, tiny_tokenizer(), MLM, 5, has_guesses=True, together=shares)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "alone")
    alone, asked = found(rows), torch.stack([given[-1] for given in told.values()])
    single = asked.sum(0).any(1)
    assert torch.equal(asked.sum(0)[single], alone.table[single])
    assert [int(part.any(1).sum()) for part in asked] == [2, 2, 2], "each process asked about its share alone"


def test_vectors_of_a_file_come_before_the_embeddings():
    rows = Texts("the great films was dull .")
    random = np.random.default_rng(0)
    known = ("films", "great", "plot", "dull", "cast", "warm", "grim")
    vectors = random.normal(size=(7, 3)).astype(np.float32)
    vectors[known.index("films")] = 2 * vectors[known.index("grim")] + 0.01
    with_file = find_candidates(
        rows, tiny_tokenizer(), MLM, 3, has_guesses=True, vectors=WordTable(known, vectors, is_lowercase=True)
    )
    assert WORDS[with_file.table[1, 0]] == "grim"  # "film ##s" has a vector of its own
    assert {WORDS[token] for token in with_file.table[1].tolist()} <= set(known) - {"films"}
    assert torch.equal(with_file.table[[0, 2]], found(rows, count=3).table[[0, 2]])  # single pieces: the masked-LM's
    without = WordTable(known[1:], vectors[1:], is_lowercase=True)
    other = find_candidates(rows, tiny_tokenizer(), MLM, 3, has_guesses=True, vectors=without)
    assert torch.equal(other.table, found(rows, count=3).table)  # a word the file lacks: its pieces' embeddings


def test_a_file_of_too_few_words_is_refused():
    vectors = WordTable(("great", "film"), np.eye(2, dtype=np.float32), is_lowercase=True)
    with pytest.raises(DataError, match="2 of the vocabulary's words have a vector in the file, 5 candidates"):
        find_candidates(Texts("great film"), tiny_tokenizer(), MLM, 5, has_guesses=False, vectors=vectors)


def test_candidates_are_looked_for_once(monkeypatch):
    rows = Texts("the great cast was warm")
    first = found(rows)

    def refuse(*_):
        raise AssertionError("asked again")

    monkeypatch.setattr("edgedistill.data.candidates._neighbours", refuse)
    assert torch.equal(found(rows).table, first.table)
    with pytest.raises(AssertionError, match="asked again"):
        found(Texts("the great cast was grim"))


def test_fewer_words_than_candidates():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "great", "film", "the"]
    tokens = tiny_tokenizer()(["great film"], return_tensors="pt")
    rows = Texts("great film")
    rows._tokens.input_ids[:] = torch.tensor([[2, 5, 6, 3]])
    assert tokens["input_ids"].shape == (1, 4)
    some = find_candidates(rows, tiny_tokenizer(words), tiny_model(head="mlm"), 15, has_guesses=False)
    assert some.table.tolist() == [[6], [5]]


def test_as_many_rows_as_said_each_once_and_originals_as_they_are():
    rows = TinyRows(12)
    some = variants(rows)
    seen = texts(some)
    assert len(seen) == len(some) == 48
    plain = {row: tiny_tokenizer().decode(ids[ids > 0]) for row, ids in zip(
        (f"train-{n}" for n in range(12)), rows._tokens.input_ids, strict=True)}  # fmt: skip
    assert {row: text for row, text in seen.items() if "~" not in row} == plain
    assert sum(seen[f"{row}~{n}"] != plain[row] for row in plain for n in (1, 2, 3)) > 18


def test_share_0_gives_the_input_only():
    seen = texts(variants(TinyRows(12), share=0.0))
    assert all(text == seen[row.partition("~")[0]] for row, text in seen.items())


def test_words_stay_as_many_and_stop_words_stay():
    seen = texts(variants(Texts("the great films was dull .", "a clever story is in it"), copies=20, share=0.9))
    for row, text in seen.items():
        original = seen[row.partition("~")[0]].split()
        assert len(text.split()) == len(original)
        pairs = zip(text.split(), original, strict=True)
        assert all(new == old for new, old in pairs if old in {*FILLERS, ".", "[CLS]", "[SEP]"})
    assert any(len(text.split()) == 8 and text.split()[3] != "films" for text in seen.values())


def test_each_pass_has_batches_of_its_own():
    rows = variants(TinyRows(12))
    assert sum(rows.sizes) == len(rows)
    assert sum(-(-size // 5) for size in rows.sizes) == len(list(rows.epoch(0, 0, 5)))


def test_a_variant_is_the_same_in_every_epoch_batch_and_run():
    rows = TinyRows(12)
    first = texts(variants(rows))
    assert texts(variants(rows), epoch=3) == first
    assert texts(variants(rows), batch_size=5) == first
    assert texts(variants(rows, seed=1)) != first


def test_one_side_of_a_pair_changes_beside_the_other_as_it_was():
    seen = texts(variants(Texts(("the great film was dull", "a warm story is grim")), copies=30, share=0.9))
    first, second = (part.strip() for part in seen["train-0"].split("[SEP]")[:2])
    sides = [tuple(part.strip() for part in text.split("[SEP]")[:2]) for row, text in seen.items() if "~" in row]
    assert all(a == first or b == second for a, b in sides)
    assert any(a != first for a, _ in sides)
    assert any(b != second for _, b in sides)


def test_token_types_and_padding_follow_a_shorter_text():
    ids, types = torch.tensor([2, 9, 10, 11, 3, 12, 3]), torch.tensor([0, 0, 0, 0, 0, 1, 1])
    places, table = torch.tensor([[1, 4, 0]]), torch.tensor([[20]])
    new, kinds = vary(ids, types, places, table, 1.0, np.random.default_rng(0))
    assert new.tolist() == [2, 20, 3, 12, 3]
    assert kinds.tolist() == [0, 0, 0, 1, 1]
    for batch in variants(Texts("the films", "a warm story is grim"), copies=5, share=1.0).epoch(0, 0, 2):
        assert batch.shares_tokens
        real = batch.student.attention_mask.bool()
        assert (batch.student.input_ids[~real] == 0).all()
        assert (batch.student.input_ids[real] != 0).all()


def test_labels_are_left_out_or_kept():
    assert all(batch.labels is None for batch in variants(TinyRows(4)).epoch(0, 0, 4))
    rows = TinyRows(4)
    for batch in variants(rows, keeps_labels=True).epoch(0, 0, 4):
        numbers = [int(row.partition("~")[0].removeprefix("train-")) for row in batch.row_ids]
        assert batch.labels.tolist() == rows._labels[numbers].tolist()


def test_a_masked_lm_must_guess_words_of_the_same_tokens(tmp_path):
    tokenizer = tiny_tokenizer()
    path = save_checkpoint(tmp_path / "mlm", MLM)
    assert masked_lm(path, tokenizer).kind == "mlm"
    with pytest.raises(ConfigError, match="no masked-word head"):
        masked_lm(save_checkpoint(tmp_path / "other", tiny_model()), tokenizer)
    with pytest.raises(ConfigError, match="other tokens than the student"):
        masked_lm(path, tiny_tokenizer([*vocabulary()[:-1], "zebra"]))
