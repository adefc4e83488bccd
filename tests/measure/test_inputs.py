import json
from pathlib import Path

import numpy as np
import pytest

from edgedistill.artifacts import GOLDENS, REFERENCE
from edgedistill.data.encoding import load_tokenizer
from edgedistill.errors import ArtifactError
from edgedistill.measure.inputs import inputs_of, texts_of
from tests.support import tiny_tokenizer


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path)
    rows = [{"text": "the film is great"}, {"text": "a dull plot"}, {"text": "  "}, {"text": "very warm ending"}]
    write(tmp_path / REFERENCE, rows)
    return tmp_path


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("length", [8, 32, 128, 512])
def test_inputs_have_exactly_that_many_real_tokens(artifact: Path, length: int) -> None:
    for inputs in inputs_of(artifact, length):
        assert {name: value.shape for name, value in inputs.items()} == dict.fromkeys(
            ("input_ids", "attention_mask", "token_type_ids"), (1, length)
        )
        assert inputs["attention_mask"].all(), "no padding"
        tokenizer = load_tokenizer(artifact)
        ids = inputs["input_ids"][0]
        assert ids[0] == tokenizer.token_to_id("[CLS]")
        assert ids[-1] == tokenizer.token_to_id("[SEP]")
        assert not (ids == tokenizer.token_to_id("[PAD]")).any()


def test_inputs_are_the_artifacts_words_in_order(artifact: Path) -> None:
    words = load_tokenizer(artifact).decode(list(inputs_of(artifact, 16)[0]["input_ids"][0]))
    joined = "the film is great a dull plot very warm ending " * 3
    assert words in joined


def test_inputs_differ_from_each_other_and_the_seed_decides(artifact: Path) -> None:
    first, again, other = inputs_of(artifact, 16, 0), inputs_of(artifact, 16, 0), inputs_of(artifact, 16, 5)
    assert all((a["input_ids"] == b["input_ids"]).all() for a, b in zip(first, again, strict=True))
    assert any((a["input_ids"] != b["input_ids"]).any() for a, b in zip(first, other, strict=True))
    assert len({a["input_ids"].tobytes() for a in first}) > 1


def test_pairs_keep_both_segments(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    write(tmp_path / REFERENCE, [{"text": "the film", "text_pair": "is it great"}])
    types = inputs_of(tmp_path, 24)[0]["token_type_ids"][0]
    assert set(types) == {0, 1}
    assert len(types) == 24
    assert (np.diff(types) >= 0).all()


def test_goldens_serve_where_there_is_no_judged_split(artifact: Path) -> None:
    (artifact / REFERENCE).rename(artifact / GOLDENS)
    texts, name = texts_of(artifact)
    assert (len(texts), name) == (3, GOLDENS)
    assert len(inputs_of(artifact, 16)) == 8


def test_an_artifact_without_texts_is_refused(artifact: Path) -> None:
    (artifact / REFERENCE).unlink()
    with pytest.raises(ArtifactError, match=r"has no text to be timed on.*Export it again"):
        inputs_of(artifact, 16)


@pytest.mark.parametrize("line", ["{", '{"no": "text"}', "[1]", '{"text": 7}'])
def test_unreadable_texts_are_named(artifact: Path, line: str) -> None:
    (artifact / REFERENCE).write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"cannot read the texts in .*reference\.jsonl"):
        inputs_of(artifact, 16)


def test_texts_without_tokens_are_refused(artifact: Path) -> None:
    write(artifact / REFERENCE, [{"text": "\u200b"}, {"text": "\u200d"}])
    with pytest.raises(ArtifactError, match="too few tokens"):
        inputs_of(artifact, 16)
