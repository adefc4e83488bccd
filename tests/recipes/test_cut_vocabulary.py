"""Every recipe whose students start from their teacher's words, with fewer of them."""

from dataclasses import replace

import pytest
import torch

from edgedistill import plugins
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.data.vocabulary import VocabularyConfig
from edgedistill.errors import ConfigError
from edgedistill.models.loading import load
from edgedistill.models.vocabulary import read_by
from edgedistill.pipeline.vocabulary import cut_tokenizer
from edgedistill.recipes import CutsVocabulary, Ingredients, bilstm, mobilebert
from edgedistill.training.teachers import OnlineTeacher
from tests.recipes.kitchen import cook, ingredients, smoke_config

RECIPES = [
    name for name in plugins.names("recipes") if issubclass(plugins.load("recipes", name).Config, CutsVocabulary)
]


def test_these_are_they():
    assert {"bilstm", "distilbert", "mobilebert", "pkd", "tinybert"} <= set(RECIPES)


@pytest.fixture
def whole(tmp_path):
    return replace(ingredients(tmp_path), start=None)


def fewer(whole: Ingredients, tmp_path, **how) -> Ingredients:
    """The same task with a cut vocabulary, which the teacher reads too."""
    tokenizer = cut_tokenizer(whole.data, VocabularyConfig(**how))
    teacher = read_by(load(whole.teacher.facts.source), tokenizer)
    data = load_task_data(
        find_task("sst2"), tmp_path / "data", tokenizer, teacher_tokenizer=teacher.tokenizer, max_length=32, seed=0
    )
    return Ingredients(data=data, teacher=OnlineTeacher(teacher))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_without_loss_on_the_training_text_training_is_the_same(name, whole, tmp_path):
    """The same splits, the same rows, the same student: only the entries that never occur are gone."""
    settings = {"embedding_fit": "tokens"} if name == "mobilebert" else {}
    settings |= {"augment_copies": 0} if name == "tinybert" else {"copies": 0} if name == "bilstm" else {}
    cfg = smoke_config(name, settings)
    given = fewer(whole, tmp_path)
    assert len(given.data.tokenizer) < len(whole.data.tokenizer)
    starts: list[torch.nn.Module] = []
    student, lines = cook(name, cfg, given, tmp_path / "cut", after_build=starts.append)
    assert student.config.vocab_size == len(given.data.tokenizer) == len(student.get_input_embeddings().weight)
    _, usual = cook(name, cfg, whole, tmp_path / "whole")
    assert [line["tokens"] for line in lines] == [line["tokens"] for line in usual]
    if name == "pkd":  # in the others something is random, and drawn after a table of another size
        for one, two in zip(lines, usual, strict=True):
            assert one["terms"] == pytest.approx(two["terms"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_layers_are_compared_whatever_is_lost(name, whole, tmp_path):
    given = fewer(whole, tmp_path, coverage=0.3)
    assert given.hides_layers is None
    cfg = smoke_config(name)
    _, lines = cook(name, cfg, given, tmp_path / "run")
    assert all(line["loss"] < 1e4 for line in lines)
    _, usual = cook(name, cfg, whole, tmp_path / "whole")
    assert lines[0]["terms"].keys() == usual[0]["terms"].keys()
    assert sum(line["tokens"] for line in lines) > sum(line["tokens"] for line in usual)


def test_rows_of_the_student_are_the_teachers(whole, tmp_path):
    given = fewer(whole, tmp_path)
    words = given.data.tokenizer.get_vocab()
    ids = whole.data.tokenizer.get_vocab()
    student = plugins.load("recipes", "pkd").build_student(smoke_config("pkd"), given)
    table, theirs = (model.get_input_embeddings().weight for model in (student, load(given.teacher.facts.source).model))
    for name, number in words.items():
        assert torch.equal(table[number], theirs[ids[name]])


def test_a_cut_table_factorised_in_full_is_the_teachers(whole, tmp_path):
    """With as many directions as features nothing is lost: words times projection are the teacher's rows."""
    given = fewer(whole, tmp_path)
    cfg = smoke_config("mobilebert", {"embedding_size": 16, "embedding_fit": "tokens"})
    student = mobilebert.build_student(cfg, given)
    own, table = student.base_model.embeddings, given.load_teacher().get_input_embeddings().weight
    rebuilt = own.word_embeddings.weight @ own.embedding_transformation.weight[:, 16:32].T
    assert torch.allclose(rebuilt[1:], table[1:], atol=1e-5)


def test_vectors_bring_their_own_words():
    with pytest.raises(ValueError, match="vectors bring their own words"):
        bilstm.Config(vectors="some.txt", vocabulary={"size": 100})


def test_masked_words_are_of_the_cut_vocabulary(tmp_path):
    from tests.recipes.kitchen import ingredients_of

    words = replace(ingredients_of("mlm", tmp_path), start=None)
    tokenizer = cut_tokenizer(words.data, VocabularyConfig(characters="seen"))
    teacher = read_by(load(words.teacher.facts.source), tokenizer)
    data = load_task_data(
        words.data.task, None, tokenizer, teacher_tokenizer=tokenizer, max_length=32, seed=0,
        corpus=tmp_path / "corpus.txt",
    )  # fmt: skip
    given = Ingredients(data=data, teacher=OnlineTeacher(teacher))
    student, lines = cook("mobilebert", smoke_config("mobilebert", {"embedding_size": 8}), given, tmp_path / "run")
    assert student.config.vocab_size == len(tokenizer)
    assert all(line["terms"].keys() for line in lines)


def test_guesses_of_a_masked_lm_are_of_the_cut_vocabulary(whole, tmp_path):
    from tests.support import save_checkpoint, tiny_model

    guesser = save_checkpoint(tmp_path / "guesser", tiny_model(head="mlm"))
    given = fewer(whole, tmp_path, characters="seen")
    cfg = smoke_config("tinybert", {"augment_copies": 1, "augment_with": str(guesser), "augment_share": 1.0})
    _, lines = cook("tinybert", cfg, given, tmp_path / "run")
    assert lines


def test_it_is_no_setting_of_recipes_that_cannot():
    from edgedistill.config import build

    with pytest.raises(ConfigError, match="unknown key 'vocabulary'"):
        build(plugins.load("recipes", "finetune").Config, {"vocabulary": {"size": 100}}, "finetune")
