"""Goldens: every fixed length has a text that its graph answers."""

from __future__ import annotations

from pathlib import Path

from edgedistill.artifacts import Graph, Manifest, Tensor, read_manifest
from edgedistill.data.encoding import Encoding
from edgedistill.pipeline import goldens
from tests.made import write_artifact


def of_lengths(folder: Path, *lengths: int) -> Manifest:
    ids = Tensor(name="input_ids", dtype="int64", shape=(1, 8))
    graphs = tuple(
        Graph(name=f"length_{n}", file="model.onnx", length=n, inputs=(ids,), outputs=()) for n in lengths
    )  # fmt: skip
    return read_manifest(write_artifact(folder, graphs=graphs))


def sizes(folder: Path, manifest: Manifest, is_paired: bool, *there: int) -> list[int]:
    asked = [Encoding((0,) * size, (0,) * size) for size in there]
    more = goldens._texts_that_fill(folder, manifest, is_paired, asked)
    assert all((text.text_pair is not None) == is_paired for text in more)
    return [len(one) for one in goldens._encoded(folder, manifest, more)]


def test_a_length_that_no_text_takes_gets_one(tmp_path: Path) -> None:
    manifest = of_lengths(tmp_path, 8, 32, 64, 128)
    assert sizes(tmp_path, manifest, False, 4, 9, 128) == [33]
    assert sizes(tmp_path, manifest, False, 4, 9, 64, 128) == []
    first, second = sizes(tmp_path, manifest, True, 8, 128)
    assert 8 < first <= 32 < second <= 64
    assert sizes(tmp_path, of_lengths(tmp_path / "free"), False, 4) == []
