from dataclasses import replace

import pytest
import torch

from edgedistill.data.batches import Encoded
from edgedistill.errors import ConfigError
from edgedistill.models.tinybert import Projections
from edgedistill.recipes import Ingredients, tinybert
from edgedistill.recipes.tinybert import Weights
from edgedistill.training.loop import fit
from edgedistill.training.teachers import EnsembleTeacher
from tests.recipes.kitchen import TASKS, cook, ingredients, of_other_tokens, smoke_config, write_kind
from tests.recipes.test_mobilebert import Unlabelled
from tests.support import save_checkpoint, tiny_model

NAME = "tinybert"
LAYERS = {"embedding", "attention", "hidden"}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ingredients(tmp_path_factory.mktemp("kitchen"))


def settings(**values):
    return smoke_config(NAME, values, max_steps=2)


def with_corpus(folder):
    (folder / "corpus.txt").write_text("the film is in the scene\nthe plot was quite dull\n" * 12, encoding="utf-8")
    return ingredients(folder, corpus=folder / "corpus.txt")


def of_kind(folder, kind):
    """A task of that kind, and its teacher."""
    write_kind(folder / "data", kind)
    labels = {"regression": ("score",), "tokens": ("DET", "OTHER")}.get(kind, ("no", "yes"))
    head = kind if kind in {"span", "tokens"} else "sequence"
    return ingredients(folder, TASKS[kind], folder / "data", head=head, labels=labels)


def made(given, **values):
    """The student, and the terms of one batch compared with the teacher."""
    cfg = settings(**values)
    student = tinybert.build_student(cfg, replace(given, start=None))
    return cfg, student


def layer_terms(cfg, given, student, batch, project=None):
    width = student.config.hidden_size
    project = project or Projections(width, 16, 4, "paper", bias=False, seed=0)
    step = tinybert._layer_step(cfg, Weights(), given.teacher, student, project)
    return step(batch)


def some_rows(given):
    return next(iter(given.data.train.epoch(0, 0, 8)))


def padded(batch, extra):
    """So many more tokens a row, and under the mask something else than padding."""
    widen = lambda tensor, value=0: torch.nn.functional.pad(tensor, (0, extra), value=value)  # noqa: E731
    tokens = Encoded(*(widen(tensor) for tensor in vars(batch.student).values()))
    tokens.input_ids[tokens.attention_mask.eq(0)] = 7
    return replace(batch, student=tokens, teacher=tokens)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(given):
    terms = layer_terms(settings(), given, tiny_model(), some_rows(given))
    assert terms.keys() == LAYERS
    assert all(term.item() == pytest.approx(0, abs=1e-9) for term in terms.values())
    shifted = layer_terms(settings(layer_map=(2, 2, 3, 4)), given, tiny_model(), some_rows(given))
    assert shifted["attention"].item() > 1e-3
    assert shifted["hidden"].item() > 1e-3
    assert shifted["embedding"].item() == pytest.approx(0, abs=1e-9)


def test_padding_changes_no_term_unless_it_is_counted(given):
    batch = some_rows(given)
    for padding in ("masked", "counted"):
        cfg, student = made(given, padding=padding)
        one, two = (layer_terms(cfg, given, student, rows) for rows in (batch, padded(batch, 5)))
        for name, term in one.items():
            assert (two[name].item() == pytest.approx(term.item(), rel=1e-5)) is (padding == "masked"), name


@pytest.mark.parametrize("kind", ["single", "pair", "regression", "span", "tokens"])
def test_padding_changes_no_answers_loss(tmp_path, kind):
    taught = of_kind(tmp_path, kind)
    cfg, student = made(taught, temperature=2.0)
    step, batch = tinybert._answer_step(cfg, kind, taught.teacher, student), some_rows(taught)
    one, two = step(batch)["logits"].item(), step(padded(batch, 5))["logits"].item()
    assert one > 1e-3
    assert two == pytest.approx(one, rel=1e-4)  # a small difference of float32 numbers, summed in other groups


def test_terms_are_sums_over_layers(given):
    cfg, student = made(given)
    project = Projections(8, 16, 4, "each", bias=False, seed=0)
    batch = some_rows(given)
    whole = layer_terms(cfg, given, student, batch, project=project)
    assert whole["hidden"].item() > 2 * whole["embedding"].item()
    half = made(given, intermediate={"hidden": 0.5, "attention": 0})[0].intermediate
    step = tinybert._layer_step(cfg, half, given.teacher, student, project)
    terms = step(batch)
    assert terms.keys() == {"embedding", "hidden"}
    assert terms["hidden"].item() == pytest.approx(whole["hidden"].item() / 2)


