"""What holds for all recipes by name, through the command line: tasks, ensembles, teachers and data that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from edgedistill import plugins
from edgedistill.cli.verbs import edgedistill
from edgedistill.data.tasks import Kind
from tests.recipes.kitchen import TASKS, smoke_config, write_kind
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary, write_jsonl

RECIPES = plugins.names("recipes")
KINDS = [kind for kind in get_args(Kind) if kind != "mlm"]
MODULES = {name: plugins.load("recipes", name) for name in RECIPES}
ON_TASKS = [name for name in RECIPES if "single" in MODULES[name].KINDS]
TAUGHT = [name for name in ON_TASKS if MODULES[name].NEEDS_TEACHER]
"""Recipes that must have a teacher; mtdnn_kd can have several."""
HEADS = {"span": "span", "tokens": "tokens", "mlm": "mlm", "generation": "mlm"}
LABELS = {"regression": ("score",), "ranking": ("score",), "tokens": ("DET", "OTHER")}
ALONE: dict[str, dict[str, Any]] = {
    "distilbert": {"answers": {"labels": 0}},
    "fastbert": {"finetune_optim": None},
    "mobilebert": {
        "strategy": "auxiliary",
        "distill": {"feature": 0, "mean": 0, "variance": 0, "attention": 0},
        "polish": {"feature": 0},
    },
    "mtdnn_kd": {"labels": 0},
    "pkd": {"beta": 0, "alpha": 1},
    "tinybert": {"intermediate_optim": None, "augment_copies": 0},
}
"""Settings with which a recipe learns from its teacher's answers and nothing else."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data and a teacher for every kind of task, and raw text."""
    made = tmp_path_factory.mktemp("kinds")
    (made / "text.txt").write_text("the film was dull\n" * 40, encoding="utf-8")
    for kind in KINDS:
        write_kind(made / kind, kind)
        shutil.copyfile(made / kind / "validation.jsonl", made / kind / "test.jsonl")
        task = TASKS[kind].model_dump(mode="json", exclude_defaults=True)
        (made / kind / "task.yaml").write_text(json.dumps(task), encoding="utf-8")
    for kind in (*KINDS, "mlm"):
        save_teacher(made / f"{kind}-teacher", kind)
    return made


def save_teacher(place: Path, kind: str = "single", words: list[str] | None = None, **model: Any) -> Path:
    model = {"labels": LABELS.get(kind, ("no", "yes")), **model}
    return save_checkpoint(place, tiny_model(head=HEADS.get(kind, "sequence"), **model), tiny_tokenizer(words))


def other_words() -> list[str]:
    """A vocabulary that lacks a word of the tiny one and has another in its place."""
    return [*vocabulary()[:-1], "zebra"]


def run(
    name: str,
    out: Path,
    folder: Path,
    *more: str | Path,
    kind: str = "single",
    data: Path | None = None,
    teachers: tuple[Path, ...] | None = None,
    settings: dict[str, Any] | None = None,
) -> Result:
    """`edgedistill distill NAME`, one step a stage, with what the recipe needs for that kind of task."""
    cfg = smoke_config(name, settings, max_steps=1).model_dump(mode="json")
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(cfg), encoding="utf-8")
    words: list[str | Path] = ["distill", name, "--out", out / "run", "--config", out / "config.json"]
    if kind == "mlm":
        words += ["--corpus", folder / "text.txt", "--task", "masked_words"]
    else:
        words += ["--task", folder / kind / "task.yaml", "--data", data or folder / kind]
    given = (folder / f"{kind}-teacher",) if teachers is None else teachers
    for teacher in given if MODULES[name].NEEDS_TEACHER or teachers is not None else ():
        words += ["--teacher", teacher]
    if not MODULES[name].NEEDS_TEACHER and not (teachers and name != "mtdnn_kd"):
        words += ["--student", folder / f"{kind}-teacher"]
    return CliRunner().invoke(edgedistill, [str(word) for word in (*words, *more)], prog_name="edgedistill")


