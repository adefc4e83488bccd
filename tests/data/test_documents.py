import gzip

import pytest

from edgedistill.data.corpus import in_pieces
from edgedistill.data.documents import held_out_sections, load_documents
from edgedistill.errors import ConfigError, DataError
from tests.support import tiny_tokenizer

TEXT = "\nFirst.\nSecond.\n\n \nAnother document.\n\nThird one.\nIts end.\n\n"


def write(path, documents=12, paragraphs=40):
    """Documents whose paragraphs say where they are from."""
    each = ["\n".join(f"document {d} paragraph {p}" for p in range(paragraphs)) for d in range(documents)]
    path.write_text("\n\n".join(each), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_blank_lines_part_documents(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(TEXT.encode()) if name.endswith("gz") else TEXT.encode())
    found = load_documents(tmp_path / name)
    assert found["text"][:] == ["First.", "Second.", "Another document.", "Third one.", "Its end."]
    assert found["document"][:] == [0, 0, 1, 2, 2]
    assert found["row_id"][:] == [f"corpus-{n}" for n in range(5)]
    steps = [b - a for a, b in zip(found["paragraph"][:-1], found["paragraph"][1:], strict=True)]
    assert steps == [1, 2, 2, 1]  # 1 only within a document


def test_pieces_stay_where_their_paragraph_was(tmp_path):
    (tmp_path / "a.txt").write_text("the film was great and the story dull\nthe plot\n\nthe cast")
    found = in_pieces(load_documents(tmp_path / "a.txt"), tiny_tokenizer(), max_length=6)
    assert found["text"][:] == ["the film was great", "and the story dull", "the plot", "the cast"]
    assert found["document"][:] == [0, 0, 0, 1]
    assert found["paragraph"][:] == [0, 0, 1, 3]


def test_what_is_put_aside_is_in_no_other_part_and_stays_together(tmp_path):
    corpus = load_documents(write(tmp_path / "a.txt"))
    parts = train, dev, judged = held_out_sections(corpus, seed=0)
    assert sorted(text for part in parts for text in part["text"][:]) == sorted(corpus["text"][:])
    assert len(dev) < 0.12 * len(corpus)
    for part in parts:
        assert len(set(part["document"][:])) >= 2
        assert part["paragraph"][:] == sorted(part["paragraph"][:])
        steps = [b - a for a, b in zip(part["paragraph"][:-1], part["paragraph"][1:], strict=True)]
        assert steps.count(1) > 0.8 * len(steps)
    assert held_out_sections(corpus, seed=0)[1]["text"][:] == dev["text"][:]
    assert held_out_sections(corpus, seed=1)[1]["text"][:] != dev["text"][:]
    assert judged["text"][:] != dev["text"][:]
    assert len(train) > 0.7 * len(corpus)


def test_a_limit_leaves_whole_sections(tmp_path):
    found = load_documents(write(tmp_path / "a.txt"), limit=100)
    steps = [b - a for a, b in zip(found["paragraph"][:-1], found["paragraph"][1:], strict=True)]
    assert len(found) == 100
    assert steps.count(1) > 80
    assert len(set(found["document"][:])) > 2
    assert load_documents(tmp_path / "a.txt", limit=100)["text"][:] == found["text"][:]


def test_one_document_has_no_other(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"all 3 paragraphs of .* are one document.*blank line between documents"):
        load_documents(tmp_path / "a.txt")


@pytest.mark.parametrize(("documents", "paragraphs"), [(2, 2), (3, 16), (5, 1)])
def test_too_little_to_put_aside(tmp_path, documents, paragraphs):
    corpus = load_documents(write(tmp_path / "a.txt", documents, paragraphs))
    with pytest.raises(ConfigError, match=f"{documents * paragraphs} paragraphs in {documents} documents, too few"):
        held_out_sections(corpus, seed=0)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"fine\ncaf\xe9\n", "line 2: not UTF-8"),
        ("a.txt", b"\n \n", "holds no text"),
        ("a.csv", b"x", "no .txt"),
    ],
)
def test_wrong_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        load_documents(tmp_path / name)
