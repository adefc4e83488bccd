from dataclasses import replace

import pytest
import torch

from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.losses.labels import label_loss
from edgedistill.losses.soft_targets import logit_mse, soft_targets
from edgedistill.models.answers import answer
from edgedistill.models.loading import load
from edgedistill.models.outputs import Want
from edgedistill.recipes import distilbert, finetune, pkd
from edgedistill.training.loop import fit
from edgedistill.training.teachers import EnsembleTeacher
from tests.recipes.kitchen import TASKS, cook, ingredients, of_other_tokens, smoke_config, write_kind
from tests.recipes.test_mobilebert import Unlabelled
from tests.support import save_checkpoint, tiny_model

NAME = "pkd"
FIRST = {"alpha": 0.0, "beta": 0.0}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return replace(ingredients(tmp_path_factory.mktemp("kitchen"), dropout=0.1), start=None)


def settings(**values):
    return smoke_config(NAME, values, max_steps=3)


def terms_of(given, **values):
    """The terms of one batch, computed by the recipe's step on a student that was just built."""
    cfg = settings(**values)
    student = pkd.build_student(cfg, given).eval()
    step = pkd._step(cfg, given.data.task.kind, given.teacher, student)
    return student, step, next(iter(given.data.train.all(8)))


def test_the_student_is_the_teachers_first_layers(given, capsys):
    student = pkd.build_student(settings(), given)
    assert "no --student: it starts from the teacher's own first 2 layers" in capsys.readouterr().err
    teacher = load(given.teacher.facts.source).model
    assert student.config.num_hidden_layers == 2
    assert all(torch.equal(value, teacher.state_dict()[name]) for name, value in student.state_dict().items())


def test_the_student_can_start_from_another_encoder(given, tmp_path):
    other = tiny_model(head="bare", layers=3, seed=5)
    student = pkd.build_student(settings(), replace(given, start=str(save_checkpoint(tmp_path, other))))
    assert student.config.num_hidden_layers == 2
    assert student.config.id2label == {0: "negative", 1: "positive"}
    body = student.base_model.state_dict()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in body.items())


@pytest.mark.parametrize("term", ["labels", "soft", "patience"])
def test_zeroing_any_term_changes_what_is_learnt(given, tmp_path, term):
    fewer = {"labels": {"alpha": 1.0}, "soft": {"alpha": 0.0}, "patience": {"beta": 0.0}}[term]
    one, before = cook(NAME, settings(), given, tmp_path / "usual")
    two, after = cook(NAME, settings(**fewer), given, tmp_path / "without")
    assert all(a["terms"].keys() - b["terms"].keys() == {term} for a, b in zip(before, after, strict=True))
    others = two.state_dict()
    assert max(float((others[name] - value).abs().max()) for name, value in one.state_dict().items()) > 1e-6


def test_terms_are_those_of_section_3_2(given):
    student, step, batch = terms_of(given, alpha=0.25, beta=3.0, temperature=4.0)
    found = step(batch)
    s, t = answer(student, batch.student, Want(cls=(1,))), given.teacher(batch, Want(cls=(2,)))
    nearness = torch.cosine_similarity(s.cls[:, 0], t.cls[:, 0], dim=-1)
    assert found["labels"].item() == pytest.approx(0.75 * label_loss("single", s.logits, batch.labels).item())
    assert found["soft"].item() == pytest.approx(0.25 * soft_targets(s.logits, t.logits, 4.0).item())
    assert found["patience"].item() == pytest.approx(3.0 * (2 - 2 * nearness).mean().item(), rel=1e-5)
    without = pkd._step(settings(alpha=0.25, beta=0.0, temperature=4.0), "single", given.teacher, student)(batch)
    assert without == {name: found[name] for name in ("labels", "soft")}


