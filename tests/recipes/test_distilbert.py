from dataclasses import replace

import pytest
import torch

from edgedistill.errors import CheckpointError, ConfigError
from edgedistill.models.loading import load
from edgedistill.recipes import distilbert
from tests.recipes.kitchen import TASKS, cook, ingredients, ingredients_of, smoke_config, write_kind
from tests.support import save_checkpoint, tiny_model

NAME = "distilbert"


@pytest.fixture
def words(tmp_path):
    """A teacher that guesses words, and raw text."""
    return replace(ingredients_of("mlm", tmp_path / "words"), start=None)


def terms_of(given, student=None, **settings):
    cfg = smoke_config(NAME, settings)
    model = student or distilbert.build_student(cfg, given)
    (stage,) = distilbert.stages(cfg, given, model)
    batch = next(iter(stage.batches.epoch(0, 0, 8)))
    model.eval()
    return stage.step(batch), batch, stage, model


@pytest.mark.slow
def test_the_triple_loss_on_raw_text(words, tmp_path):
    student, lines = cook(NAME, smoke_config(NAME, max_steps=80, lr=3e-3), words, tmp_path / "run")
    assert type(student).__name__ == "DistilBertForMaskedLM"
    assert student.config.n_layers == 2
    assert {"soft", "hidden_words", "cosine"} == lines[0]["terms"].keys()
    assert all(lines[-1]["terms"][term] < lines[0]["terms"][term] for term in lines[0]["terms"])


def test_a_whole_copy_has_nothing_left_to_learn_but_the_hidden_words(words):
    """Section 1.6, in float64: of a copy of all layers soft and cosine are 0, and no student has less than L_mlm."""
    getattr(words.teacher, "_model").double()  # noqa: B009
    for layers, is_copy in (((1, 2, 3, 4), True), ((1, 4), False)):
        model = distilbert.build_student(smoke_config(NAME, {"layer_map": layers}), words).double()
        terms, batch, *_ = terms_of(words, model, layer_map=layers)
        found = {name: term.item() for name, term in terms.items()}
        logits = model(batch.student.input_ids, attention_mask=batch.student.attention_mask).logits
        masked_words = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).item()
        assert {term.dtype for term in terms.values()} == {torch.float64}
        assert found["hidden_words"] == pytest.approx(2 * masked_words, rel=1e-12)
        assert sum(found.values()) >= 2 * masked_words * (1 - 1e-12)
        for name in ("soft", "cosine"):
            assert found[name] >= -1e-12
            # Folding the segment into the positions rounds to float32: an error of 1e-8, whose square is what counts.
            assert (found[name] == pytest.approx(0.0, abs=1e-10)) is is_copy, name


def test_padding_changes_no_term_and_the_embeddings_learn(words):
    terms, batch, stage, model = terms_of(words)
    wider = [torch.nn.functional.pad(part, (0, 5)) for part in vars(batch.student).values()]
    wider[0][:, -5:] = 7  # what lies under the mask
    tokens = type(batch.student)(*wider)
    padded = replace(
        batch, student=tokens, teacher=tokens, labels=torch.nn.functional.pad(batch.labels, (0, 5), value=-100)
    )
    for name, value in stage.step(padded).items():
        assert value.item() == pytest.approx(terms[name].item(), rel=1e-4), name
    sum(terms.values()).backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_guesses_at_hidden_words_alone(words):
    everywhere, *_ = terms_of(words)
    hidden, *_ = terms_of(words, words={"only_hidden": True})
    assert hidden["hidden_words"].item() == pytest.approx(everywhere["hidden_words"].item(), rel=1e-4)
    assert hidden["soft"].item() != pytest.approx(everywhere["soft"].item(), rel=1e-3)
    none, *_ = terms_of(words, words={"soft": 0, "cosine": 0})
    assert none.keys() == {"hidden_words"}


