"""What the benchmarks' own arithmetic says, where it can be counted by hand."""

import importlib
from pathlib import Path

import pytest

from edgedistill.models.bilstm import BiLstmConfig, bilstm_for
from tests.support import save_checkpoint, tiny_model, vocabulary


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
