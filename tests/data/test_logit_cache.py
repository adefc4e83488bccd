from dataclasses import replace

import pytest
import torch

from edgedistill.data import logit_cache
from edgedistill.data.logit_cache import Fingerprint, LogitCache
from edgedistill.errors import TrainingError
from tests.support import TinyRows

FINGERPRINT = Fingerprint(teacher="abc", tokenizer="k", max_length=32, data="d")
ROWS = TinyRows(20)


def ask(batch):
    return torch.tensor([[float(row.split("-")[1]), 0.0] for row in batch.row_ids])


def test_read_back_after_reopening(tmp_path):
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.epoch(1, 0, 6), ask)
    again = LogitCache(tmp_path, FINGERPRINT)
    assert len(again) == 20
    assert again.logits(["train-7", "train-0"]).tolist() == [[7.0, 0.0], [0.0, 0.0]]


def test_nothing_is_written_before_it_is_filled(tmp_path):
    LogitCache(tmp_path / "cache", FINGERPRINT)
    assert not (tmp_path / "cache").exists()


def test_goes_on_after_the_last_whole_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    asked = []

    def stops(batch):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(batch.row_ids)
        return ask(batch)

    with pytest.raises(KeyboardInterrupt):
        LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), stops)
    again = LogitCache(tmp_path, FINGERPRINT)
    assert len(again) == 12
    rest = []
    again.fill(ROWS.all(6), lambda batch: rest.append(batch.row_ids) or ask(batch))
    assert sum(map(len, rest)) == 8
    assert again.logits([f"train-{n}" for n in range(20)])[:, 0].tolist() == list(range(20))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("teacher", "xyz", "teacher was abc and is xyz"),
        ("tokenizer", "other", "tokenizer was k and is other"),
        ("max_length", 64, "max_length was 32 and is 64"),
        ("data", "e", "data was d and is e"),
    ],
)
def test_stale_cache_is_refused_with_the_difference(tmp_path, field, value, message):
    LogitCache(tmp_path, FINGERPRINT).fill([], ask)
    with pytest.raises(TrainingError, match=message):
        LogitCache(tmp_path, replace(FINGERPRINT, **{field: value}))


def test_row_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match="train-99"):
        LogitCache(tmp_path, FINGERPRINT).logits(["train-99"])


def test_damaged_files_are_named(tmp_path):
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), ask)
    shard = tmp_path / "logits-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:50])
    with pytest.raises(TrainingError, match=r"damaged.*logits-00000"):
        LogitCache(tmp_path, FINGERPRINT)
    (tmp_path / "fingerprint.json").write_text("{")
    with pytest.raises(TrainingError, match="cannot read"):
        LogitCache(tmp_path, FINGERPRINT)
