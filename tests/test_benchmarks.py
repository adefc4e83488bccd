"""What the benchmarks' own arithmetic says, where it can be counted by hand."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgedistill.config import build
from edgedistill.data.encoding import Encoding, pad
from edgedistill.models.bilstm import BiLstmConfig, bilstm_for
from edgedistill.models.multitask import TaskHead, multitask_bert
from edgedistill.models.seq2seq import Decoding, Shape, set_decoding, transformer
from edgedistill.recipes import finetune
from edgedistill.reports import STUDENT_CARD
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module


def test_macs_of_a_bilstm_are_those_of_its_gates_and_layers(script, tmp_path):
    words, state, layer, classes, tokens = 6, 5, 7, 2, 9
    config = BiLstmConfig(
        vocab_size=len(vocabulary()), embedding_size=words, channels="tuned", lstm_size=state, fc_size=layer,
        num_labels=classes,
    )  # fmt: skip
    save_checkpoint(tmp_path, bilstm_for(config, None))
    by_hand = 2 * 4 * state * (words + state) * tokens + 2 * state * layer + layer * classes
    assert script("recipe_costs").macs(tmp_path, tokens) == by_hand


def test_macs_of_a_bert_count_attention(script, tmp_path):
    model = tiny_model("bert")
    save_checkpoint(tmp_path, model)
    config, tokens = model.config, 9
    width, inner = config.hidden_size, config.intermediate_size
    layer = tokens * (4 * width * width + 2 * width * inner) + 2 * tokens * tokens * width
    by_hand = config.num_hidden_layers * layer + width * width + width * config.num_labels
    assert script("recipe_costs").macs(tmp_path, tokens) == by_hand


def test_longer_leaves_stages_alone_that_count_steps(script):
    settings = {"optim": {"epochs": 2, "lr": 1.0}, "general_optim": {"max_steps": 3}, "polish_optim": None, "alpha": 1}
    longer = script("compare").longer(settings, 4)
    assert longer == settings | {"optim": {"epochs": 8, "lr": 1.0}}


def test_a_student_of_a_former_plan_is_refused(script, tmp_path):
    compare, had = (
        script("compare"),
        build(finetune.Config, {"optim": {"epochs": 2}}, "finetune").model_dump(mode="json"),
    )
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / STUDENT_CARD).write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"config": had}))
    assert compare.trained("finetune", tmp_path, {"optim": {"epochs": 2}, "seed": 0}) == tmp_path / "student"
    with pytest.raises(SystemExit, match="trained with other settings: optim"):
        compare.trained("finetune", tmp_path, {"optim": {"epochs": 8}, "seed": 0})


def test_macs_under_every_head_add_each_heads_own(script, tmp_path):
    torch.manual_seed(0)
    heads = [TaskHead(name="rte", kind="pair", labels=("yes", "no")), TaskHead(name="stsb", kind="regression")]
    whole = multitask_bert(tiny_model("bert", "bare"), heads)
    save_checkpoint(tmp_path / "both", whole)
    save_checkpoint(tmp_path / "one", tiny_model("bert"))
    of_one, width = script("recipe_costs").macs(tmp_path / "one", 9), whole.config.hidden_size
    pooled_again = width * width  # each head is exported with the pooler in front of it
    assert script("several_tasks").macs_of_all(tmp_path / "both", 9) == of_one + pooled_again + width


def test_a_gain_by_the_ensemble_is_over_the_same_tasks_without_it(script):
    def answered(right):
        return script("compare").Answers(4, lambda w: (w * right).sum(axis=1) / w.sum(axis=1))

    module = script("several_tasks")
    found = {module.ALONE: [1, 1, 1, 1], module.LABELS: [1, 1, 0, 0], module.WHOLE: [1, 1, 1, 0]}
    row = module._row("rte", {name: {"rte": answered(np.array(right))} for name, right in found.items()},
                      answered(np.array([1, 0, 0, 0])))  # fmt: skip
    assert row["gain_by_ensemble"]["points"] == pytest.approx(25)
    assert row["students"][module.WHOLE]["gain"]["points"] == pytest.approx(-25)
    assert row["ensemble"]["score"] == pytest.approx(0.25)


def test_texts_that_are_written_cost_more_with_more_beams(script, tmp_path):
    torch.manual_seed(0)
    student = transformer(Shape(layers=1, hidden_size=16, ffn_size=32, heads=2), tiny_tokenizer(), len(vocabulary()))
    set_decoding(student, Decoding(beams=3), 12, [])
    save_checkpoint(tmp_path, student)
    costs = script("writing_costs")
    given = [pad([Encoding((2, 7, 8, 3), (0, 0, 0, 0))])]
    found = costs.macs(tmp_path, given)
    assert found["greedy"]["macs"] < found["beams"]["macs"]
    assert (found["beams"]["beams"], found["greedy"]["beams"]) == (3, 1)
    assert 1 <= found["greedy"]["words"] <= 12
    assert costs.macs(tmp_path, given * 2) == found  # means


def test_a_recipe_without_a_part_is_compared_with_the_recipe_and_with_the_answers_alone(script, monkeypatch):
    parts = script("recipe_parts")
    plan = {
        "recipes": {"pkd": {"answers": {"beta": 0}, "recipe": {"alpha": 2}}},
        "parts": {"pkd": {"recipe": {"no labels": {"alpha": 1}}, "answers": {"no start": {}}}},
    }
    trained = []

    def row(options, plan, recipe, name, start, chosen):
        trained.append((name, start, chosen))
        return {"answers": name}

    monkeypatch.setattr(parts, "_row", row)
    monkeypatch.setattr(parts.compare, "gain", lambda before, after: f"{before} -> {after}")
    found = parts._rows(None, plan, "pkd")
    assert trained == [
        (parts.ANSWERS, "answers", {"beta": 0}),
        (parts.RECIPE, "recipe", {"alpha": 2}),
        ("no labels", "recipe", {"alpha": 1}),
        ("no start", "answers", {"alpha": 2}),
    ]
    assert [one["over_answers"] for one in found] == [
        None,
        *(f"{parts.ANSWERS} -> {name}" for name in (parts.RECIPE, "no labels", "no start")),
    ]
    assert [one["over_recipe"] for one in found] == [
        None,
        None,
        *(f"{parts.RECIPE} -> {name}" for name in ("no labels", "no start")),
    ]