def test_the_classifier_learns_last(given, tmp_path):
    seen = {}

    def watch(stage, model):
        seen.setdefault(stage, {name: value.clone() for name, value in model.state_dict().items()})

    first = {}
    student, lines = cook(
        NAME, settings(), given, tmp_path, lambda model: first.update(model.state_dict()), on_step=watch
    )
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["intermediate", "prediction"]
    begun, ended = seen["intermediate"], seen["prediction"]
    head = [name for name in begun if name.startswith("classifier") or ".pooler." in name]
    assert len(head) == 4
    assert all(torch.equal(begun[name], ended[name]) for name in head)
    assert all(not torch.equal(ended[name], student.state_dict()[name]) for name in head)
    assert not torch.equal(
        begun["bert.embeddings.word_embeddings.weight"], ended["bert.embeddings.word_embeddings.weight"]
    )
    assert not [name for name in student.state_dict() if "maps" in name]


@pytest.mark.parametrize("sharing", ["paper", "shared", "each"])
def test_the_answers_leave_the_projections_as_they_were(given, tmp_path, sharing):
    cfg, student = made(given, projection=sharing, projection_bias=True)
    project, states = None, []
    for stage in tinybert.stages(cfg, replace(given, start=None), student):
        if project is None:
            project = stage.scaffold
            states.append({name: value.clone() for name, value in project.state_dict().items()})
        fit(stage, tmp_path / stage.name, seed=0)
        states.append({name: value.clone() for name, value in project.state_dict().items()})
    begun, led, ended = states
    assert all(not torch.equal(begun[name], value) for name, value in led.items())
    assert all(torch.equal(led[name], value) for name, value in ended.items())


def test_general_distillation_has_the_corpus_and_hands_its_projections_on(tmp_path):
    given = with_corpus(tmp_path)
    student, lines = cook(NAME, settings(general={"attention": 0}), given, tmp_path / "run")
    assert list(dict.fromkeys(line["stage"] for line in lines)) == ["general", "intermediate", "prediction"]
    assert lines[0]["terms"].keys() == {"embedding", "hidden"}
    assert lines[2]["terms"].keys() == LAYERS
    general, intermediate, _ = tinybert.stages(settings(), given, student)
    assert general.scaffold is intermediate.scaffold


@pytest.mark.slow
def test_resuming_after_general_distillation_goes_on_with_its_projections(tmp_path):
    class Cut(Exception):
        pass

    given = with_corpus(tmp_path)
    straight, lines = cook(NAME, settings(), given, tmp_path / "straight")

    def cut(stage, model):
        if stage == "intermediate":
            raise Cut

    with pytest.raises(Cut):
        cook(NAME, settings(), given, tmp_path / "cut", on_step=cut)
    resumed, again = cook(NAME, settings(), given, tmp_path / "cut")
    assert again == lines
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())


@pytest.mark.slow
def test_another_teacher_for_raw_text(tmp_path):
    given = with_corpus(tmp_path)
    usual = cook(NAME, settings(), given, tmp_path / "usual")[1]
    other = str(save_checkpoint(tmp_path / "other", tiny_model(head="bare", seed=1)))
    _, lines = cook(NAME, settings(general_teacher=other), given, tmp_path / "run")
    assert lines[0]["terms"] != usual[0]["terms"]
    wide = str(save_checkpoint(tmp_path / "wide", tiny_model(head="bare", hidden=8)))
    with pytest.raises(ConfigError, match="has 4 layers of width 8, the task's teacher 4 of 16"):
        cook(NAME, settings(general_teacher=wide), given, tmp_path / "refused")


@pytest.mark.parametrize("kind", ["pair", "regression", "span", "tokens"])
def test_every_kind_of_task_without_labels(tmp_path, kind):
    student, lines = cook(NAME, settings(), of_kind(tmp_path, kind), tmp_path / "run")
    assert lines[-1]["terms"].keys() == {"logits"}
    assert all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_a_regression_learns_the_teachers_score_or_the_rows(tmp_path):
    write_kind(tmp_path / "data", "regression")
    given = ingredients(tmp_path, TASKS["regression"], tmp_path / "data", labels=("score",))
    _, lines = cook(NAME, settings(regression_target="gold"), given, tmp_path / "run")
    assert lines[-1]["terms"].keys() == {"labels"}
    student = tiny_model(labels=("score",))
    batch = some_rows(given)
    taught = tinybert._answer_step(settings(), "regression", given.teacher, student)(batch)
    gold = tinybert._answer_step(settings(regression_target="gold"), "regression", given.teacher, student)(batch)
    assert taught["logits"].item() == pytest.approx(0, abs=1e-9)
    assert gold["labels"].item() > 0


