import itertools
import json
import os
import time

import pytest
import torch
from torch import nn

from edgedistill.data.batches import Batch
from edgedistill.errors import TrainingError
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Want
from edgedistill.training.alarms import BAD_BATCH
from edgedistill.training.feeding import _ahead, fed
from edgedistill.training.loop import fit
from edgedistill.training.stage import Stage
from tests.support import TinyRows, tiny_model
from tests.tools import needs
from tests.training.stages import BY_TOKENS, OPTIM, Stop, lines, same, stage, stop_at, weights


def test_loss_falls_and_every_step_is_written(tmp_path):
    done = fit(stage(OPTIM.model_copy(update={"max_steps": None, "epochs": 6.0}), dropout=0.0), tmp_path, seed=0)
    found = lines(tmp_path)
    assert done.steps == len(found) == 24
    assert done.rows == 6 * 32
    assert set(found[0]) == {
        "stage", "step", "epoch", "seconds", "lr", "loss", "terms", "grad_norm", "rows", "tokens", "places", "phases",
        "memory_bytes",
    }  # fmt: skip
    assert found[-1]["epoch"] == 6.0
    assert found[0]["loss"] == pytest.approx(sum(found[0]["terms"].values()))
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]
    assert set(found[0]["phases"]) == {"data", "losses", "gradients", "update"}
    assert sum(sum(line["phases"].values()) for line in found) == pytest.approx(done.seconds, rel=1e-3)
    assert found[0]["places"] >= found[0]["tokens"] > 0
    assert found[-1]["memory_bytes"] > 1e7


def test_same_seed_same_numbers_other_seed_others(tmp_path):
    for slot, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(stage(), tmp_path / slot, seed)
    a, b, c = ([line["loss"] for line in lines(tmp_path / slot)] for slot in "abc")
    assert a == b
    assert a != c


def test_accumulated_parts_give_the_same_steps(tmp_path):
    whole, parts = stage(dropout=0.0), stage(OPTIM.model_copy(update={"accumulate": 2}), dropout=0.0)
    uneven = stage(OPTIM.model_copy(update={"accumulate": 3}), dropout=0.0)
    for name, each in (("whole", whole), ("parts", parts), ("uneven", uneven)):
        fit(each, tmp_path / name, seed=0)
    for name in ("parts", "uneven"):
        for one, two in zip(lines(tmp_path / "whole"), lines(tmp_path / name), strict=True):
            assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
            assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)


