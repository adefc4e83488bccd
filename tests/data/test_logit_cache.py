import json
from dataclasses import replace

import pytest
import torch

from edgedistill.data import logit_cache
from edgedistill.data.logit_cache import Fingerprint, Kept, LogitCache
from edgedistill.errors import TrainingError
from edgedistill.models.outputs import Outputs
from tests.support import TinyRows

FINGERPRINT = Fingerprint(teacher="abc", tokenizer="k", max_length=32, data="d")
ROWS = TinyRows(20)


def ask(batch):
    return Outputs(logits=torch.tensor([[number, 0.0] for number in numbers(batch.row_ids)]))


def numbers(row_ids):
    return [float(row.split("-")[1]) for row in row_ids]


KEPT = Kept(cls=(2, 4))


def ask_both(batch):
    # The state of layer l, row n is (n, l, 0.1).
    cls = [[[number, layer, 0.1] for layer in KEPT.cls] for number in numbers(batch.row_ids)]
    return Outputs(logits=ask(batch).logits, cls=torch.tensor(cls))


def opened(folder, kept):
    return LogitCache(folder, replace(FINGERPRINT, kept=kept))


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


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_states_are_read_back_by_row_and_layer(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    kept = replace(KEPT, cls_dtype=dtype)
    opened(tmp_path, kept).fill(ROWS.epoch(1, 0, 6), ask_both)
    again = opened(tmp_path, kept)
    found = again.cls(["train-7", "train-0"], (4, 2))
    assert found.dtype == torch.float32
    assert found[:, :, :2].tolist() == [[[7, 4], [7, 2]], [[0, 4], [0, 2]]]
    assert found[0, 0, 2].item() == pytest.approx(0.1, abs=1e-4 if dtype == "float16" else 1e-8)
    assert again.logits(["train-3"]).tolist() == [[3.0, 0.0]]


def test_float16_takes_half_the_room(tmp_path):
    assert KEPT.row_bytes(classes=2, width=3) == 8 + 2 * 3 * 4
    assert replace(KEPT, cls_dtype="float16").row_bytes(classes=2, width=3) == 8 + 2 * 3 * 2
    assert Kept().row_bytes(classes=3, width=768) == 12


def test_what_float16_cannot_hold_is_refused(tmp_path):
    def ask_too_large(batch):
        return Outputs(logits=ask(batch).logits, cls=torch.full((len(batch), 2, 3), 1e5))

    with pytest.raises(TrainingError, match="float16, whose largest number is 65504"):
        opened(tmp_path, replace(KEPT, cls_dtype="float16")).fill(ROWS.all(6), ask_too_large)


def test_a_cache_that_keeps_more_serves_as_well(tmp_path):
    opened(tmp_path, KEPT).fill(ROWS.all(6), ask_both)
    for kept in (Kept(), Kept(cls_dtype="float16"), Kept(cls=(4,))):
        again = opened(tmp_path, kept)
        assert again.kept == KEPT
        again.fill(ROWS.all(6), lambda batch: pytest.fail("asked again"))
        assert opened(tmp_path, KEPT).cls(["train-7"], (4,)).tolist()[0][0][:2] == [7, 4]


@pytest.mark.parametrize(
    ("stored", "wanted", "message"),
    [
        (Kept(), KEPT, r"it holds logits, and what is wanted now is logits and the \[CLS\] of layers 2, 4 in float32"),
        (KEPT, Kept(cls=(2, 3)), "layers 2, 4 in float32, and what is wanted now is .* 2, 3"),
        (replace(KEPT, cls_dtype="float16"), KEPT, "in float16, and what is wanted now"),
    ],
)
def test_a_cache_that_keeps_less_is_refused(tmp_path, stored, wanted, message):
    opened(tmp_path, stored).fill([], ask)
    with pytest.raises(TrainingError, match=message):
        opened(tmp_path, wanted)


def test_a_cache_of_logits_made_before_states_could_be_kept_still_serves(tmp_path):
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), ask)
    path = tmp_path / "fingerprint.json"
    values = json.loads(path.read_text())
    del values["kept"]
    path.write_text(json.dumps(values))
    assert len(LogitCache(tmp_path, FINGERPRINT)) == 20
    with pytest.raises(TrainingError, match="it holds logits, and"):
        opened(tmp_path, KEPT)


def test_a_layer_that_is_not_kept_is_named(tmp_path):
    cache = opened(tmp_path, KEPT)
    cache.fill(ROWS.all(6), ask_both)
    with pytest.raises(TrainingError, match=r"not the \[CLS\] of layer 3"):
        cache.cls(["train-7"], (2, 3))