def test_answers_are_compared_as_the_settings_say(given):
    batch, (cfg, student) = some_rows(given), made(given)
    student.eval()
    term = lambda **values: tinybert._answer_step(settings(**values), "single", given.teacher, student)(batch)  # noqa: E731
    plain = term()["logits"].item()
    assert term(logit_mean="classes")["logits"].item() == pytest.approx(plain / 2)
    warm = term(temperature=3)["logits"].item()
    assert warm != pytest.approx(plain)
    assert term(temperature=3, t2_scaling=True)["logits"].item() == pytest.approx(9 * warm)
    same = tinybert._answer_step(cfg, "single", given.teacher, tiny_model())(batch)
    assert same["logits"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "differs"),
    [
        ({"projection": "shared"}, True),
        ({"projection": "each", "projection_bias": True}, True),
        ({"layer_strategy": "top"}, False),  # 4 of 4 layers: the same ones
        ({"num_layers": 2, "layer_strategy": "bottom"}, True),
        ({"num_layers": 2, "layer_map": (1, 4)}, True),
        ({"num_heads": 4}, True),
        ({"dropout": 0.1}, True),
    ],
)
def test_settings_reach_the_training(given, tmp_path, values, differs):
    usual = cook(NAME, settings(), given, tmp_path / "usual")[1]
    lines = cook(NAME, settings(**values), given, tmp_path / "run")[1]
    assert (lines[1]["terms"] != usual[1]["terms"]) is differs


def test_variants_come_from_a_masked_lm_or_from_neighbours(given, tmp_path):
    mlm = str(save_checkpoint(tmp_path / "mlm", tiny_model(head="mlm", seed=3)))
    runs = [
        cook(NAME, settings(**values), given, tmp_path / str(number))[1]
        for number, values in enumerate(({}, {"augment_with": mlm}, {"augment_copies": 0}))
    ]
    assert len({str([line["terms"] for line in lines]) for lines in runs}) == 3
    sizes = [len(next(tinybert.stages(settings(augment_copies=n), given, tiny_model())).batches) for n in (0, 4)]
    assert sizes[1] == 5 * sizes[0]
    with pytest.raises(ConfigError, match="no masked-word head"):
        tinybert.build_student(settings(augment_with=given.start), replace(given, start=None))


def test_a_checkpoint_to_start_from(given, tmp_path):
    start = str(save_checkpoint(tmp_path / "general", tiny_model(layers=2, hidden=8, head="bare")))
    student = tinybert.build_student(smoke_config(NAME), replace(given, start=start))
    assert (student.config.num_hidden_layers, student.config.num_labels) == (2, 2)
    with pytest.raises(ConfigError, match=r"num_layers: 4 is asked for, but --student"):
        tinybert.build_student(settings(num_layers=4), replace(given, start=start))
    deep = str(save_checkpoint(tmp_path / "deep", tiny_model(layers=3, hidden=8)))
    with pytest.raises(ConfigError, match="3 layers cannot be spread evenly over the teacher's 4"):
        tinybert.build_student(settings(), replace(given, start=deep))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_layers": 3}, "3 layers cannot be spread evenly over the teacher's 4. Set it to 1, 2"),
        ({"num_layers": 8}, "deeper than its teacher of 4"),
        ({"num_layers": 3, "layer_map": (1, 4)}, "2 entries for 3"),
        ({"hidden_size": 9}, "9 cannot be cut into 2 heads"),
    ],
)
def test_impossible_shapes_are_refused(given, values, message):
    with pytest.raises(ConfigError, match=message):
        tinybert.build_student(settings(**values), replace(given, start=None))


def test_depth_is_the_papers_where_it_divides_the_teachers(given):
    facts = given.teacher.facts
    for depth, wanted in ((12, 4), (6, 3), (24, 4), (5, 1)):
        assert tinybert._shape(smoke_config(NAME), replace(facts, num_layers=depth)).layers == wanted


def test_an_ensemble_teaches_the_prediction_alone(given, tmp_path):
    ensemble = replace(given, teacher=EnsembleTeacher([given.teacher, given.teacher]), start=None)
    with pytest.raises(
        ConfigError, match=r"an ensemble or a cache answers with logits only.*: --set intermediate_optim=null\.$"
    ):
        tinybert.build_student(settings(), ensemble)
    _, lines = cook(NAME, settings(intermediate_optim=None), ensemble, tmp_path)
    assert {line["stage"] for line in lines} == {"prediction"}


def test_a_teacher_of_other_tokens_teaches_the_prediction_alone(given, tmp_path):
    other = of_other_tokens(given, tmp_path)
    with pytest.raises(ConfigError, match=r"other tokens.*intermediate_optim=null, --set augment_copies=0"):
        cook(NAME, settings(), other, tmp_path / "refused")
    _, lines = cook(NAME, settings(intermediate_optim=None, augment_copies=0), other, tmp_path / "run")
    assert lines[0]["terms"].keys() == {"logits"}


def test_no_labels_are_needed(given, tmp_path):
    rows = Unlabelled(given.data.train)
    rows.batch, rows.all = given.data.train.batch, given.data.train.all
    _, lines = cook(NAME, settings(), replace(given, data=replace(given.data, train=rows)), tmp_path)
    assert lines


def test_needs_a_teacher(given):
    with pytest.raises(ConfigError, match="--teacher"):
        tinybert.build_student(settings(), Ingredients(data=given.data, teacher=None))
