"""Teachers without layers, and losses of which nothing is left: told before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgedistill import plugins
from edgedistill.cli.verbs import edgedistill
from edgedistill.config import build
from edgedistill.errors import ConfigError
from edgedistill.models.bilstm import BiLstmConfig, bilstm_for
from tests.recipes.kitchen import TASKS, write_kind
from tests.support import save_checkpoint, tiny_tokenizer, vocabulary

BUILT_AROUND = ["distilbert", "mobilebert", "pkd", "tinybert"]
"""Recipes whose students are made of their teacher's layers, or to match them."""


@pytest.fixture(scope="module")
def bilstm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = BiLstmConfig(
        vocab_size=len(vocabulary()), embedding_size=4, channels="tuned", lstm_size=3, fc_size=4, num_labels=2,
        id2label={0: "no", 1: "yes"},
    )  # fmt: skip
    return save_checkpoint(tmp_path_factory.mktemp("bilstm"), bilstm_for(config, None), tiny_tokenizer())


def refused(*words: str | Path) -> Result:
    result = CliRunner().invoke(edgedistill, [str(word) for word in words], prog_name="edgedistill")
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize("name", BUILT_AROUND)
def test_a_teacher_without_layers_is_refused(name: str, bilstm: Path, tmp_path: Path) -> None:
    write_kind(tmp_path / "data", "single")
    (tmp_path / "task.yaml").write_text(TASKS["single"].model_dump_json(exclude_defaults=True), encoding="utf-8")
    given = "--teacher", bilstm, "--task", tmp_path / "task.yaml", "--data", tmp_path / "data"
    assert "no layers one above the other" in refused("distill", name, *given, "--out", tmp_path / "run").stderr


def test_no_shapes_are_planned_around_a_teacher_without_layers(bilstm: Path) -> None:
    assert "no layers one above the other" in refused("plan", "--teacher", bilstm, "--target", "onnx").stderr


@pytest.mark.parametrize(
    ("name", "settings", "where"),
    [
        ("mobilebert", {"distill": {"feature": 0, "mean": 0, "variance": 0, "attention": 0, "logits": 0}}, "distill"),
        ("tinybert", {"intermediate": {"embedding": 0, "attention": 0, "hidden": 0}}, "intermediate"),
        ("distilbert", {"words": {"soft": 0, "hidden_words": 0, "cosine": 0}}, "words"),
        ("distilbert", {"answers": {"soft": 0, "labels": 0}}, "answers"),
        ("mtdnn_kd", {"soft": 0, "labels": 0}, "soft, labels"),
    ],
)
def test_losses_of_nothing_are_refused(name: str, settings: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError, match=rf"{where}: .*nothing would be learnt"):
        build(plugins.load("recipes", name).Config, settings, name)