@pytest.mark.parametrize("kind", ["single", "pair", "regression", "span", "tokens"])
@pytest.mark.slow
def test_second_distillation_of_every_kind_of_task(tmp_path, kind):
    heads = {"span": "span", "tokens": "tokens"}
    if kind == "single":
        given = ingredients(tmp_path)
    else:
        write_kind(tmp_path / "data", kind)
        labels = {"labels": ("score",)} if kind == "regression" else {}
        given = ingredients(tmp_path, TASKS[kind], tmp_path / "data", head=heads.get(kind, "sequence"), **labels)
    _, lines = cook(NAME, smoke_config(NAME, max_steps=3), given, tmp_path / "run")
    assert [line["terms"].keys() for line in lines] == [{"soft", "labels"}] * 3
    _, lines = cook(NAME, smoke_config(NAME, {"answers": {"labels": 0}}, max_steps=2), given, tmp_path / "soft")
    assert lines[0]["terms"].keys() == {"soft"}


def test_an_answer_begins_in_the_padding_only_as_in_the_authors_code(tmp_path):
    logits = torch.randn(2, 3, 6, 2, dtype=torch.float64)
    mask = torch.ones(3, 6, dtype=torch.long)
    mask[:, 4:] = 0
    ours = distilbert._soft_term(distilbert.Config(), "span", *logits, mask)
    theirs = distilbert._soft_term(distilbert.Config(answers={"padding": "counted"}), "span", *logits, mask)
    short = distilbert._soft_term(distilbert.Config(), "span", *logits[:, :, :4], mask[:, :4])
    assert ours.item() == pytest.approx(short.item(), rel=1e-9)
    by_hand = [(t / 2).softmax(1) * ((t / 2).log_softmax(1) - (s / 2).log_softmax(1)) for s, t in [logits]]
    assert theirs.item() == pytest.approx(4 * by_hand[0].sum(1).mean().item(), rel=1e-9)
    assert theirs.item() != pytest.approx(ours.item(), rel=1e-3)


def test_a_general_student_goes_on_with_a_task(tmp_path):
    given = ingredients(tmp_path)
    general = save_checkpoint(tmp_path / "general", tiny_model("distilbert", "mlm", layers=2))
    student = distilbert.build_student(smoke_config(NAME), replace(given, start=general))
    own = load(general).model.base_model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in student.base_model.state_dict().items())
    assert student.config.num_labels == 2
    for settings in ({"num_layers": 3}, {"layer_map": (1, 2, 4)}):
        with pytest.raises(ConfigError, match=r"num_layers: 3 is asked for, but --student '.*general' has 2"):
            distilbert.build_student(smoke_config(NAME, settings), replace(given, start=general))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_layers": 5}, ConfigError, "deeper than its teacher of 4"),
        ({"layer_map": (1, 9)}, ConfigError, "no teacher layer 9"),
        ({"layer_map": (3, 1)}, ConfigError, "must not go back"),
        ({"layer_map": (1, 4), "num_layers": 3}, ConfigError, "2 entries for 3 student layers"),
    ],
)
def test_layers_that_do_not_fit(words, settings, error, message):
    with pytest.raises(error, match=message):
        distilbert.build_student(smoke_config(NAME, settings), words)


def test_hidden_states_that_cannot_be_compared(words):
    class Cached:
        facts = replace(words.teacher.facts, shows_layers=False)

    with pytest.raises(ConfigError, match=r"words.cosine: .* logits only"):
        distilbert.build_student(smoke_config(NAME), replace(words, teacher=Cached()))
    distilbert.build_student(smoke_config(NAME, {"words": {"cosine": 0}}), replace(words, teacher=Cached()))


def test_a_teacher_without_a_masked_word_head_is_told_what_to_run(tmp_path):
    from edgedistill.data.tasks import MASKED_WORDS, find_task
    from edgedistill.pipeline.refusals import refuse_unfit_teacher

    teacher = load(save_checkpoint(tmp_path / "t", tiny_model()))
    with pytest.raises(CheckpointError, match=r"edgedistill distill mlm --student .* --corpus TEXT"):
        refuse_unfit_teacher(teacher, find_task(MASKED_WORDS), ())
