import pytest
import torch

from edgedistill.errors import ConfigError
from edgedistill.recipes import Ingredients, finetune
from tests.recipes.kitchen import TASKS, cook, ingredients, smoke_config, write_kind

NAME = "finetune"


@pytest.mark.slow
def test_learns_what_can_be_learnt(tmp_path):
    from edgedistill.training.judging import model_logits, scored

    made = ingredients(tmp_path)
    student, lines = cook(NAME, smoke_config(NAME, max_steps=200, lr=3e-3), made, tmp_path / "run")
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    rows = made.data.train  # 16 development rows say little of a model this tiny
    assert scored(model_logits(student, rows, made.data.task.kind), rows, made.data) >= 0.9


@pytest.mark.parametrize("kind", ["pair", "regression", "ranking", "span", "tokens"])
@pytest.mark.slow
def test_every_kind_of_task_with_a_new_head(tmp_path, kind):
    write_kind(tmp_path / "data", kind)
    made = ingredients(tmp_path, TASKS[kind], tmp_path / "data", head="bare")
    student, lines = cook(NAME, smoke_config(NAME, max_steps=3), made, tmp_path / "run")
    assert len(lines) == 3
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


@pytest.mark.slow
def test_learns_to_rank_whatever_parts_a_step_is_cut_into(tmp_path):
    write_kind(tmp_path / "data", "ranking")
    made = ingredients(tmp_path, TASKS["ranking"], tmp_path / "data", head="bare")
    one, whole = cook(NAME, smoke_config(NAME), made, tmp_path / "8")
    _, parts = cook(NAME, smoke_config(NAME, accumulate=2), made, tmp_path / "2x4")
    assert [line["loss"] for line in parts] == pytest.approx([line["loss"] for line in whole], rel=1e-4)
    assert one.config.num_labels == 1
    assert sum(line["rows"] for line in whole) > 8 * 6
    _, longer = cook(NAME, smoke_config(NAME, max_steps=80, lr=3e-3), made, tmp_path / "long")
    assert longer[-1]["loss"] < 0.7 * longer[0]["loss"]


def test_needs_a_start(tmp_path):
    made = ingredients(tmp_path)
    with pytest.raises(ConfigError, match="--student"):
        finetune.build_student(smoke_config(NAME), Ingredients(data=made.data, teacher=None))


def test_settings_below_a_key_keep_the_recipes_defaults():
    cfg = smoke_config("mobilebert", {"distill_optim": {"epochs": 2}, "transfer": {"attention": 0}})
    assert (cfg.distill_optim.lr, cfg.distill_optim.epochs) == (1e-3, 2)
    assert (cfg.transfer.feature, cfg.transfer.attention) == (1.0, 0)
