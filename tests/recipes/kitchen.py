"""Recipes cooked small: the tiny teacher, a tiny task, a few steps of each stage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from edgedistill import plugins
from edgedistill.config import build
from edgedistill.data.task_data import TaskData, load_task_data
from edgedistill.data.tasks import MASKED_WORDS, Task, find_task
from edgedistill.models.loading import load
from edgedistill.recipes import Ingredients, RecipeConfig
from edgedistill.training.loop import fit
from edgedistill.training.stage import OptimConfig
from edgedistill.training.teachers import OnlineTeacher
from tests.support import BAD, GOOD, NOUNS, save_checkpoint, tiny_model, tiny_tokenizer, vocabulary, write_jsonl

WRITING = Task(name="writing", kind="generation", text=("facts",), label="sentence", metric="bleu")
TASKS: dict[str, Task] = {
    "pair": Task(name="p", kind="pair", text=("a", "b"), labels=("no", "yes")),
    "single": Task(name="o", kind="single", text=("a",), labels=("no", "yes")),
    "ranking": Task(name="k", kind="ranking", text=("a", "b"), metric="ranking"),
    "regression": Task(name="r", kind="regression", text=("a", "b"), metric="pearson_spearman"),
    "span": Task(name="s", kind="span", text=("question", "context"), label="answers", metric="squad_f1"),
    "tokens": Task(name="t", kind="tokens", text=("words",), label="tags", labels=("DET", "OTHER"), metric="accuracy"),
    "generation": Task(name="g", kind="generation", text=("a",), label="b", metric="bleu"),
}
"""A task of every kind but masked words."""
ON_RAW_TEXT = ("distilbert words", "mobilebert words", "tinybert general")
"""Recipes once more, named with what else they do: teach words of raw text, or begin a task's student with them."""
OTHERWISE: dict[str, dict[str, Any]] = {
    "finetune lamb": {"optim": {"optimizer": "lamb", "lr": 0.02}},
    "mobilebert progressive": {"strategy": "progressive", "num_layers": 2},
    "mtdnn_kd several": {"members": 1},
}
"""Recipes once more, named with what is otherwise than by default, and their settings: MobileBERT's own optimiser, its
own transfer layer by layer, several tasks at once."""
ROADS = (*plugins.names("recipes"), *ON_RAW_TEXT, *OTHERWISE)
"""Everything whose curve is stored."""
STEPS = 8
KEPT = ("stage", "step", "loss", "terms", "lr", "grad_norm", "epoch", "rows", "tokens")


def write_uneven_task(folder: Path, rows: int = 64) -> Path:
    """A two-class task whose texts have 7 to 17 tokens, so that a mean over rows is no mean over tokens."""
    for seed, (split, count) in enumerate((("train", rows), ("validation", 16), ("test", 16))):
        choose = random.Random(seed)
        made = []
        for number in range(count):
            words = (choose.choice(("the", "this", "that")), choose.choice(NOUNS), choose.choice(("is", "was")))
            adjective = choose.choice(GOOD if number % 2 else BAD)
            text = " ".join((*words, *("very", "quite") * choose.randrange(1, 6), adjective))
            made.append({"sentence": text, "label": number % 2})
        write_jsonl(folder / f"{split}.jsonl", made)
    return folder


def write_kind(folder: Path, kind: str) -> None:
    """Two splits of a task of that kind, one of `TASKS`, 24 rows each."""
    rows = []
    for number in range(24):
        first, second = ("the film", "a plot")[number % 2], ("was dull", "is great", "is cold")[number % 3]
        rows.append(
            {
                "pair": {"a": first, "b": second, "label": ("no", "yes")[number % 2]},
                "single": {"a": f"{first} {second}", "label": ("no", "yes")[number % 2]},
                "ranking": {"a": f"what is {number // 3}", "b": f"{first} {second}", "label": int(number % 3 == 1)},
                "regression": {"a": first, "b": second, "label": (number % 5) / 2},
                "span": {
                    "question": "what is it",
                    "context": f"{first} {second}",
                    "answers": {"text": [second], "answer_start": [len(first) + 1]},
                },
                "tokens": {"words": f"{first} {second}".split(), "tags": ["DET", "OTHER", "OTHER", "OTHER"]},
                "generation": {"a": first, "b": second},
            }[kind]
        )
    for split in ("train", "validation"):
        write_jsonl(folder / f"{split}.jsonl", rows)


