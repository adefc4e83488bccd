"""Cut vocabularies: what is kept, how text is then split, and how a cut one is told from another."""

import random

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from edgedistill.data.tokenise import behaviour, same_tokens
from edgedistill.data.vocabulary import VocabularyConfig, chosen, cut, entries_of, share_kept
from edgedistill.errors import ConfigError
from tests.support import LETTERS, MARKS, SPECIALS, sentences, tiny_tokenizer, vocabulary

TEXTS = [text for text, _ in sentences(40)]


@pytest.fixture
def whole():
    """Words that share beginnings and ends, so that a cut one is split in many ways."""
    more = ["film", "films", "##ilm", "##ms", "##lm", "stor", "##ory", "scri", "##pt", "##ipt", "##reat", "gr"]
    return tiny_tokenizer(list(dict.fromkeys([*SPECIALS[:1], "[unused1]", *SPECIALS[1:], *vocabulary()[5:], *more])))


def counts_of(tokenizer, texts):
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    for ids in tokenizer(texts)["input_ids"]:
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def cut_to(tokenizer, texts, **how):
    kept = chosen(tokenizer, counts_of(tokenizer, texts), VocabularyConfig(**how))
    return kept, cut(tokenizer, kept)


def gibberish(count, seed=0):
    """Words of letters, whole words of the vocabulary run together, and marks."""
    choose = random.Random(seed)
    parts = [*vocabulary()[5:], *"abcdefgh"]
    return [
        "".join(choose.choice(parts).removeprefix("##") for _ in range(choose.randrange(1, 6))) for _ in range(count)
    ]


def test_text_it_was_cut_to_is_split_as_before(whole):
    kept, made = cut_to(whole, TEXTS)
    assert len(made) < len(whole)
    for text in TEXTS:
        assert made.tokenize(text) == whole.tokenize(text)
        assert [int(kept[number]) for number in made(text)["input_ids"]] == whole(text)["input_ids"]


@pytest.mark.parametrize("how", [{}, {"coverage": 0.5}, {"size": 110}, {"coverage": 0.01}])
def test_nothing_gets_an_unknown_that_had_none(whole, how):
    _, made = cut_to(whole, TEXTS, **how)
    for text in [*TEXTS, *gibberish(400)]:
        before, after = whole.tokenize(text), made.tokenize(text)
        assert before.count("[UNK]") == after.count("[UNK]")
        assert "".join(piece.removeprefix("##") for piece in before) == "".join(p.removeprefix("##") for p in after)


def test_every_cut_of_a_text_reads_more_and_shorter_pieces_of_the_same_vocabulary(whole):
    texts = gibberish(200, seed=1)
    sizes = [sum(len(each.tokenize(text)) for text in texts) for each in (whole, *(
        cut_to(whole, TEXTS, coverage=share)[1] for share in (1.0, 0.6, 0.2)
    ))]  # fmt: skip
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_special_tokens_come_first_and_ids_have_no_gaps(whole):
    kept, made = cut_to(whole, TEXTS)
    assert [made.convert_ids_to_tokens(number) for number in range(5)] == list(SPECIALS)
    assert sorted(made.get_vocab().values()) == list(range(len(made))) == list(range(len(kept)))
    assert (made.pad_token_id, made.unk_token_id, made.cls_token_id) == (0, 1, 2)
    assert "[unused1]" not in made.get_vocab()
    found = made("the film", "who was it")
    assert found["input_ids"][0] == made.cls_token_id
    assert [found["token_type_ids"][0], found["token_type_ids"][-1]] == [0, 1]
    assert made.convert_ids_to_tokens(found["input_ids"])[-1] == "[SEP]"
    ordinary = kept[5:]
    assert (np.diff(ordinary) > 0).all()  # in the teacher's order


def test_the_most_frequent_are_kept_and_ties_go_to_the_lower_id(whole):
    counts = np.zeros(len(whole), dtype=np.int64)
    ids = whole.get_vocab()
    counts[[ids["great"], ids["dull"], ids["plot"], ids["cast"]]] = (5, 9, 5, 2)
    base = len(chosen(whole, np.zeros_like(counts), VocabularyConfig()))
    assert base == 5 + 2 * len(LETTERS) + len(MARKS)
    for extra, words in ((1, {"dull"}), (2, {"dull", "great"}), (3, {"dull", "great", "plot"})):
        found = chosen(whole, counts, VocabularyConfig(size=base + extra))
        named = {whole.convert_ids_to_tokens(int(number)) for number in found}
        assert named & {"great", "dull", "plot", "cast"} == words


def test_coverage_is_the_share_of_tokens_and_no_more_entries_than_it_takes(whole):
    counts = counts_of(whole, TEXTS)
    for share in (0.5, 0.7, 0.95, 1.0):
        kept = chosen(whole, counts, VocabularyConfig(coverage=share))
        assert share_kept(counts, kept, whole) >= share
        words = [number for number in kept[5:] if len(whole.convert_ids_to_tokens(int(number))) > 3]
        rarest = min(words, key=lambda number: (counts[number], -number))
        assert share_kept(counts, kept[kept != rarest], whole) < share
    assert share_kept(counts, chosen(whole, counts, VocabularyConfig()), whole) == 1.0