def test_skip_and_last_follow_other_layers(given):
    found = {}
    for name, values in {"skip": {}, "last": {"strategy": "last"}, "chosen": {"layers": (3,)}}.items():
        _, step, batch = terms_of(given, **values)
        found[name] = step(batch)["patience"].item()
    assert found["skip"] != pytest.approx(found["last"])
    assert found["chosen"] == found["last"]


@pytest.mark.parametrize(
    ("values", "term", "factor"),
    [
        ({"patience_unit": "paper"}, "patience", 2),  # sum over the two layers that follow one
        ({"patience_unit": "reference"}, "patience", 1 / 16),  # mean over features
        ({"soft_unit": "reference"}, "soft", 1 / 2),  # two classes
        ({"t2_scaling": False}, "soft", 1 / 100),
    ],
)
def test_units_of_the_paper_and_of_the_authors_code(given, values, term, factor):
    student, step, batch = terms_of(given, num_layers=3)
    other = pkd._step(settings(num_layers=3, **values), "single", given.teacher, student)
    usual, changed = step(batch), other(batch)
    assert changed[term].item() == pytest.approx(factor * usual[term].item(), rel=1e-5)
    assert all(changed[name].item() == usual[name].item() for name in usual.keys() - {term})


def test_the_authors_beta_means_the_same_in_every_unit(given):
    student, step, batch = terms_of(given, num_layers=3, beta=500, patience_unit="reference")
    row = pkd._step(settings(num_layers=3, beta=500 / 16), "single", given.teacher, student)
    assert row(batch)["patience"].item() == pytest.approx(step(batch)["patience"].item(), rel=1e-5)


def test_without_patience_it_is_plain_distillation(given):
    class Stranger:
        facts = given.teacher.facts

        def __call__(self, batch, want):
            assert want == Want()
            return given.teacher(batch, want)

    _, step, batch = terms_of(replace(given, teacher=Stranger()), beta=0.0)
    assert step(batch).keys() == {"labels", "soft"}


def test_without_patience_its_weights_are_plain_distillations_bit_for_bit(given, tmp_path):
    """The second distillation of DistilBERT is that and no more; dropout makes them notice another random stream."""
    cfg = settings(beta=0.0, alpha=0.7, temperature=10.0)
    student, lines = cook(NAME, cfg, given, tmp_path / "pkd")
    torch.manual_seed(0)
    plain, answers = pkd.build_student(cfg, given), {"soft": 0.7, "labels": 1 - 0.7}
    (stage,) = distilbert.stages(distilbert.Config(temperature=10.0, answers=answers, answers_optim=cfg.optim), given,
                                 plain)  # fmt: skip
    fit(replace(stage, name="distill"), tmp_path / "plain", seed=0)
    assert len(lines) > 2
    assert plain.config.hidden_dropout_prob > 0
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in student.state_dict().items())


def test_without_a_teachers_part_it_is_fine_tuning(given, tmp_path):
    cfg = settings(**FIRST)
    start = str(save_checkpoint(tmp_path / "start", pkd.build_student(cfg, given)))
    student, lines = cook(NAME, cfg, replace(given, teacher=Silent(given.teacher)), tmp_path / "pkd")
    plain = replace(given, teacher=None, start=start)
    tuned = finetune.build_student(finetune.Config(), plain)
    (stage,) = finetune.stages(finetune.Config(optim=cfg.optim), plain, tuned)
    fit(replace(stage, name="distill"), tmp_path / "finetune", seed=0)
    assert {tuple(line["terms"]) for line in lines} == {("labels",)}
    assert all(torch.equal(value, tuned.state_dict()[name]) for name, value in student.state_dict().items())


class Silent:
    def __init__(self, teacher):
        self.facts = teacher.facts

    def __call__(self, *arguments):
        pytest.fail("a teacher without a part was asked")


def test_labels_are_not_needed_with_alpha_1(given, tmp_path):
    unlabelled = replace(given, data=replace(given.data, train=Unlabelled(given.data.train)))
    cook(NAME, settings(alpha=1.0), unlabelled, tmp_path / "without")
    with pytest.raises(ConfigError, match="no labels"):
        cook(NAME, settings(), unlabelled, tmp_path / "refused")