def write_pairs(folder: Path, rows: int = 64) -> Path:
    """A task of kind generation, `WRITING`: the words of a list put into a sentence of 4 to 14 tokens."""
    for seed, (split, count) in enumerate((("train", rows), ("validation", 16), ("test", 16))):
        choose = random.Random(seed)
        made = []
        for number in range(count):
            noun, adjective = choose.choice(NOUNS), choose.choice(GOOD if number % 2 else BAD)
            times = choose.randrange(0, 6)
            source = " ".join((noun, *("very",) * times, adjective))
            made.append({"facts": source, "sentence": " ".join(("the", noun, "is", *("very",) * times, adjective))})
        write_jsonl(folder / f"{split}.jsonl", made)
    return folder


def ingredients(
    folder: Path,
    task: Task | None = None,
    data_dir: Path | None = None,
    head: str = "sequence",
    corpus: Path | None = None,
    in_pairs: bool = False,
    **model: Any,
) -> Ingredients:
    """A tiny teacher, its task and a checkpoint to start from (the teacher's)."""
    teacher = load(save_checkpoint(folder / "teacher", tiny_model(head=head, **model)))
    task = task or find_task("sst2")
    has_files = task.kind != "mlm"
    data: TaskData = load_task_data(
        task,
        data_dir or (write_uneven_task(folder / "data") if has_files else None),
        teacher.tokenizer,
        teacher_tokenizer=teacher.tokenizer,
        max_length=32,
        seed=0,
        corpus=corpus,
        in_pairs=in_pairs,
    )
    return Ingredients(data=data, teacher=OnlineTeacher(teacher), start=teacher.path)


def with_other_tasks(folder: Path, *kinds: str) -> Ingredients:
    """Sentences as the main task, and a task of each kind beside it."""
    made = ingredients(folder)
    others = {}
    for kind in kinds:
        task = TASKS[kind].model_copy(update={"name": f"a-{kind}"})
        write_kind(folder / kind, kind)
        others[task.name] = load_task_data(task, folder / kind, made.data.tokenizer, max_length=32, seed=0)
    return replace(made, others=others)


def recipe_of(name: str) -> Any:
    """The module of one of the `ROADS`."""
    return plugins.load("recipes", name.split()[0])


def ingredients_of(name: str, folder: Path) -> Ingredients:
    """What a recipe of that name can cook with: a task of texts, or for one that does no other pairs or raw text."""
    kinds = recipe_of(name).KINDS
    if name == "mtdnn_kd several":
        return with_other_tasks(folder, "pair", "regression")
    if "single" in kinds and name not in ON_RAW_TEXT:
        return ingredients(folder)
    if "generation" in kinds:
        return ingredients(folder, WRITING, write_pairs(folder / "pairs"), head="mlm")
    data = write_uneven_task(folder / "data")
    lines = [json.loads(line)["sentence"] for line in (data / "train.jsonl").read_text().splitlines()]
    (folder / "corpus.txt").write_text("\n".join(lines), encoding="utf-8")
    if "mlm" not in kinds:
        return ingredients(folder, corpus=folder / "corpus.txt")
    return ingredients(folder, find_task(MASKED_WORDS), head="mlm", corpus=folder / "corpus.txt")


