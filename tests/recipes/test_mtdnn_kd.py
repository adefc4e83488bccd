from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from edgedistill.data.tasks import find_task
from edgedistill.errors import ConfigError
from edgedistill.losses.labels import label_loss
from edgedistill.models.answers import answer
from edgedistill.models.loading import load
from edgedistill.models.outputs import Outputs
from edgedistill.recipes import Ingredients, mtdnn_kd
from edgedistill.training.teachers import averaged
from tests.recipes.kitchen import cook, ingredients, smoke_config, with_other_tasks

NAME = "mtdnn_kd"


def several(folder: Path, *kinds: str) -> Ingredients:
    """Tasks that have labels and no teacher."""
    return replace(with_other_tasks(folder, *kinds), teacher=None)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stages_of(given: Ingredients, **settings: object):
    cfg = smoke_config(NAME, {"members": 0, **settings})
    student = mtdnn_kd.build_student(cfg, given)
    return student, list(mtdnn_kd.stages(cfg, given, student))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_equal_teachers_are_one_teacher_and_order_does_not_matter(average):
    one, other = logits(4, 3), logits(4, 3, seed=1)
    alone = averaged(torch.stack([one, one, one]), average)
    torch.testing.assert_close(alone.softmax(dim=-1), one.softmax(dim=-1))
    together = averaged(torch.stack([one, other]), average)
    torch.testing.assert_close(together, averaged(torch.stack([other, one]), average))
    assert together.softmax(dim=-1).sum(dim=-1).tolist() == pytest.approx([1.0] * 4, abs=1e-6)


def test_averages_probabilities():
    both = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]], dtype=torch.float64).log()
    assert averaged(both, "probabilities").exp()[0].tolist() == pytest.approx([0.7, 0.3])


def test_sure_teachers_give_the_cross_entropy():
    given, labels = logits(4, 3), torch.tensor([0, 2, 1, 1])
    sure = F.one_hot(labels, 3).double() * 200.0
    found = mtdnn_kd.soft_loss(mtdnn_kd.Config(), "single", given, sure)
    assert found.item() == pytest.approx(label_loss("single", given, labels).item(), rel=1e-9)


def test_sure_teachers_and_labels_are_twice_the_cross_entropy(tmp_path):
    given = several(tmp_path)

    class Sure:
        facts = None

        def __call__(self, batch, want):
            return Outputs(logits=F.one_hot(batch.labels, 2).float() * 200.0)

    cfg = smoke_config(NAME, {"members": 0})
    student = mtdnn_kd.build_student(cfg, given).eval()
    batch = replace(next(iter(given.data.train.all(8))), task="sst2")
    terms = mtdnn_kd._step(cfg, given, student, {"sst2": Sure()})(batch)
    hard = label_loss("single", answer(student.single("sst2"), batch.student).logits, batch.labels)
    assert sum(terms.values()).item() == pytest.approx(2 * hard.item(), rel=1e-5)


def test_scores_are_compared_as_they_are():
    found = mtdnn_kd.soft_loss(
        mtdnn_kd.Config(), "regression", torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [4.0]])
    )
    assert found.item() == pytest.approx(2.0)


QUESTIONS = torch.tensor([0, 0, 0, 1, 1])


def test_candidates_of_a_question_are_the_classes_of_a_ranking():
    sure, labels = 200.0 * torch.tensor([[0.0], [1.0], [0.0], [1.0], [0.0]]), torch.tensor([0, 1, 0, 1, 0])
    given = logits(5, 1)
    found = mtdnn_kd.soft_loss(mtdnn_kd.Config(), "ranking", given, sure.double(), QUESTIONS)
    torch.testing.assert_close(found, label_loss("ranking", given, labels, QUESTIONS))
    theirs = mtdnn_kd.Config(soft_loss="mse")
    even = mtdnn_kd.soft_loss(theirs, "ranking", torch.full((5, 1), 0.5), torch.zeros(5, 1), QUESTIONS)
    assert even.item() == pytest.approx(3 * (1 / 6) ** 2 / 5)  # probabilities of 1/3 and 1/2


@pytest.mark.slow
@pytest.mark.parametrize("soft_loss", ["kl", "mse"])
def test_ranking_learns_beside_other_tasks_in_any_parts(tmp_path, soft_loss):
    given = several(tmp_path, "ranking")
    cfg = smoke_config(NAME, {"members": 1, "soft_loss": soft_loss})
    _, whole = cook(NAME, cfg, given, tmp_path / "8")
    cfg = smoke_config(NAME, {"members": 1, "soft_loss": soft_loss}, accumulate=2)
    _, parts = cook(NAME, cfg, given, tmp_path / "2x4")
    assert any("a-ranking.soft" in line["terms"] for line in whole)
    for one, two in zip(whole, parts, strict=True):
        assert two["terms"] == pytest.approx(one["terms"], rel=1e-3)


def test_the_authors_code_regresses_logits_on_probabilities():
    cfg = mtdnn_kd.Config(soft_loss="mse")
    sure = torch.tensor([[0.25, 0.75]]).log()
    found = mtdnn_kd.soft_loss(cfg, "single", torch.tensor([[1.25, 0.75]]), sure)
    assert found.item() == pytest.approx(0.5)  # (1 + 0) / 2


