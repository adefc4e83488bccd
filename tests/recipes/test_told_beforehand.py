"""What no recipe can do with what it was given: told before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgedistill import plugins
from edgedistill.cli.verbs import edgedistill
from edgedistill.config import build
from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.bilstm import BiLstmConfig, bilstm_for
from edgedistill.models.fastbert import fastbert_for
from edgedistill.models.shortened import shorten
from tests.recipes.kitchen import TASKS, write_kind
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary

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


@pytest.fixture
def task(tmp_path: Path) -> tuple[str | Path, ...]:
    write_kind(tmp_path / "data", "single")
    (tmp_path / "task.yaml").write_text(TASKS["single"].model_dump_json(exclude_defaults=True), encoding="utf-8")
    return "--task", tmp_path / "task.yaml", "--data", tmp_path / "data", "--out", tmp_path / "run"


@pytest.mark.parametrize("name", BUILT_AROUND)
def test_a_teacher_without_layers_is_refused(name: str, bilstm: Path, task: tuple[str | Path, ...]) -> None:
    assert "no layers one above the other" in refused("distill", name, "--teacher", bilstm, *task).stderr


def test_layers_that_are_not_there_have_no_rates_of_their_own(bilstm: Path, task: tuple[str | Path, ...]) -> None:
    given = "--teacher", bilstm, *task, "--set", "optim.layer_decay=0.9", "--dry-run"
    assert "layer_decay: this model has no layers" in refused("distill", "bilstm", *given).stderr


def test_branches_above_all_layers_have_one_rate(task: tuple[str | Path, ...]) -> None:
    given = "--student", "minilm", *task, "--set", "distill_optim.layer_decay=0.9", "--dry-run"
    assert "distill_optim.layer_decay: layers are frozen then" in refused("distill", "fastbert", *given).stderr


def test_a_family_without_an_encoder_to_share_is_named(bilstm: Path, task: tuple[str | Path, ...]) -> None:
    message = refused("distill", "mtdnn_kd", "--teacher", bilstm, *task).stderr
    assert "is of the family 'bilstm', which has no model without a head" in message
    assert "Save the checkpoint again" not in message


def test_a_teacher_of_a_task_that_is_not_learnt_is_named(bilstm: Path, task: tuple[str | Path, ...]) -> None:
    message = refused("distill", "mtdnn_kd", "--student", bilstm, "--teacher", f"other={bilstm}", *task).stderr
    assert "'other' is none of the tasks" in message


def test_a_teacher_of_another_task_than_the_one_is_named(bilstm: Path, task: tuple[str | Path, ...]) -> None:
    message = refused("distill", "pkd", "--teacher", f"other={bilstm}", *task).stderr
    assert "'other' is none of the tasks o. Name one." in message


def test_a_teacher_may_be_given_with_the_task_that_it_is_for(tmp_path: Path, task: tuple[str | Path, ...]) -> None:
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(labels=("no", "yes")), tiny_tokenizer())
    settings = "--set", "num_layers=1", "--set", "beta=0", "--dry-run"
    given = ("distill", "pkd", "--teacher", f"o={teacher}", *map(str, task), *settings)
    result = CliRunner().invoke(edgedistill, given, prog_name="edgedistill")
    assert result.exit_code == 0, result.output


def test_vectors_that_cannot_be_read_are_refused(bilstm: Path, tmp_path: Path, task: tuple[str | Path, ...]) -> None:
    """A broken line is found although the words are looked up after the first stages only."""
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(labels=("no", "yes")), tiny_tokenizer())
    (tmp_path / "vectors.txt").write_text("film 1 2\nbad 1 two\n", encoding="utf-8")
    given = "--teacher", teacher, *task, "--set", f"augment_vectors={tmp_path / 'vectors.txt'}", "--dry-run"
    assert "vectors.txt, line 2" in refused("distill", "tinybert", *given).stderr


def test_vectors_of_too_few_words_are_refused(tmp_path: Path, task: tuple[str | Path, ...]) -> None:
    teacher = save_checkpoint(tmp_path / "teacher", tiny_model(labels=("no", "yes")), tiny_tokenizer())
    (tmp_path / "vectors.txt").write_text("film 1 2\nxyzzy 3 4\n", encoding="utf-8")
    given = "--teacher", teacher, *task, "--set", f"augment_vectors={tmp_path / 'vectors.txt'}", "--dry-run"
    assert "1 of the vocabulary's words have a vector" in refused("distill", "tinybert", *given).stderr


def test_layers_with_classifiers_of_their_own_are_not_taken_one_by_one() -> None:
    model = fastbert_for(tiny_model(), size=8)
    with pytest.raises(CheckpointError, match="Start from the bert that it was made of"):
        shorten(model, (1, 2))


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