def write_documents(path: Path, documents: int = 20, sentences: int = 8) -> Path:
    """Raw text of documents, each about one thing of its own, so that what follows can be told from what does not."""
    choose = random.Random(0)
    each = []
    for number in range(documents):
        noun = NOUNS[number % len(NOUNS)]
        lines = [f"the {noun} {choose.choice(('is', 'was'))} {choose.choice((*GOOD, *BAD))}" for _ in range(sentences)]
        each.append("\n".join(f"{line} and the {noun}" for line in lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(each), encoding="utf-8")
    return path


def ingredients_in_pairs(folder: Path, **model: Any) -> Ingredients:
    """Documents to predict next sentences of, and a teacher that guesses words."""
    corpus = write_documents(folder / "corpus.txt")
    return ingredients(folder, find_task(MASKED_WORDS), head="mlm", corpus=corpus, in_pairs=True, **model)


def of_other_tokens(given: Ingredients, folder: Path) -> Ingredients:
    """The same teacher beside a student whose tokenizer numbers the words otherwise."""
    words = vocabulary()
    data = load_task_data(
        find_task("sst2"),
        write_uneven_task(folder / "data"),
        tiny_tokenizer(words[:5] + words[5:][::-1]),
        teacher_tokenizer=tiny_tokenizer(),
        max_length=32,
        seed=0,
    )
    return Ingredients(data=data, teacher=given.teacher)


def smoke_config(name: str, settings: dict[str, Any] | None = None, **optim: Any) -> RecipeConfig:
    """A recipe's defaults, with every stage cut to a few fp32 steps and a width of its own to a tiny one."""
    module = recipe_of(name)
    own = module.Config.model_fields
    narrow: dict[str, Any] = {"hidden_size": 8} if "hidden_size" in own else {}
    if "shape" in own:
        narrow["shape"] = {"layers": 2, "hidden_size": 8, "ffn_size": 16, "heads": 2, "dropout": 0.0}
    if name == "mobilebert words":
        narrow["embedding_size"] = 8  # its head of words holds what embeddings lack of the width: not nothing
    # Dropout draws another mask for a step cut into parts, whose result must be the same.
    still = {"dropout": 0.0} if "dropout" in own else {}
    values = {"max_length": 32, **narrow, **still, **OTHERWISE.get(name, {}), **(settings or {})}
    cfg: RecipeConfig = build(module.Config, values, name)
    small = {"max_steps": STEPS, "batch_size": 8, "mixed_precision": "no", **optim}
    stages = {key: value for key, value in cfg if isinstance(value, OptimConfig)}
    return cfg.model_copy(update={key: value.model_copy(update=small) for key, value in stages.items()})


def cook(
    name: str,
    cfg: RecipeConfig,
    given: Ingredients,
    folder: Path,
    after_build: Callable[[torch.nn.Module], None] | None = None,
    on_step: Callable[[str, torch.nn.Module], None] | None = None,
) -> tuple[torch.nn.Module, list[dict[str, Any]]]:
    """Run every stage; the student and what the stages logged.

    Args:
        name: of the recipe.
        cfg: its settings.
        given: what it cooks with.
        folder: the stages' folders; finished ones are restored.
        after_build: told the student before the first stage.
        on_step: told the stage's name and model before every forward pass; may raise.
    """
    module = recipe_of(name)
    given = replace(given, start=None) if module.NEEDS_TEACHER else replace(given, teacher=None)
    torch.manual_seed(0)
    student = module.build_student(cfg, given)
    if after_build is not None:
        after_build(student)
    lines = []
    for number, stage in enumerate(module.stages(cfg, given, student), start=1):
        slot = folder / f"{number:02d}-{stage.name}"
        if on_step is not None:
            stage = _watched(stage, on_step)
        fit(stage, slot, seed=0)
        logged = [json.loads(text) for text in (slot / "log.jsonl").read_text().splitlines()]
        lines += [{key: line[key] for key in KEPT} for line in logged]
    return student, lines


def _watched(stage: Any, on_step: Callable[[str, torch.nn.Module], None]) -> Any:
    step = stage.step

    def watched(batch: Any) -> Any:
        on_step(stage.name, stage.model)
        return step(batch)

    return replace(stage, step=watched)
