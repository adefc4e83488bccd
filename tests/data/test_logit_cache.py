import errno
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgedistill.data import logit_cache
from edgedistill.data import shards as shards_of_a_cache
from edgedistill.data.cache_card import Fingerprint, Kept, read_card
from edgedistill.data.logit_cache import LogitCache
from edgedistill.data.shards import refuse_changed
from edgedistill.errors import StorageError, TrainingError
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


def shards(folder):
    return sorted(folder.glob("answers-*.safetensors"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_damaged_files_are_named(tmp_path):
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), ask)
    (shard,) = shards(tmp_path)
    whole = shard.read_bytes()
    shard.write_bytes(whole[:50])
    with pytest.raises(
        TrainingError, match=r"damaged.*answers-.*it has 50 bytes of \d+\. Delete that file and .*index"
    ):
        LogitCache(tmp_path, FINGERPRINT)
    (tmp_path / "index.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"damaged.*answers-"):
        LogitCache(tmp_path, FINGERPRINT)
    shard.write_bytes(whole[:-1] + b"\xff")
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), ask)  # sealed as it is now
    assert refuse_changed(tmp_path) is None
    shard.write_bytes(whole)
    with pytest.raises(TrainingError, match="its bytes are not those that were written"):
        refuse_changed(tmp_path)
    shard.unlink()
    with pytest.raises(TrainingError, match="it is gone"):
        LogitCache(tmp_path, FINGERPRINT)
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(TrainingError, match="cannot read"):
        LogitCache(tmp_path, FINGERPRINT)


def test_another_format_is_refused(tmp_path):
    LogitCache(tmp_path / "new", FINGERPRINT).fill(ROWS.all(6), ask)
    card = tmp_path / "new" / "cache.json"
    card.write_text(card.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(TrainingError, match=r"is of format 3, this version's is 2\. .*edgedistill cache rm"):
        LogitCache(tmp_path / "new", FINGERPRINT)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "fingerprint.json").write_text("{}")
    with pytest.raises(TrainingError, match="made by an earlier version: format was 1 and is 2"):
        LogitCache(tmp_path / "old", FINGERPRINT)


def test_the_same_rows_in_the_same_order_are_the_same_bytes_whoever_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    opened(tmp_path / "one", KEPT).fill(ROWS.all(3), ask_both)
    asked = {0: 0, 1: 0}
    for process in (1, 0):  # the first one has to wait for the other, and is the one that seals

        def count(batch, process=process):
            asked[process] += len(batch)
            return ask_both(batch)

        opened(tmp_path / "two", KEPT).fill(ROWS.all(3), count, process, processes=2)
    assert asked == {0: 12, 1: 8}
    assert len(contents(tmp_path / "one")) == 4 + 2
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_of_a_stream_no_more_than_two_shards_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    alive = weakref.WeakSet()
    most = 0

    def stream():
        nonlocal most
        for number in range(0, 20, 2):
            batch = ROWS.batch(torch.arange(number, number + 2))
            alive.add(batch.student.input_ids)
            most = max(most, len(alive))
            yield batch

    cache = LogitCache(tmp_path, FINGERPRINT)
    cache.fill(stream(), ask)
    assert most <= 6, "three batches make a shard; one is made ready while another is written"
    assert len(cache) == 20
    assert read_card(tmp_path).rows == 20
    assert LogitCache(tmp_path, FINGERPRINT).is_sealed


def test_a_full_disk_leaves_the_shards_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    write = Path.write_bytes

    def third_fails(path, data):
        if len(shards(tmp_path)) == 2:
            raise OSError(errno.ENOSPC, "full")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", third_fails)
    with pytest.raises(StorageError, match="no space left"):
        LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), ask)
    monkeypatch.undo()
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 6)
    assert sorted(path.name[:7] for path in tmp_path.iterdir()) == ["answers", "answers", "cache.j"]
    rest = []
    again = LogitCache(tmp_path, FINGERPRINT)
    assert not again.is_sealed
    again.fill(ROWS.all(6), lambda batch: rest.append(len(batch)) or ask(batch))
    assert (sum(rest), len(again), again.is_sealed) == (8, 20, True)


def test_another_order_asks_only_where_something_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 5)
    LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(5), ask)
    again = LogitCache(tmp_path, FINGERPRINT)
    again.fill(ROWS.epoch(3, 0, 5), lambda batch: pytest.fail("asked again"))
    shards(tmp_path)[0].unlink()
    (tmp_path / "index.safetensors").unlink()
    again = LogitCache(tmp_path, FINGERPRINT)
    assert len(again) == 15
    again.fill(ROWS.epoch(3, 0, 5), ask)
    assert len(again) == 20
    assert again.logits([f"train-{n}" for n in range(20)])[:, 0].tolist() == list(range(20))