def assert_refused(result: Result, out: Path, *messages: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    for message in messages:
        assert message in result.stderr
    assert not (out / "run" / "student").exists()


def assert_done(result: Result, out: Path) -> None:
    assert result.exit_code == 0, result.output
    assert (out / "run" / "student" / "edgedistill.json").is_file()


def _pairs() -> Iterator[Any]:
    """Every recipe and kind of task; of the kinds that a recipe does only the first before the long tests."""
    for name in RECIPES:
        able = [kind for kind in get_args(Kind) if kind in MODULES[name].KINDS]
        for kind in get_args(Kind):
            yield pytest.param(name, kind, marks=[pytest.mark.long] if kind in able[1:] else [])


@pytest.mark.parametrize(("name", "kind"), list(_pairs()))
@pytest.mark.slow
def test_does_the_tasks_it_names_and_refuses_others(name: str, kind: Kind, folder: Path, tmp_path: Path) -> None:
    # A tiny teacher is as wide as MobileBERT's default table of words, to which its word head then has nothing to add.
    settings = {"embedding_size": 8} if (name, kind) == ("mobilebert", "mlm") else None
    result = run(name, tmp_path, folder, kind=kind, settings=settings)
    if kind in MODULES[name].KINDS:
        assert_done(result, tmp_path)
    else:
        task = "masked_words" if kind == "mlm" else TASKS[kind].name
        told = f"the recipe '{name}' cannot do '{task}', a task of kind '{kind}'. It does: "
        assert_refused(result, tmp_path, told + ", ".join(sorted(MODULES[name].KINDS)))


@pytest.mark.parametrize("name", RECIPES)
def test_needs_a_teacher_or_a_start(name: str, folder: Path, tmp_path: Path) -> None:
    kind = next(kind for kind in ("single", "generation", "mlm") if kind in MODULES[name].KINDS)
    given = ["--corpus", folder / "text.txt"] if kind == "mlm" else ["--data", folder / kind]
    words = ["distill", name, "--out", tmp_path / "run", *given]
    words += [] if kind == "mlm" else ["--task", folder / kind / "task.yaml"]
    result = CliRunner().invoke(edgedistill, [str(word) for word in words], prog_name="edgedistill")
    assert_refused(result, tmp_path, "--teacher" if MODULES[name].NEEDS_TEACHER else "--student")


@pytest.mark.parametrize("name", [*TAUGHT, "mtdnn_kd"])
@pytest.mark.slow
def test_an_ensemble_and_no_labels_are_enough(name: str, folder: Path, tmp_path: Path) -> None:
    other = save_teacher(tmp_path / "other", seed=1)
    data = without_labels(folder / "single", tmp_path / "data")
    both = (folder / "single-teacher", other)
    assert_done(run(name, tmp_path, folder, data=data, teachers=both, settings=ALONE.get(name)), tmp_path)


@pytest.mark.slow
def test_exits_need_no_labels(folder: Path, tmp_path: Path) -> None:
    data = without_labels(folder / "single", tmp_path / "data")
    assert_done(run("fastbert", tmp_path, folder, data=data, settings=ALONE["fastbert"]), tmp_path)


@pytest.mark.parametrize("name", TAUGHT)
def test_an_ensemble_that_is_asked_for_layers_says_what_to_do(name: str, folder: Path, tmp_path: Path) -> None:
    other = save_teacher(tmp_path / "other", seed=1)
    result = run(name, tmp_path, folder, "--dry-run", teachers=(folder / "single-teacher", other))
    if result.exit_code:
        assert_refused(result, tmp_path, "ensemble", "--set")
    else:
        assert name in {"bilstm", "distilbert"}, "compares answers only"


@pytest.mark.parametrize("name", ["fastbert", "finetune"])
def test_several_checkpoints_to_start_from_are_refused(name: str, folder: Path, tmp_path: Path) -> None:
    both = (folder / "single-teacher", folder / "pair-teacher")
    assert_refused(run(name, tmp_path, folder, teachers=both), tmp_path, "it starts from one checkpoint. Give one.")


@pytest.mark.parametrize("name", ON_TASKS)
def test_rows_without_labels_are_refused_where_they_are_learnt(name: str, folder: Path, tmp_path: Path) -> None:
    data = without_labels(folder / "single", tmp_path / "data")
    settings = {"tinybert": {"regression_target": "gold"}, "pkd": {"alpha": 0.5}}.get(name)
    result = run(name, tmp_path, folder, "--dry-run", data=data, settings=settings)
    if MODULES[name].Config(**(settings or {})).needs_labels:
        assert_refused(result, tmp_path, "train.jsonl has no column 'label'")
    else:
        assert result.exit_code == 0, result.output


def without_labels(source: Path, place: Path) -> Path:
    """The same data, whose training rows have no label."""
    shutil.copytree(source, place)
    rows = [json.loads(line) for line in (place / "train.jsonl").read_text().splitlines()]
    write_jsonl(place / "train.jsonl", [{k: v for k, v in row.items() if k != "label"} for row in rows])
    return place


@pytest.mark.parametrize("name", ON_TASKS)
def test_raw_text_that_nothing_is_learnt_from_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    text = ("--dry-run", "--corpus", folder / "text.txt")
    result = run(name, tmp_path, folder, *text)
    if MODULES[name].Config().reads_corpus:
        assert name in {"fastbert", "mobilebert", "tinybert"}, "these have a stage on raw text beside a task"
        assert result.exit_code == 0, result.output
        assert "corpus 40" in result.stderr
        return
    assert_refused(
        result,
        tmp_path,
        f"--corpus: the recipe '{name}', as it is set, learns nothing from raw text",
        f"beside the task '{TASKS['single'].name}'. Leave it out.",
    )
    if "vocabulary" in MODULES[name].Config.model_fields:  # it says which words are kept
        kept = run(name, tmp_path, folder, *text, settings={"vocabulary": {"coverage": 1}})
        assert kept.exit_code == 0, kept.output


@pytest.mark.parametrize("settings", [{"labels": 0}, {"labels": 0, "members": 0}, {}])
def test_labels_that_members_learn_from_must_be_there(settings: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    data = without_labels(folder / "single", tmp_path / "data")
    assert_refused(run("mtdnn_kd", tmp_path, folder, data=data, settings=settings), tmp_path, "labels")
    assert not (tmp_path / "run").exists(), "said before anything is written"


TEACHERS = {
    "order": ({"labels": ("yes", "no")}, "label 0 is 'yes', the task's is 'no'", "task's YAML"),
    "names": ({"labels": ("no", "maybe")}, "label 1 is 'maybe', the task's is 'yes'", "fine-tune the teacher"),
    "more labels": ({"labels": ("no", "yes", "maybe")}, "has 3 labels", "Give a teacher that was fine-tuned"),
    "a score": ({"labels": ("score",)}, "answers with 'regression'", "distill finetune"),
    "no head": ({"head": "bare"}, "answers with 'embedding'", "distill finetune"),
    "tags": ({"head": "tokens"}, "answers with 'tokens'", "distill finetune"),
}


@pytest.mark.slow
@pytest.mark.parametrize("harm", TEACHERS)
@pytest.mark.parametrize("name", [*TAUGHT, "mtdnn_kd"])
def test_a_teacher_that_does_not_fit_is_refused(name: str, harm: str, folder: Path, tmp_path: Path) -> None:
    model, *messages = TEACHERS[harm]
    place = save_checkpoint(tmp_path / "teacher", tiny_model(**{"labels": ("no", "yes"), **model}))
    assert_refused(run(name, tmp_path, folder, teachers=(place,)), tmp_path, str(place), *messages)


@pytest.mark.parametrize("name", [*TAUGHT, "mtdnn_kd"])
def test_members_of_an_ensemble_must_agree(name: str, folder: Path, tmp_path: Path) -> None:
    other = save_teacher(tmp_path / "other", words=other_words())
    both = (folder / "single-teacher", other)
    result = run(name, tmp_path, folder, teachers=both, settings=ALONE.get(name))
    assert_refused(result, tmp_path, "splits text into other tokens", "the same tokenizer")


@pytest.mark.parametrize("name", TAUGHT)
def test_a_member_with_other_ids_for_the_same_words_agrees(name: str, folder: Path, tmp_path: Path) -> None:
    words = vocabulary()
    words[2:4] = words[3], words[2]  # [CLS] and [SEP] change places
    other = save_teacher(tmp_path / "other", words=words[:5] + words[5:][::-1])
    both = (folder / "single-teacher", other)
    assert_done(run(name, tmp_path, folder, teachers=both, settings=ALONE.get(name)), tmp_path)


@pytest.mark.parametrize("name", ["distilbert", "mobilebert", "pkd", "tinybert", "mtdnn_kd"])
def test_a_student_of_another_vocabulary_learns_answers_or_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    start = save_teacher(tmp_path / "start", words=other_words(), dropout=0.0)
    result = run(name, tmp_path, folder, "--student", start, "--dry-run", teachers=(folder / "single-teacher",))
    if result.exit_code:
        assert_refused(result, tmp_path, "tokens", "--set")
    else:
        assert name in {"distilbert", "pkd", "mtdnn_kd"}, "compares whole texts only"


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_TASKS)
class TestData:
    """Rows that nobody can learn from."""

    def assert_refused(
        self, name: str, folder: Path, tmp_path: Path, split: str, rows: list[Any], *messages: str
    ) -> None:
        data = Path(shutil.copytree(folder / "single", tmp_path / "data"))
        write_jsonl(data / f"{split}.jsonl", rows)
        assert_refused(run(name, tmp_path, folder, data=data), tmp_path, *messages)

    def test_of_one_class(self, name: str, folder: Path, tmp_path: Path) -> None:
        rows = [{"a": "the film", "label": "yes"}] * 24
        self.assert_refused(name, folder, tmp_path, "train", rows, "have the label 'yes'", "Give rows of other classes")

    @pytest.mark.parametrize("split", ["train", "validation", "test"])
    def test_that_are_not_there(self, name: str, folder: Path, tmp_path: Path, split: str) -> None:
        self.assert_refused(name, folder, tmp_path, split, [], f"{split}.jsonl' has no rows", "Write at least one")

    @pytest.mark.parametrize("label", [2, -7, "perhaps"])
    def test_with_labels_out_of_range(self, name: str, folder: Path, tmp_path: Path, label: Any) -> None:
        rows = [{"a": "the film", "label": value} for value in ("no", "yes", label)]
        messages = ("train.jsonl, line 3, column 'label'", repr(label), "Allowed: no, yes")
        self.assert_refused(name, folder, tmp_path, "train", rows, *messages)

    def test_that_are_too_few(self, name: str, folder: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(folder / "single", tmp_path / "data"))
        (data / "test.jsonl").unlink()
        write_jsonl(data / "train.jsonl", [{"a": "the film", "label": "yes"}])
        assert_refused(run(name, tmp_path, folder, data=data), tmp_path, "1 training rows, too few")