def test_a_task_without_a_teacher_has_exactly_the_hard_loss(tmp_path):
    given = several(tmp_path, "pair", "regression")
    student, (stage,) = stages_of(given)
    seen = set()
    student.eval()
    for batch in stage.batches.epoch(0, 0, 8):
        terms = stage.step(batch)
        kind = given.tasks[batch.task].task.kind
        wanted = label_loss(kind, answer(student.single(batch.task), batch.student).logits, batch.labels)
        assert terms.keys() == {f"{batch.task}.labels"}
        torch.testing.assert_close(terms[f"{batch.task}.labels"], wanted)
        seen.add(batch.task)
    assert seen == {"sst2", "a-pair", "a-regression"}


def test_a_teacher_of_one_task_is_heard_in_that_task_only(tmp_path):
    given = several(tmp_path, "pair")
    labels = {}

    def knows(batch, want):
        labels[batch.row_ids] = batch.labels
        return Outputs(logits=F.one_hot(batch.labels, 2).float() * 200.0)

    given = replace(given, others_teachers={"a-pair": knows})
    student, (stage,) = stages_of(given, pair_head="classifier", members=None)
    student.eval()
    for batch in stage.batches.epoch(0, 0, 8):
        terms = stage.step(batch)
        if batch.task == "a-pair":
            torch.testing.assert_close(terms["a-pair.soft"], terms["a-pair.labels"])  # one-hot: plain CE, twice
        assert ("a-pair.soft" in terms) == (batch.task == "a-pair")
    assert labels


def test_members_begin_differently_and_teach_all_tasks(tmp_path):
    given = several(tmp_path, "pair", "regression")
    cfg = smoke_config(NAME, {"dropouts": [0.1, 0.2]})
    student = mtdnn_kd.build_student(cfg, given)
    *members, last = list(mtdnn_kd.stages(cfg, given, student))
    assert [stage.name for stage in members] == ["member-1", "member-2"]
    one, two = (stage.model for stage in members)
    assert not torch.equal(one.heads["sst2_head"].classifier.weight, two.heads["sst2_head"].classifier.weight)
    assert [model.head().dropout for model in (one, two, student)] == [0.1, 0.2, 0.1]
    assert not any(parameter.requires_grad for parameter in two.parameters())
    assert last.taught_by.keys() == {"sst2", "a-pair", "a-regression"}
    for batch in last.batches.epoch(0, 0, 8):
        assert last.step(batch).keys() == {f"{batch.task}.soft", f"{batch.task}.labels"}


def test_only_the_named_tasks_are_taught(tmp_path):
    given = several(tmp_path, "pair")
    cfg = smoke_config(NAME, {"members": 1, "taught": ["a-pair"]})
    student = mtdnn_kd.build_student(cfg, given)
    last = list(mtdnn_kd.stages(cfg, given, student))[-1]
    assert last.taught_by.keys() == {"a-pair"}
    assert any(last.step(batch).keys() == {"sst2.labels"} for batch in last.batches.epoch(0, 0, 8))


def test_learns_all_kinds_together(tmp_path):
    given = several(tmp_path, "pair", "regression")
    cfg = smoke_config(NAME, {"members": 1}, max_steps=4)
    student, lines = cook(NAME, cfg, given, tmp_path / "run")
    assert [line["stage"] for line in lines] == ["member-1"] * 4 + ["student"] * 4
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


@pytest.mark.slow
def test_learns_what_can_be_learnt(tmp_path):
    from edgedistill.training.judging import model_logits, scored

    made = ingredients(tmp_path)
    student, _ = cook(NAME, smoke_config(NAME, {"members": 1}, max_steps=120, lr=3e-3), made, tmp_path / "run")
    rows = made.data.train
    assert scored(model_logits(student, rows, "single"), rows, made.data) >= 0.9


def test_settings_that_do_not_go_together_are_refused(tmp_path):
    made = ingredients(tmp_path)
    with pytest.raises(ConfigError, match="--student"):
        mtdnn_kd.build_student(mtdnn_kd.Config(), Ingredients(data=made.data, teacher=None))
    with pytest.raises(ConfigError, match="members: teachers were given"):
        mtdnn_kd.build_student(mtdnn_kd.Config(members=2), made)
    with pytest.raises(ConfigError, match="taught: 'mnli' is none of the tasks sst2"):
        mtdnn_kd.build_student(mtdnn_kd.Config(taught=("mnli",)), made)


def test_a_student_goes_on_from_a_student(tmp_path):
    from edgedistill.models.loading import save

    given = several(tmp_path, "pair")
    student, _ = stages_of(given)
    save(tmp_path / "first", student, given.data.tokenizer)
    again, _ = stages_of(replace(given, start=tmp_path / "first"))
    torch.testing.assert_close(again.bert.pooler.dense.weight, student.bert.pooler.dense.weight)
    assert load(tmp_path / "first", task="a-pair").kind == "pair"
    assert find_task("sst2").name in given.tasks