def test_steps_by_tokens_are_the_same_in_parts_and_after_a_cut(tmp_path):
    whole, parts = (stage(BY_TOKENS.model_copy(update={"accumulate": n}), dropout=0.0) for n in (1, 3))
    for name, each in (("whole", whole), ("parts", parts)):
        done = fit(each, tmp_path / name, seed=0)
        assert done.rows == 2 * 32
    found = lines(tmp_path / "whole")
    assert len({line["rows"] for line in found}) > 1, "as many rows as fit"
    assert max(line["tokens"] for line in found) <= 64
    assert found[-1]["epoch"] == 2.0
    for one, two in zip(found, lines(tmp_path / "parts"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
    with pytest.raises(Stop):
        fit(stage(BY_TOKENS, dropout=0.0, hook=stop_at(4)), tmp_path / "cut", seed=0, save_every_s=0.0)
    resumed = stage(BY_TOKENS, dropout=0.0)
    fit(resumed, tmp_path / "cut", seed=0)
    assert same(weights(whole.model), weights(resumed.model))


def test_so_many_steps_by_tokens(tmp_path, capsys):
    """How many rows they take is not known before; a profile then skips as many steps as it always does."""
    optim = BY_TOKENS.model_copy(update={"max_steps": 3})
    assert fit(stage(optim), tmp_path / "some", seed=0, profile=tmp_path / "trace.json").steps == 3
    assert (tmp_path / "trace.json").stat().st_size
    fit(stage(BY_TOKENS.model_copy(update={"epochs": 0.5})), tmp_path / "few", seed=0, profile=tmp_path / "none.json")
    assert "no profile: " in capsys.readouterr().err
    assert not (tmp_path / "none.json").exists()


def test_best_epoch_is_kept(tmp_path):
    scores, kept = iter([0.5, 0.9, 0.7, 0.6]), []

    def evaluate():
        assert not made.model.training
        kept.append(weights(made.model))
        return next(scores)

    made = stage(OPTIM.model_copy(update={"max_steps": None, "epochs": 4.0}), evaluate=evaluate)
    done = fit(made, tmp_path, seed=0)
    assert done.score == 0.9
    assert same(weights(made.model), kept[1])
    written = [json.loads(text) for text in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [line["score"] for line in written] == [0.5, 0.9, 0.7, 0.6]


def test_frozen_weights_stay_byte_identical(tmp_path):
    made = stage()
    made.model.base_model.embeddings.requires_grad_(False)
    before = weights(made.model)
    fit(made, tmp_path, seed=0)
    after = weights(made.model)
    frozen = [name for name in before if ".embeddings." in name]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_scaffold_learns_and_is_no_part_of_the_result(tmp_path):
    from safetensors import safe_open

    scaffold = nn.Linear(2, 2)
    before = weights(scaffold)
    made = stage(scaffold=scaffold)
    fit(made, tmp_path, seed=0)
    assert not same(before, weights(scaffold))
    with safe_open(tmp_path / "checkpoint" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(made.model.state_dict())
    files = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert files == ["model.safetensors", "position.json", "scaffold.safetensors"]


def test_what_a_stage_needs_is_made_once_before_its_bar(tmp_path, monkeypatch):
    from dataclasses import replace

    from edgedistill.training import loop

    seen = []
    shown = loop.progress
    monkeypatch.setattr(loop, "progress", lambda *given: seen.append("bar") or shown(*given))
    made = replace(stage(), prepare=lambda: seen.append("prepared"))
    for _ in range(2):  # the second time it is finished
        fit(made, tmp_path, seed=0)
    assert seen == ["prepared", "bar"]


def test_pairs_are_counted_without_padding():
    from edgedistill.data.batches import Encoded
    from edgedistill.training.stage import valid_pairs

    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    tokens = Encoded(mask, mask, mask)
    assert valid_pairs(Batch(("a", "b"), tokens, tokens)) == 9 + 4


def test_loss_that_is_not_finite_stops_with_the_rows(tmp_path):
    made = stage()
    with torch.no_grad():
        made.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 1: the loss term 'labels' is nan.*Lower the learning rate"):
        fit(made, tmp_path, seed=0)
    bad = json.loads((tmp_path / BAD_BATCH).read_text())
    assert len(bad["row_ids"]) == len(bad["input_ids"]) == 8
    batch = TinyRows(32).batch(torch.tensor([int(row.split("-")[1]) for row in bad["row_ids"]]))
    for saved, ids, mask in zip(
        bad["input_ids"], batch.student.input_ids, batch.student.attention_mask.bool(), strict=True
    ):
        assert saved == ids[mask].tolist()
    assert bad["terms"]["labels"] == "nan"
    assert not (tmp_path / "checkpoint").exists()


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    fit(stage(), tmp_path / "steady", seed=0)
    jumps = itertools.cycle([4e9, 0.0, 1.7e9, -5.0])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with pytest.raises(Stop):
        fit(stage(hook=stop_at(4)), tmp_path / "jumping", seed=0, save_every_s=0.0)
    done = fit(stage(), tmp_path / "jumping", seed=0)
    assert 0 < done.seconds < 600
    for one, two in zip(lines(tmp_path / "steady"), lines(tmp_path / "jumping"), strict=True):
        assert 0 <= two["seconds"] < 600
        costs = {"seconds": 0, "phases": {}, "memory_bytes": 0}
        assert {**one, **costs} == {**two, **costs}
    saved = [tmp_path / name / "checkpoint" / "model.safetensors" for name in ("steady", "jumping")]
    assert saved[0].read_bytes() == saved[1].read_bytes()


def test_nothing_to_train_is_refused(tmp_path):
    made = stage()
    made.model.requires_grad_(False)
    with pytest.raises(TrainingError, match="every parameter is frozen"):
        fit(made, tmp_path, seed=0)


def test_no_loss_is_refused(tmp_path):
    made = Stage("empty", tiny_model(), TinyRows(8), lambda batch: {}, OPTIM)
    with pytest.raises(TrainingError, match="every weight is 0"):
        fit(made, tmp_path, seed=0)


def events(board):
    """Every scalar that TensorBoard shows: tag to {step: value}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(board), size_guidance={"scalars": 0})
    read.Reload()
    return {tag: {event.step: event.value for event in read.Scalars(tag)} for tag in read.Tags()["scalars"]}


def test_tensorboard_gets_the_same_numbers(tmp_path):
    board, optim = tmp_path / "board", OPTIM.model_copy(update={"max_steps": None, "epochs": 2.0})
    with pytest.raises(Stop):
        fit(stage(optim, hook=stop_at(3)), tmp_path / "slot", seed=0, tensorboard=board, save_every_s=0.0)
    fit(stage(optim, evaluate=lambda: 0.5), tmp_path / "slot", seed=0, tensorboard=board)
    shown = events(board)
    for name in ("loss", "lr", "grad_norm"):
        assert shown[f"train/{name}"] == {line["step"]: pytest.approx(line[name]) for line in lines(tmp_path / "slot")}
    for term in ("labels", "words"):
        assert shown[f"train/{term}"] == {
            line["step"]: pytest.approx(line["terms"][term]) for line in lines(tmp_path / "slot")
        }
    assert shown["train/score"] == {4: 0.5, 8: 0.5}


@pytest.mark.parametrize("want", [Want(), Want(hidden=True, attentions=True)])
def test_half_precision_reaches_no_loss(want):
    model = tiny_model()
    probe = next(TinyRows(8).epoch(0, 0, 8))
    whole = answer(model, probe.student, want)
    with torch.autocast("cpu", torch.bfloat16):
        half = answer(model, probe.student, want)
    for one, two in zip(flat(whole), flat(half), strict=True):
        assert two.dtype == torch.float32
        assert torch.allclose(one, two, atol=0.05)
    assert not torch.equal(whole.logits, half.logits), "nothing was computed in bf16"


def flat(outputs):
    return [outputs.logits, *outputs.hidden, *outputs.attentions]


def test_bf16_trains_as_fp32_does(tmp_path):
    found = {}
    for precision in ("no", "bf16"):
        optim = OPTIM.model_copy(update={"mixed_precision": precision})
        fit(stage(optim, dropout=0.0), tmp_path / precision, seed=0)
        found[precision] = lines(tmp_path / precision)
    for one, two in zip(found["no"], found["bf16"], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=0.02)
    assert found["no"] != found["bf16"]


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # torch's own, about its compiler
@needs("g++")
def test_a_compiled_model_learns_the_same_and_is_saved_as_itself(tmp_path):
    found, models = {}, {}
    for name, compiles in (("as it is", False), ("compiled", True)):
        one = stage(OPTIM.model_copy(update={"compile": compiles}), dropout=0.0)
        fit(one, tmp_path / name, seed=0)
        found[name], models[name] = lines(tmp_path / name), one.model
    for one, two in zip(found["as it is"], found["compiled"], strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    assert models["compiled"].state_dict().keys() == models["as it is"].state_dict().keys()
    assert models["compiled"]._compiled_call_impl is None


def test_batches_made_ahead_come_in_order_and_their_errors_come_through():
    rows = list(TinyRows(32).epoch(0, 0, 8))
    assert [batch.row_ids for batch in _ahead(iter(rows))] == [batch.row_ids for batch in rows]

    def broken():
        yield rows[0]
        raise OSError("the file is gone")

    ahead = _ahead(broken())
    assert next(ahead) is rows[0]
    with pytest.raises(OSError, match="the file is gone"):
        next(ahead)
    stopped = _ahead(iter(rows))
    next(stopped)
    stopped.close()  # what was being made is let go
    with pytest.raises(StopIteration):
        next(stopped)


def test_a_processor_is_fed_as_it_comes():
    batches = TinyRows(8).epoch(0, 0, 8)
    assert fed(batches, torch.device("cpu")) is batches


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "traced"), [(1, 1), (4, 3), (20, 3)])
def test_a_profile_holds_some_steps_after_others(tmp_path, capfd, steps, traced):
    optim = OPTIM.model_copy(update={"max_steps": steps})
    trace = tmp_path / "profile" / "train.json"
    straight, profiled = stage(optim), stage(optim)
    fit(straight, tmp_path / "straight", seed=0)
    fit(profiled, tmp_path / "slot", seed=0, profile=trace)
    assert same(weights(straight.model), weights(profiled.model)), "being watched changes nothing"
    names = [event.get("name") for event in json.loads(trace.read_text())["traceEvents"]]
    assert names.count("gradients") == traced
    assert f"profile of {traced} step" in capfd.readouterr().err
    assert os.listdir(trace.parent) == ["train.json"]