@pytest.mark.parametrize(("dtype", "close"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_logits_in_sixteen_bits(tmp_path, dtype, close):
    def thirds(batch):
        return Outputs(logits=ask(batch).logits / 3)

    kept = Kept(logits_dtype=dtype)
    opened(tmp_path, kept).fill(ROWS.all(6), thirds)
    found = opened(tmp_path, kept).logits(["train-7", "train-19"])
    assert found.dtype == torch.float32
    assert found[:, 0].tolist() == pytest.approx([7 / 3, 19 / 3], rel=close)
    assert found[0, 0].item() != pytest.approx(7 / 3, rel=1e-6), "it was stored as precisely as ever"
    with pytest.raises(TrainingError, match=f"it holds logits in {dtype}, and what is wanted now is logits"):
        opened(tmp_path, Kept())


TOKENS = Kept(unit="token")


def ask_of_tokens(batch):
    # The answer about token t of row n is (n, its id); padding's is 99.
    ids = batch.teacher.input_ids.float()
    rows = torch.tensor(numbers(batch.row_ids))[:, None].expand_as(ids)
    answers = torch.stack((rows, ids), dim=-1)
    return Outputs(logits=answers.masked_fill(~batch.teacher.attention_mask.bool()[:, :, None], 99.0))


def test_answers_of_every_token_come_back_without_padding(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 7)
    opened(tmp_path, TOKENS).fill(ROWS.epoch(1, 0, 3), ask_of_tokens)
    again, batch = opened(tmp_path, TOKENS), ROWS.batch(torch.tensor([3, 17, 0, 9]))
    is_real = batch.teacher.attention_mask.bool()
    assert not is_real.all()
    width = batch.teacher.input_ids.shape[1]
    found = again.logits(batch.row_ids, width)
    assert torch.equal(found[is_real], ask_of_tokens(batch).logits[is_real])
    assert not found[~is_real].any()
    assert again.logits(batch.row_ids[:1]).shape == (1, int(is_real[0].sum()), 2)
    with pytest.raises(TrainingError, match=r"has \d+ answers for 3 tokens"):
        again.logits(batch.row_ids, 3)


def test_an_index_sorted_in_parts_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(logit_cache, "_ROWS_PER_SHARD", 50)
    rows = TinyRows(400)
    LogitCache(tmp_path / "whole", FINGERPRINT).fill(rows.all(10), ask)
    monkeypatch.setattr(shards_of_a_cache, "_PART_ROWS", 30)
    LogitCache(tmp_path / "parts", FINGERPRINT).fill(rows.all(10), ask)
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
    ids = [f"train-{n}" for n in range(400)]
    assert LogitCache(tmp_path / "parts", FINGERPRINT).logits(ids)[:, 0].tolist() == list(range(400))
    (tmp_path / "parts" / "index.safetensors").unlink()
    assert LogitCache(tmp_path / "parts", FINGERPRINT).logits(ids)[:, 0].tolist() == list(range(400))


def test_an_answer_that_is_no_number_is_refused(tmp_path):
    def broken(batch):
        return Outputs(logits=torch.full((len(batch), 2), torch.nan))

    with pytest.raises(TrainingError, match=r"'train-0' or a row after it: a logit of the teacher is not finite"):
        LogitCache(tmp_path, FINGERPRINT).fill(ROWS.all(6), broken)
    assert not shards(tmp_path)


def test_a_text_made_anew_is_not_found(tmp_path):
    cache = LogitCache(tmp_path, FINGERPRINT)
    cache.fill(ROWS.all(6), ask)
    assert "train-3" in cache
    assert "train-3~1" not in cache
    with pytest.raises(TrainingError, match="row 'train-3~1' is not among the 20 rows"):
        cache.logits(["train-3", "train-3~1"])


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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_looked_up_while_the_step_computes_in_bf16(tmp_path, dtype):
    """As a training step does where the processor has bf16: torch joins no float16 tensors there."""
    cache = opened(tmp_path, replace(KEPT, cls_dtype=dtype, logits_dtype=dtype))
    cache.fill(ROWS.all(6), ask_both)
    ids, layers = ["train-7", "train-0", "train-3"], KEPT.cls[:1]
    expected = cache.logits(ids), cache.cls(ids, layers)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cache.logits(ids), cache.cls(ids, layers)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_sixteen_bits_take_half_the_room():
    assert KEPT.row_bytes(classes=2, width=3) == 8 + 2 * 3 * 4 + 40
    assert replace(KEPT, cls_dtype="float16").row_bytes(classes=2, width=3) == 8 + 2 * 3 * 2 + 40
    assert Kept().row_bytes(classes=3, width=768) == 12 + 40
    assert Kept(logits_dtype="bfloat16").row_bytes(classes=3, width=768) == 6 + 40
    assert TOKENS.row_bytes(classes=2, width=768, tokens=12.5) == 100 + 40


def test_what_a_cache_takes_is_what_was_said(tmp_path):
    rows = TinyRows(2000)
    opened(tmp_path, KEPT).fill(rows.all(100), ask_both)
    found = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found == pytest.approx(2000 * KEPT.row_bytes(classes=2, width=3), rel=0.03)


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


def test_a_layer_that_is_not_kept_is_named(tmp_path):
    cache = opened(tmp_path, KEPT)
    cache.fill(ROWS.all(6), ask_both)
    with pytest.raises(TrainingError, match=r"not the \[CLS\] of layer 3"):
        cache.cls(["train-7"], (2, 3))
