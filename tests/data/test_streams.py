"""Corpora from URLs and corpora too large for memory: the rows, order and answers of small ones that lie here."""

from __future__ import annotations

import gzip
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from datasets import Dataset

from edgedistill import distill
from edgedistill.data import corpus, rows, spool
from edgedistill.data.corpus import held_out, in_pieces, load_corpus
from edgedistill.data.rows import Rows
from edgedistill.data.streams import files_of
from edgedistill.data.table import Column
from edgedistill.data.tokenise import rows_sha256
from edgedistill.errors import DataError, MissingExtraError
from tests.support import save_checkpoint, sentences, tiny_model, tiny_tokenizer

TEXT = "\n\n".join(f"{text} and {text}" for text, _ in sentences(60)) + "\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def put(place: str, data: bytes) -> str:
    with fsspec.open(place, "wb") as file:
        file.write(data)
    return place


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (corpus, rows):
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)


def same(one: Dataset, other: Dataset) -> bool:
    return rows_sha256(one) == rows_sha256(other) and one.column_names == other.column_names


@pytest.mark.parametrize("name", ["memory://c/a.txt", "memory://c/a.txt.gz", "file://{}/b.txt"])
def test_a_url_gives_the_rows_of_a_file(name: str, here: Path, tmp_path: Path) -> None:
    data = TEXT.encode()
    place = put(name.format(tmp_path), gzip.compress(data) if name.endswith("gz") else data)
    found = load_corpus(place)
    assert found.cache_files, "it lies on the disk"
    assert same(found, load_corpus(here))
    assert same(load_corpus(place, limit=7), load_corpus(here, limit=7))


def test_a_star_is_every_file_in_order(here: Path) -> None:
    lines = TEXT.encode().splitlines(keepends=True)
    put("memory://c/part-2.txt", b"".join(lines[40:]))
    put("memory://c/part-1.txt", b"".join(lines[:40]))
    assert files_of("memory://c/part-*.txt") == ["memory:///c/part-1.txt", "memory:///c/part-2.txt"]
    assert same(load_corpus("memory://c/part-*.txt"), load_corpus(here))


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("memory://c/none.txt", DataError, "no file 'memory://c/none.txt'"),
        ("memory://c/none-*.txt", DataError, "no file matches"),
        ("memory://c/a.csv", DataError, r"is no \.txt or \.txt\.gz file"),
        ("memory://c/empty.txt", DataError, "holds no text"),
        ("memory://c/latin.txt", DataError, r"latin\.txt, line 1: not UTF-8"),
        ("memory://c/cut.txt.gz", DataError, "not a whole gzip file"),
        ("nowhere://c/a.txt", DataError, "Protocol not known"),
    ],
)
def test_what_cannot_be_read_is_said(place: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    put("memory://c/empty.txt", b" \n")
    put("memory://c/latin.txt", b"caf\xe9\n")
    put("memory://c/cut.txt.gz", gzip.compress(TEXT.encode())[:60])
    with pytest.raises(error, match=message):
        load_corpus(place)
    assert not list((tmp_path / "datasets").rglob("*.*")), "nothing half-written is left"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(place: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(MissingExtraError, match=r"'s3://bucket/a\.txt' needs the package 's3fs'.*pip install s3fs"):
        load_corpus("s3://bucket/a.txt")


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("https://host/a.txt", MissingExtraError, "Run: pip install aiohttp"),
        ("box://a.txt", DataError, r"cannot read 'box://a\.txt': Please install boxfs to access BoxFileSystem"),
    ],
)
def test_no_package_is_named_after_a_protocol(
    place: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install http` would bring whatever somebody put there under that name."""

    def absent(place: str) -> None:
        raise ImportError("Please install boxfs to access BoxFileSystem")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(error, match=message):
        load_corpus(place)


def test_a_store_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: str) -> None:
        raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(DataError, match="Unable to locate credentials"):
        load_corpus("s3://bucket/a.txt")


@pytest.mark.usefixtures("nothing_fits")
def test_a_large_file_gives_the_rows_of_a_small_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = load_corpus(here)
    assert large.cache_files
    tokenizer = tiny_tokenizer()
    monkeypatch.setattr(corpus, "IN_MEMORY_BYTES", spool.IN_MEMORY_BYTES)
    small = load_corpus(here)
    assert not small.cache_files
    for one, other in zip(held_out(large, 0), held_out(small, 0), strict=True):
        assert same(in_pieces(one, tokenizer, 9), in_pieces(other, tokenizer, 9))


def test_batches_of_a_large_corpus_are_those_of_a_small_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> list[tuple[tuple[str, ...], list[list[int]]]]:
        found = Rows(in_pieces(load_corpus(here), tiny_tokenizer(), 9), None, tiny_tokenizer(), max_length=9)
        assert isinstance(found.row_ids, Column) == isinstance(found._student.ids.values, np.memmap)
        each = [*found.epoch(3, 1, 8), found.batch(np.array([5, 2]))]
        return [(batch.row_ids, batch.student.input_ids.tolist()) for batch in each]

    small = batches()
    for module in (corpus, rows):
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    assert batches() == small
    assert batches() == small, "what was kept on the disk is found again"


@pytest.mark.usefixtures("nothing_fits")
def test_text_is_read_once_and_again_when_it_changes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(load_corpus(here))
    read: list[object] = []
    former = corpus.text_lines
    monkeypatch.setattr(corpus, "text_lines", lambda place: read.append(place) or former(place))
    assert len(load_corpus(here)) == count
    assert not read
    here.write_text(TEXT + "one more\n", encoding="utf-8")
    assert len(load_corpus(here)) == count + 1
    assert read


@pytest.mark.slow
def test_a_streamed_corpus_makes_the_same_student(here: Path, tmp_path: Path) -> None:
    start = save_checkpoint(tmp_path / "start", tiny_model(head="mlm"))
    few = {"max_length": 16, "optim": {"max_steps": 4, "batch_size": 8}}
    put("memory://c/a.txt", TEXT.encode())
    made = [
        distill("mlm", student=start, corpus=place, config=few, out=tmp_path / name)
        for name, place in (("here", here), ("there", "memory://c/a.txt"))
    ]
    one, other = ((path / "model.safetensors").read_bytes() for path in made)
    assert one == other
    again = distill("mlm", student=start, corpus="memory://c/a.txt", config=few, out=tmp_path / "there", resume=True)
    assert (again / "model.safetensors").read_bytes() == other
    assert torch.is_grad_enabled()