def test_special_tokens_do_not_count_as_covered(whole):
    counts = np.zeros(len(whole), dtype=np.int64)
    counts[whole.cls_token_id], counts[whole.get_vocab()["great"]] = 1000, 1
    assert share_kept(counts, np.arange(6), whole) == 0.0
    assert whole.get_vocab()["great"] in chosen(whole, counts, VocabularyConfig(coverage=0.5))


def test_only_characters_of_the_text(whole):
    texts = ["a dull film", "great"]
    _, made = cut_to(whole, texts, characters="seen")
    assert len(made) < len(cut_to(whole, texts)[1])
    for text in texts:
        assert made.tokenize(text) == whole.tokenize(text)
    assert "z" not in made.get_vocab()
    assert made.tokenize("madam z") == [*whole.tokenize("madam"), "[UNK]"] or "[UNK]" in made.tokenize("madam z")


def test_what_characters_cannot_spell_is_kept():
    words = [*vocabulary(), "süß", "ß", "##über", "##ü"]
    tokenizer = tiny_tokenizer(words)
    kept = chosen(tokenizer, np.zeros(len(tokenizer), dtype=np.int64), VocabularyConfig())
    named = set(tokenizer.convert_ids_to_tokens(kept.tolist()))
    assert {"süß", "ß", "##ü"} <= named  # of süß no ##ß is there
    assert "##über" not in named
    assert "story" not in named


def test_it_is_the_same_every_time(whole):
    first, second = cut_to(whole, TEXTS, coverage=0.8), cut_to(whole, TEXTS, coverage=0.8)
    assert (first[0] == second[0]).all()
    assert behaviour(first[1]) == behaviour(second[1])
    assert behaviour(first[1]) != behaviour(whole)


def test_a_saved_one_reads_as_before(whole, tmp_path):
    from transformers import AutoTokenizer

    _, made = cut_to(whole, TEXTS)
    made.save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    assert same_tokens(read, made)
    assert read.mask_token_id == 4
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).get_vocab_size() == len(made)


def test_truncation_does_not_hide_what_was_cut(whole):
    whole("the film", truncation=True, max_length=4)
    kept, made = cut_to(whole, TEXTS)
    assert (entries_of(made, whole) == kept).all()
    made("the film", truncation=True, max_length=8)
    assert (entries_of(made, whole) == kept).all()


@pytest.mark.parametrize("processor", ["bert", "template", "none"])
def test_every_way_of_framing_a_text_is_renumbered(whole, processor):
    ids = whole.get_vocab()
    framings = {
        "bert": processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])),
        "template": processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=None, special_tokens=[(n, ids[n]) for n in ("[CLS]", "[SEP]")]
        ),
    }
    backend = Tokenizer.from_str(whole.backend_tokenizer.to_str())
    if processor in framings:
        backend.post_processor = framings[processor]
    plain = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")
    kept, made = cut_to(plain, TEXTS)
    for text in TEXTS[:5]:
        assert [int(kept[number]) for number in made(text)["input_ids"]] == plain(text)["input_ids"]
    assert (entries_of(made, plain) == kept).all()


def test_added_tokens_stay(whole):
    whole.add_tokens(["covid19"])
    kept, made = cut_to(whole, TEXTS)
    assert "covid19" in made.get_vocab()
    assert made.tokenize("a covid19 film") == whole.tokenize("a covid19 film")
    assert (entries_of(made, whole) == kept).all()


def test_other_tokenizers_are_no_cuts(whole):
    assert entries_of(tiny_tokenizer([*vocabulary(), "another"]), whole) is None
    backend = Tokenizer.from_str(cut_to(whole, TEXTS)[1].backend_tokenizer.to_str())
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    assert entries_of(PreTrainedTokenizerFast(tokenizer_object=backend), whole) is None
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    assert entries_of(words, whole) is None
    assert entries_of(whole, words) is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": 10}, r"10 entries cannot hold the 5 special tokens and the 8\d characters .* more than 8\d"),
        ({"size": 80}, r"vocabulary\.characters=seen"),
        ({"size": 10_000}, r"no cut, the teacher has 1\d\d"),
    ],
)
def test_sizes_that_cannot_be(whole, how, message):
    with pytest.raises(ConfigError, match=message):
        cut_to(whole, TEXTS, **how)


@pytest.mark.parametrize("model", [models.BPE(), models.Unigram([("a", 0.0)])])
def test_only_wordpiece_can_be_cut(model):
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model))
    with pytest.raises(ConfigError, match="only WordPiece can be cut"):
        chosen(other, np.zeros(1, dtype=np.int64), VocabularyConfig())


def test_ids_with_gaps_are_refused():
    gap = tiny_tokenizer()
    backend = models.WordPiece({"[UNK]": 0, "a": 7}, unk_token="[UNK]")
    gap = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(backend))
    with pytest.raises(ConfigError, match="have gaps"):
        chosen(gap, np.zeros(8, dtype=np.int64), VocabularyConfig())
