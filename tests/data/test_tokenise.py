import numpy as np
import pytest
import tokenizers
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from edgedistill.data.encoding import encode
from edgedistill.data.sources import load_split
from edgedistill.data.tasks import TASKS, Task
from edgedistill.data.tokenise import CUT, IGNORED, rows_sha256, same_tokens, tokenised
from edgedistill.errors import StorageError
from tests.support import tiny_tokenizer, vocabulary, write_jsonl

TAGS = Task(name="tags", kind="tokens", text=("tokens",), label="tags", labels=("O", "X"))


def single(*texts):
    return Dataset.from_dict(
        {
            "row_id": [f"train-{n}" for n in range(len(texts))],
            "text": list(texts),
            "text_pair": [None] * len(texts),
            "label": [0] * len(texts),
        }
    )


def test_ids_are_those_the_artifact_will_read():
    tokenizer = tiny_tokenizer()
    texts = ["the film was great", "a very very very long story, with a dull ending", ""]
    pairs = ["who was it?", "this", "a b c d e f g h i j k"]
    rows = single(*texts).remove_columns("text_pair").add_column("text_pair", pairs)
    found = tokenised(rows, "pair", tokenizer, 12)
    wanted = encode(tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()), texts, pairs, 12)
    assert found["input_ids"][:] == [list(encoding.input_ids) for encoding in wanted]
    assert found["token_type_ids"][:] == [list(encoding.token_type_ids) for encoding in wanted]
    assert max(map(len, found["input_ids"])) == 12


def test_second_time_comes_from_the_cache(monkeypatch):
    rows = single("the cast", "the script")
    first = tokenised(rows, "single", tiny_tokenizer(), 8)
    assert first.cache_files
    tokenizer = tiny_tokenizer()
    monkeypatch.setattr(type(tokenizer), "__call__", lambda *a, **k: pytest.fail("tokenised again"))
    assert tokenised(rows, "single", tokenizer, 8)[:] == first[:]


@pytest.mark.parametrize("change", ["text", "length", "tokenizer"])
def test_whatever_changes_the_ids_changes_the_cache_file(change):
    def cache(text="the plot", length=8, words=None):
        return tokenised(single(text), "single", tiny_tokenizer(words), length).cache_files[0]["filename"]

    other = {"text": {"text": "the Plot"}, "length": {"length": 9}, "tokenizer": {"words": [*vocabulary(), "plots"]}}[
        change
    ]
    assert cache() == cache()
    assert cache() != cache(**other)


def test_a_call_in_between_does_not_change_the_cache_file():
    tokenizer = tiny_tokenizer()
    before = tokenised(single("a scene"), "single", tokenizer, 8).cache_files
    tokenizer(["x y z"], truncation=True, max_length=3, padding="max_length")
    assert tokenised(single("a scene"), "single", tokenizer, 8).cache_files == before


def test_cache_folder_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "file")
    with pytest.raises(StorageError, match=r"a part of the path is a file.*HF_DATASETS_CACHE or HF_HOME"):
        tokenised(single("a"), "single", tiny_tokenizer(), 8)


def squad(tmp_path, context, *spans):
    rows = [
        {"question": "who was it", "context": context, "answers": {"text": [context[a:b]], "answer_start": [a]}}
        for a, b in spans
    ]
    write_jsonl(tmp_path / "train.jsonl", rows)
    return load_split(TASKS["squad"], "train", tmp_path)


def test_spans_point_at_the_answer(tmp_path):
    context = "it was the cast, who was clever and warm"
    spans = [(context.index(a), context.index(a) + len(a)) for a in ("cast", "clever and warm", "it", "leve")]
    tokenizer = tiny_tokenizer()
    found = tokenised(squad(tmp_path, context, *spans), "span", tokenizer, 32)
    texts = [tokenizer.decode(row["input_ids"][slice(row["target"][0], row["target"][1] + 1)]) for row in found]
    assert texts == ["cast", "clever and warm", "it", "clever"]


def test_an_answer_cut_away_or_in_part_is_marked(tmp_path):
    context = "the cast was the cast and the script was dull"
    whole, half, gone = (4, 8), (30, 45), (41, 45)
    found = tokenised(squad(tmp_path, context, whole, half, gone), "span", tiny_tokenizer(), 5 + 8)
    assert found["target"][:] == [[6, 6], [CUT, CUT], [CUT, CUT]]


def test_no_answer_is_the_first_token(tmp_path):
    write_jsonl(
        tmp_path / "train.jsonl", [{"question": "who", "context": "it", "answers": {"text": [], "answer_start": []}}]
    )
    assert tokenised(load_split(TASKS["squad"], "train", tmp_path), "span", tiny_tokenizer(), 8)["target"][:] == [
        [0, 0]
    ]


def test_the_first_piece_of_a_word_gets_its_tag(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"tokens": ["the", "xyz", "film", "ab"], "tags": ["O", "X", "O", "X"]}])
    rows = load_split(TAGS, "train", tmp_path)
    tokenizer = tiny_tokenizer()
    found = tokenised(rows, "tokens", tokenizer, 32)
    assert tokenizer.convert_ids_to_tokens(found["input_ids"][0]) == [
        "[CLS]",
        "the",
        "x",
        "##y",
        "##z",
        "film",
        "a",
        "##b",
        "[SEP]",
    ]
    no = IGNORED
    assert found["target"][:] == [[no, 0, 1, no, no, 0, 1, no, no]]
    assert tokenised(rows, "tokens", tokenizer, 4)["target"][:] == [[no, 0, 1, no]]


def test_a_word_the_tokenizer_drops_takes_no_other_words_tag(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", [{"tokens": ["the", "\u200b", "film"], "tags": ["O", "X", "O"]}])
    found = tokenised(load_split(TAGS, "train", tmp_path), "tokens", tiny_tokenizer(), 32)
    assert found["target"][:] == [[IGNORED, 0, 0, IGNORED]]


def test_same_tokens():
    assert same_tokens(tiny_tokenizer(), tiny_tokenizer())
    assert not same_tokens(tiny_tokenizer(), tiny_tokenizer([*vocabulary(), "films"]))


def test_same_vocabulary_but_another_case_is_another_tokenizer():
    cased = tokenizers.Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    cased.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
    special = {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    other = PreTrainedTokenizerFast(tokenizer_object=cased, **special)
    assert other.get_vocab() == tiny_tokenizer().get_vocab()
    assert not same_tokens(tiny_tokenizer(), other)


def test_sha256_of_rows_is_of_ids_texts_and_labels():
    one = single("a", "b")
    assert rows_sha256(one) == rows_sha256(single("a", "b"))
    assert rows_sha256(one) != rows_sha256(one.select([1, 0]))
    assert rows_sha256(one) != rows_sha256(one.remove_columns("label").add_column("label", [0, 1]))
    assert len(np.unique([rows_sha256(one), rows_sha256(single("a", "c"))])) == 2
