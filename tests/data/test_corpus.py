import gzip

import pytest

from edgedistill.data.corpus import load_corpus
from edgedistill.errors import DataError

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