@pytest.mark.parametrize("kind", ["pair", "regression"])
def test_every_kind_of_task(tmp_path, kind):
    write_kind(tmp_path / "data", kind)
    labels = ("score",) if kind == "regression" else ("no", "yes")
    made = ingredients(tmp_path, TASKS[kind], tmp_path / "data", labels=labels)
    student, lines = cook(NAME, settings(), made, tmp_path / "run")
    assert lines[-1]["terms"].keys() == {"labels", "soft", "patience"}
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_scores_are_compared_by_their_squared_difference(tmp_path):
    write_kind(tmp_path / "data", "regression")
    made = replace(ingredients(tmp_path, TASKS["regression"], tmp_path / "data", labels=("score",)), start=None)
    student, step, batch = terms_of(made, soft_unit="reference")
    expected = 0.7 * logit_mse(answer(student, batch.student).logits, made.teacher(batch).logits)
    assert step(batch)["soft"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_layers": 4}, "4 layers is not shallower than its teacher of 4"),
        ({"num_layers": 5, "beta": 0}, "not shallower"),
        ({"num_layers": 1}, "a student of 1 layer has none below its last"),
        ({"layers": (4,)}, "4 is the teacher's last layer"),
        ({"layers": (9,)}, "no teacher layer 9"),
        ({"layers": (1, 2)}, "2 entries for 1"),
    ],
)
def test_impossible_shapes_are_refused(given, values, message):
    with pytest.raises(ConfigError, match=message):
        pkd.build_student(settings(**values), given)


def test_a_start_that_does_not_fit_is_refused(given, tmp_path):
    shallow = replace(given, start=str(save_checkpoint(tmp_path / "shallow", tiny_model(layers=1))))
    with pytest.raises(ConfigError, match="2 layers cannot start from the 1 of"):
        pkd.build_student(settings(), shallow)
    wide = replace(given, start=str(save_checkpoint(tmp_path / "wide", tiny_model(hidden=8))))
    with pytest.raises(ConfigError, match="have 8 features, the teacher's 16"):
        pkd.build_student(settings(), wide)
    pkd.build_student(settings(beta=0), wide)
    with pytest.raises(CheckpointError, match="no folder"):
        pkd.build_student(settings(), replace(given, start=str(tmp_path / "nowhere" / "at" / "all")))


def test_an_ensemble_teaches_by_its_answers_only(given, tmp_path):
    both = replace(given, teacher=EnsembleTeacher([given.teacher, given.teacher]))
    with pytest.raises(ConfigError, match=r"logits only .*ensemble.* --set beta=0"):
        pkd.build_student(settings(), both)
    _, lines = cook(NAME, settings(beta=0), both, tmp_path)
    assert lines[0]["terms"].keys() == {"labels", "soft"}


def test_a_student_of_other_tokens_learns_as_well(given, tmp_path):
    _, lines = cook(NAME, settings(), of_other_tokens(given, tmp_path), tmp_path / "run")
    assert lines[0]["terms"].keys() == {"labels", "soft", "patience"}


def test_needs_a_teacher(given):
    with pytest.raises(ConfigError, match="--teacher"):
        pkd.build_student(settings(), replace(given, teacher=None))


def test_says_what_a_cache_must_hold(given):
    facts = replace(given.teacher.facts, num_layers=12)
    assert settings().kept(facts).cls == (2, 4, 6, 8, 10)
    assert settings(strategy="last", num_layers=3).kept(facts).cls == (10, 11)
    assert settings(beta=0).kept(facts).cls == ()
    assert settings(cls_dtype="float16").kept(facts).cls_dtype == "float16"
    assert smoke_config("mobilebert").kept(facts).cls == ()
    with pytest.raises(ConfigError, match="not shallower"):
        settings(num_layers=12).kept(facts)
