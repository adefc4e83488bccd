import gzip

import pytest

from edgedistill.data.corpus import held_out, in_pieces, load_corpus
from edgedistill.errors import DataError
from tests.support import tiny_tokenizer

TEXT = "First paragraph.\n\n  Second, with caf\u00e9.  \r\n\nThird.\n"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_paragraph_a_line(tmp_path, name):
    data = TEXT.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert load_corpus(tmp_path / name)[:] == {
        "row_id": ["corpus-0", "corpus-1", "corpus-2"],
        "text": ["First paragraph.", "Second, with caf\u00e9.", "Third."],
        "text_pair": [None] * 3,
        "label": [None] * 3,
    }


def test_limit(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"line {n}" for n in range(100)))
    found = load_corpus(tmp_path / "a.txt", limit=5)
    assert len(found) == 5
    assert all(row["text"] == f"line {row['row_id'].removeprefix('corpus-')}" for row in found)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"fine\nno\0text\n", r"a.txt, line 2: It holds zero bytes"),
        ("a.txt", b"fine\ncaf\xe9\n", r"a.txt, line 2: not UTF-8 \(byte 0xe9 at position 4\). Convert it: iconv"),
        ("a.txt", b"\n  \n", "holds no text. Give a text file with a paragraph on every line"),
        ("a.txt", b"", "holds no text"),
        ("a.csv", b"x", "is no .txt or .txt.gz file"),
    ],
)
def test_wrong_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        load_corpus(tmp_path / name)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no file"):
        load_corpus(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"is no \.txt"):
        load_corpus(tmp_path)


WORDS = "the film was great and the story dull but the cast lovely ."


def test_long_paragraphs_are_cut_at_words_and_no_text_is_lost(tmp_path):
    tokenizer = tiny_tokenizer()
    (tmp_path / "a.txt").write_text(f"{WORDS}\nthe plot\n{'q' * 40} superb\n", encoding="utf-8")
    found = in_pieces(load_corpus(tmp_path / "a.txt"), tokenizer, max_length=8)
    assert found["row_id"][:4] == ["corpus-0.0", "corpus-0.1", "corpus-0.2", "corpus-1"]
    assert found["text"][:4] == ["the film was great and the", "story dull but the cast lovely", ".", "the plot"]
    assert all(len(tokenizer(text)["input_ids"]) <= 8 for text in found["text"])
    assert "".join(found["text"]).replace(" ", "") == (WORDS + "the plot" + "q" * 40 + "superb").replace(" ", "")
    assert found.features == load_corpus(tmp_path / "a.txt").features


def test_held_out_rows_are_in_no_other_part(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"line {n}" for n in range(500)))
    corpus = load_corpus(tmp_path / "a.txt")
    train, dev, judged = held_out(corpus, seed=0)
    assert (len(train), len(dev), len(judged)) == (480, 10, 10)
    assert sorted([*train["text"], *dev["text"], *judged["text"]]) == sorted(corpus["text"])
    assert held_out(corpus, seed=0)[1]["text"] == dev["text"] != held_out(corpus, seed=1)[1]["text"]


def test_two_lines_are_too_few_to_judge_by(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"too few paragraphs \(2\)"):
        held_out(load_corpus(tmp_path / "a.txt"), seed=0)
