import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgedistill import reports
from edgedistill.data.batches import Encoded
from edgedistill.errors import CheckpointError, ConfigError, DataError
from edgedistill.models.answers import answer
from edgedistill.pipeline.distill import distill
from edgedistill.recipes import Ingredients, fastbert
from tests.recipes.kitchen import TASKS, cook, ingredients, smoke_config, write_kind, write_uneven_task
from tests.recipes.test_mobilebert import Unlabelled
from tests.support import save_checkpoint, tiny_model

NAME = "fastbert"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ingredients(tmp_path_factory.mktemp("kitchen"))


def settings(optim=None, **values):
    return smoke_config(NAME, {"classifier_size": 16, **values}, **{"max_steps": 2, **(optim or {})})


def states(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def is_branch(name):
    return name.startswith("exits.") and not name.startswith("exits.3.")


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_stages_train_what_the_paper_says_and_nothing_else(given, tmp_path):
    seen = {}
    student, lines = cook(
        NAME, settings(), given, tmp_path, on_step=lambda stage, model: seen.setdefault(stage, states(model))
    )
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["finetune", "distill"]
    in_finetuning, in_distillation = (
        changed(seen["finetune"], seen["distill"]),
        changed(seen["distill"], states(student)),
    )
    assert in_finetuning
    assert not any(is_branch(name) for name in in_finetuning)
    assert any(name.startswith("bert.") for name in in_finetuning)
    assert {name.split(".")[1] for name in in_distillation} == {"0", "1", "2"}
    assert all(is_branch(name) for name in in_distillation), "layers and last classifier must stay bit for bit"


@pytest.mark.slow
def test_every_branch_has_its_term_and_branches_learn(given, tmp_path):
    _, lines = cook(NAME, settings({"max_steps": 60, "lr": 3e-3}), given, tmp_path)
    distilled = [line for line in lines if line["stage"] == "distill"]
    assert list(distilled[0]["terms"]) == ["exit_01", "exit_02", "exit_03"]
    for name in distilled[0]["terms"]:
        ends = [sum(line["terms"][name] for line in part) for part in (distilled[:10], distilled[-10:])]
        assert ends[1] < 0.7 * ends[0]


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_loss_is_0_for_a_branch_that_answers_as_the_last_but_for_a_constant(given, direction):
    cfg = settings(kl_direction=direction)
    student = fastbert.build_student(cfg, given)
    batch = next(iter(given.data.train.all(8)))
    step = fastbert._self_distillation(cfg, student)
    last = student.exit_logits(batch.student)[:, -1:].detach()
    student.exit_logits = lambda encoded: torch.cat((last + 3.0, last - 1.0, last + 0.5, last), dim=1)
    assert all(abs(term.item()) < 1e-6 for term in step(batch).values())
    student.exit_logits = lambda encoded: torch.cat((last * 2, last * 2, last * 2, last), dim=1)
    assert all(term.item() > 1e-3 for term in step(batch).values())


def test_directions_differ(given, tmp_path):
    _, forward = cook(NAME, settings(), given, tmp_path / "forward")
    _, reverse = cook(NAME, settings(kl_direction="reverse"), given, tmp_path / "reverse")
    assert forward[0]["terms"] == reverse[0]["terms"]
    assert forward[2]["terms"]["exit_01"] != pytest.approx(reverse[2]["terms"]["exit_01"], rel=1e-2)


@pytest.mark.parametrize("teacher_eval", [True, False])
def test_the_teaching_classifier_has_no_dropout_unless_asked(tmp_path, teacher_eval):
    made = ingredients(tmp_path, dropout=0.3)
    cfg = settings(teacher_eval=teacher_eval)
    student = fastbert.build_student(cfg, made)
    student.requires_grad_(False)
    student.exits[:-1].requires_grad_(True)
    batch, heard = next(iter(made.data.train.all(8))), []
    plain = student.exit_logits
    student.exit_logits = lambda encoded: heard.append(plain(encoded)) or heard[-1]
    step = fastbert._self_distillation(cfg, student)
    for _ in range(2):
        student.train()  # as the loop does at every epoch's start
        sum(step(batch).values()).backward()
    assert torch.equal(heard[0][:, -1], heard[1][:, -1]) == teacher_eval
    assert not torch.equal(heard[0][:, 0], heard[1][:, 0]), "branches keep theirs"
    assert {name.split(".")[1] for name, p in student.named_parameters() if p.grad is not None} == {"0", "1", "2"}


def test_a_fine_tuned_checkpoint_keeps_its_head_and_needs_no_labels(given, tmp_path):
    unlabelled = replace(given, data=replace(given.data, train=Unlabelled(given.data.train)))
    student, lines = cook(NAME, settings(finetune_optim=None), unlabelled, tmp_path)
    assert {line["stage"] for line in lines} == {"distill"}
    batch = next(iter(given.data.train.all(8)))
    with torch.no_grad():
        assert torch.equal(answer(student.eval(), batch.student).logits, given.teacher(batch).logits)
    with pytest.raises(DataError, match="no labels to learn from"):
        cook(NAME, settings(), unlabelled, tmp_path / "with")


def test_corpus_feeds_the_self_distillation(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the film is in the scene\n" * 24, encoding="utf-8")
    _, lines = cook(NAME, settings(), ingredients(tmp_path, corpus=corpus), tmp_path / "run")
    assert {line["tokens"] for line in lines if line["stage"] == "distill"} == {8 * 8}
    assert len({line["tokens"] for line in lines if line["stage"] == "finetune"}) > 1


def test_pairs(tmp_path):
    write_kind(tmp_path / "data", "pair")
    made = ingredients(tmp_path, TASKS["pair"], tmp_path / "data", labels=("no", "yes"))
    student, _ = cook(NAME, settings(), made, tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_a_bare_encoder_gets_its_head_from_the_labels(tmp_path):
    made = ingredients(tmp_path, head="bare")
    _, lines = cook(NAME, settings(), made, tmp_path / "run")
    assert {line["stage"] for line in lines} == {"finetune", "distill"}
    with pytest.raises(ConfigError, match="has no head for the task's 2 labels"):
        fastbert.build_student(settings(finetune_optim=None), made)


def test_a_fastbert_can_be_gone_on_with(given, tmp_path):
    first, _ = cook(NAME, settings(), given, tmp_path / "first")
    folder = save_checkpoint(tmp_path / "saved", first)
    again = replace(given, start=str(folder))
    second, lines = cook(NAME, settings(finetune_optim=None), again, tmp_path / "second")
    assert {line["stage"] for line in lines} == {"distill"}
    assert all(is_branch(name) for name in changed(states(first), states(second)))
    with pytest.raises(ConfigError, match=r"classifier_size: --student .* has another shape"):
        fastbert.build_student(settings(classifier_size=32), again)


def test_what_cannot_be_started_from_is_refused(given, tmp_path):
    with pytest.raises(ConfigError, match="--student or --teacher"):
        fastbert.build_student(settings(), Ingredients(data=given.data, teacher=None))
    other = save_checkpoint(tmp_path / "distilbert", tiny_model("distilbert"))
    with pytest.raises(CheckpointError, match="not a distilbert"):
        fastbert.build_student(settings(), replace(given, start=str(other)))


def test_the_papers_and_its_codes_ways():
    paper, code = (fastbert.Config(fidelity=name) for name in ("paper", "reference"))
    assert (paper.kl_direction, paper.teacher_eval, paper.keep_best) == ("reverse", True, True)
    assert (code.kl_direction, code.teacher_eval, code.keep_best, code.flops_count) == (
        "forward",
        False,
        False,
        "reference",
    )
    # Stage 2's rate falls over stage 1's three epochs and is 0 after; no weight decays.
    assert (code.distill_optim.epochs, code.distill_optim.lr) == (code.finetune_optim.epochs, 2e-4)
    assert code.distill_optim.weight_decay == code.finetune_optim.weight_decay == 0.0
    own = fastbert.Config.model_validate(
        {"fidelity": "reference", "keep_best": True, "finetune_optim": None, "distill_optim": {"epochs": 7}}
    )
    assert (own.keep_best, own.finetune_optim) == (True, None)
    assert (own.distill_optim.epochs, own.distill_optim.weight_decay, own.distill_optim.lr) == (7, 0.0, 2e-4)
    assert fastbert.Config.model_validate(code.model_dump()) == code


def test_the_references_way_keeps_the_last_epoch(given, tmp_path):
    student = fastbert.build_student(settings(), given)
    scored = {
        fidelity: [stage.evaluate is not None for stage in fastbert.stages(settings(fidelity=fidelity), given, student)]
        for fidelity in ("corrected", "reference")
    }
    assert scored == {"corrected": [True, True], "reference": [True, False]}


def test_speed_0_is_the_whole_model_on_a_trained_student(given, tmp_path):
    from edgedistill.models.early_exit import answer_early

    student, _ = cook(NAME, settings(), given, tmp_path)
    for batch in given.data.dev.all(1):
        alone: Encoded = batch.student
        found = answer_early(student, alone, 0.0)
        with torch.no_grad():
            assert torch.equal(found.logits, answer(student, alone).logits)
        assert found.layers.item() == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_cost": 0.5, "max_ms": 2}, "Give one of them"),
        ({"exit_ms": [1, 2, 3, 4]}, "Set max_ms too"),
        ({"max_ms": 2, "exit_ms": [1, 3, 2, 4]}, "none below the one before it"),
        ({"max_ms": 2, "exit_ms": [0, 1, 2, 3]}, "above 0"),
    ],
)
def test_one_target_decides_the_speed(values, message):
    with pytest.raises(ConfigError, match=message):
        settings(**values)


def test_every_exit_has_its_time(given):
    with pytest.raises(ConfigError, match="exit_ms: 3 times for the 4 exits"):
        fastbert.build_student(settings(max_ms=2, exit_ms=[1, 2, 3]), given)


@pytest.mark.slow
@pytest.mark.parametrize("times", [None, [1.0, 2.0, 3.0, 4.0]])
def test_a_latency_is_met_from_the_command_line(tmp_path, times):
    """Times of a phone are given, or this computer's are measured; both are written down beside the speed."""
    data = write_uneven_task(tmp_path / "data")
    start = save_checkpoint(tmp_path / "start", tiny_model())
    small = {name: {"max_steps": 2, "batch_size": 8} for name in ("finetune_optim", "distill_optim")}
    config = {"max_length": 32, "max_ms": 2.5 if times else 1e6, **small, **({"exit_ms": times} if times else {})}
    folder = distill(NAME, task="sst2", student=start, data=data, out=tmp_path / "run", config=config)
    report = reports.read(reports.ExitReport, folder / reports.EXITS)
    assert (report.max_ms, len(report.exit_ms)) == (config["max_ms"], 4)
    chosen = next(each for each in report.dev if each.speed == report.speed)
    assert np.dot(chosen.left_at, report.exit_ms) <= report.max_ms
    if times:
        assert chosen.mean_layers <= 2.5
    assert json.loads((folder / "config.json").read_text())["speed"] == report.speed
