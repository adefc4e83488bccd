"""Files of word vectors: read whole, or refused with file and line."""

import gzip
import struct

import numpy as np
import pytest

from edgedistill.data.encoding import encode
from edgedistill.data.vectors import SPECIALS, read_vectors, with_specials, word_tokenizer
from edgedistill.errors import DataError

ROWS = {"the": (1.0, 2.0, 3.0), "film": (0.5, -1.0, 0.25), "great": (0.0, 0.0, 1.0)}


def as_text(rows=ROWS, header=False):
    lines = [f"{word} {' '.join(map(str, vector))}" for word, vector in rows.items()]
    return "\n".join(([f"{len(rows)} 3"] if header else []) + lines) + "\n"


def as_binary(rows=ROWS, count=None, end=b"\n"):
    body = b"".join(word.encode() + b" " + struct.pack("<3f", *vector) + end for word, vector in rows.items())
    return f"{count or len(rows)} 3\n".encode() + body


FORMATS = {
    "glove.txt": as_text().encode(),
    "word2vec.txt": as_text(header=True).encode(),
    "tabs.vec": as_text().replace(" ", "\t").encode(),
    "packed.txt.gz": gzip.compress(as_text().encode()),
    "word2vec.bin": as_binary(),
    "no-line-ends.bin": as_binary(end=b""),
    "packed.bin.gz": gzip.compress(as_binary()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_table(tmp_path, name):
    (tmp_path / name).write_bytes(FORMATS[name])
    table = read_vectors(tmp_path / name, 10)
    assert table.words == tuple(ROWS)
    np.testing.assert_array_equal(table.vectors, np.array(list(ROWS.values()), dtype=np.float32))
    assert table.is_lowercase
    assert read_vectors(tmp_path / name, 2).words == ("the", "film")


HOSTILE = {
    "narrow.txt": (as_text() + "bad 1.0 2.0\n", "narrow.txt, line 4: 2 numbers after 'bad', those before it have 3"),
    "wide.txt": (as_text() + "bad 1 2 3 4\n", "wide.txt, line 4: 4 numbers"),
    "header.txt": ("3 4\n" + as_text(), "header.txt, line 2: 3 numbers"),
    "word.txt": (as_text() + "bad 1 2 three\n", "word.txt, line 4: could not convert string to float"),
    "nan.txt": (as_text() + "bad 1 2 nan\n", "nan.txt, line 4: the vector of 'bad' holds NaN"),
    "huge.txt": (as_text() + "bad 1 2 1e99\n", "huge.txt, line 4"),
    "bare.txt": ("word\n", "bare.txt, line 1: .*has no numbers"),
    "latin.txt": (as_text().encode() + b"caf\xe9 1 2 3\n", "latin.txt, line 4: not UTF-8"),
    "empty.txt": ("", "'.*empty.txt' holds no word vectors"),
    "blank.txt": ("\n\n", "holds no word vectors"),
    "cut.txt.gz": (gzip.compress(as_text().encode())[:-9], "not a whole gzip file"),
    "wide-header.txt": ("3 999999\n", "line 1: vectors of 999999 numbers"),
    "empty.bin": (b"", "empty.bin, line 1: no count and width"),
    "text.bin": (as_text(), "text.bin, line 1: no count and width .* must not end in .bin"),
    "cut.bin": (as_binary()[:-5], r"cut.bin, word 3 of 3: cut short after 8 bytes"),
    "short.bin": (as_binary(count=9), "short.bin, word 4 of 9: the file ends there"),
    "other-width.bin": (as_binary().replace(b"3 3\n", b"3 2\n"), r"word 3 of 3: not UTF-8 .* Is 2 its width"),
    "latin.bin": (b"1 3\ncaf\xe9 " + struct.pack("<3f", 1, 2, 3), "word 1 of 1: not UTF-8"),
    "nan.bin": (as_binary({"bad": (1.0, float("nan"), 0.0)}), "word 1 of 1: NaN or infinity"),
    "no-blank.bin": (b"1 3\n" + b"x" * 5000, "word 1 of 1: no word ends"),
    "header.bin": (b"1 0\n", "line 1: vectors of 0 numbers"),
    "cut.bin.gz": (gzip.compress(as_binary())[:-20], "not a whole gzip file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, name):
    content, message = HOSTILE[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_vectors(tmp_path / name, 10)


@pytest.mark.parametrize("name", ["absent.txt", "absent.bin"])
def test_an_absent_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="no file"):
        read_vectors(tmp_path / name, 10)


def test_words_that_text_is_never_split_into_are_left_out(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(as_text() + "New_York 1 2 3\n. . . 1 2 3\n[MASK] 1 2 3\nthe 9 9 9\nParis 4 5 6\n! 7 8 9\n")
    table = read_vectors(path, 10)
    assert table.words == (*ROWS, "Paris", "!")
    assert not table.is_lowercase
    assert table.vectors[0].tolist() == [1.0, 2.0, 3.0]


def test_tokenizer_and_table_agree_word_by_word(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(as_text())
    table = read_vectors(path, 10)
    tokenizer, vectors = word_tokenizer(table), with_specials(table)
    assert len(tokenizer) == len(vectors) == len(SPECIALS) + 3
    found = tokenizer("The GREAT, film", "unheard-of film", return_token_type_ids=True)
    words = tokenizer.convert_ids_to_tokens(found["input_ids"])
    assert words == ["[CLS]", "the", "great", "[UNK]", "film", "[SEP]", "[UNK]", "[UNK]", "[UNK]", "film", "[SEP]"]
    assert found["token_type_ids"] == [0] * 6 + [1] * 5
    for word in table.words:
        np.testing.assert_array_equal(vectors[tokenizer.convert_tokens_to_ids(word)], np.float32(ROWS[word]))
    assert not vectors[tokenizer.pad_token_id].any()
    np.testing.assert_allclose(vectors[tokenizer.unk_token_id], table.vectors.mean(axis=0))
    assert tokenizer("[MASK] film")["input_ids"][1] == tokenizer.mask_token_id


def test_saved_tokenizer_reads_the_same(tmp_path):
    from transformers import AutoTokenizer

    path = tmp_path / "v.txt"
    path.write_text(as_text())
    tokenizer = word_tokenizer(read_vectors(path, 10))
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    text = "the great café film"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert encode(tokenizer.backend_tokenizer, [text])[0].input_ids == tuple(again(text)["input_ids"])
