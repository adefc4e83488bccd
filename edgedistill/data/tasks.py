"""What a task is: its data, its labels, its metric (no torch here).

`TASKS` is the table of tasks known by name; any other one is a YAML file with the same fields.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgedistill.config import Settings, build, read_yaml
from edgedistill.errors import ConfigError, UnknownNameError

Kind = Literal["single", "pair", "regression", "ranking", "span", "tokens", "mlm", "generation"]
Metric = Literal[
    "accuracy",
    "f1",
    "accuracy_f1",
    "matthews",
    "pearson_spearman",
    "ranking",
    "squad_f1",
    "macro_f1",
    "entity_f1",
    "bleu",
    "rouge_l",
]
Split = Literal["train", "validation", "test"]

SCORES = frozenset({"regression", "ranking"})
"""Kinds that are answered with one number: how much, or how well a candidate suits its question."""

IGNORED = -100
"""The label of a token that has none; PyTorch's cross entropy leaves it out by the same number."""

MASKED_WORDS = "masked_words"
"""The task of recipes that learn from raw text alone."""

OF_WRITTEN_TEXT: frozenset[Metric] = frozenset({"bleu", "rouge_l"})
"""Metrics that compare a text with other texts: those of generation."""

PARQUET = "refs/convert/parquet"
"""Branch the Hub keeps of every dataset: <config>/<split>/0000.parquet, no loading script to trust."""


class HubSource(Settings):
    """Where a task lives on the Hugging Face Hub."""

    path: str
    """Dataset id, such as nyu-mll/glue."""
    name: str | None = None
    """Configuration within the dataset, such as sst2."""
    revision: str | None = None
    """Branch or commit; refs/convert/parquet needs no loading script."""


class Task(Settings):
    """A dataset, the meaning of its labels, and its metric."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")
    """What the user types."""
    kind: Kind = "single"
    """single: one text; pair: two; regression: one or two texts to a number; ranking: a question and its candidates, of
    which one is right; span: question and context to an answer in the context; tokens: a tag for every word; mlm: the
    masked words of raw text; generation: one or two texts to a text that is written."""
    text: tuple[str, ...] = ("text",)
    """Columns of the text: one, or two for a pair (question and context for a span, question and candidate for a
    ranking)."""
    label: str = "label"
    """Column of the label: the answers, for a span; 1 for the right candidate of a ranking, else 0; the text to be
    written, or a list of such texts that are all right, for generation."""
    candidates: Literal["rows", "sentences"] = "rows"
    """Of a ranking. rows: each row is a candidate, those of a question next to each other; sentences: the second text
    is a paragraph whose sentences are the candidates, the label the answers as of a span."""
    labels: tuple[str, ...] = ()
    """Class names in the order of their numbers; empty: taken from the data."""
    metric: Metric = "accuracy"
    """What the verdict is about."""
    splits: dict[Split, str] = {
        "train": "train",
        "validation": "validation",
        "test": "test",
    }
    """Names of the splits in the source."""
    hub: HubSource | None = None
    """Where to load from when no --data is given."""
    summary: str = ""
    """One line for `edgedistill ls tasks`."""

    @model_validator(mode="after")
    def _columns_fit_kind(self) -> Task:
        alone, either = {"single", "tokens", "mlm"}, {"regression", "generation"}
        wanted = (1,) if self.kind in alone else (1, 2) if self.kind in either else (2,)
        if len(self.text) not in wanted:
            raise ValueError(f"a task of kind '{self.kind}' has {wanted} text columns, not {len(self.text)}")
        if (self.metric == "ranking") != (self.kind == "ranking"):
            raise ValueError(
                f"kind '{self.kind}' and metric '{self.metric}': a ranking is judged by the metric 'ranking'"
            )
        return self

    @model_validator(mode="after")
    def _metric_fits_kind(self) -> Task:
        if self.metric == "entity_f1" and self.kind != "tokens":
            raise ValueError(f"metric: 'entity_f1' is of tags of words; the task is of kind '{self.kind}'")
        if (self.kind == "generation") != (self.metric in OF_WRITTEN_TEXT):
            wrong = f"metric: '{self.metric}' is none of a task of kind '{self.kind}'"
            raise ValueError(f"{wrong}; bleu and rouge_l are those of generation, and no other kind's")
        return self

    @model_validator(mode="after")
    def _labels_differ(self) -> Task:
        repeated = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if repeated:
            raise ValueError(f"labels: '{repeated[0]}' is listed twice")
        if len(self.labels) == 1:
            raise ValueError("labels: one class alone cannot be learnt; list them all, or none")
        return self

    @property
    def has_classes(self) -> bool:
        """Whether its labels are classes (of a text or of every word), not numbers or answers."""
        return self.kind in {"single", "pair", "tokens"}


def find_task(name: str) -> Task:
    """The task of that name, or the one a YAML file describes.

    Args:
        name: a name in `TASKS`, or the path of a .yaml or .yml file with the fields of `Task`
            (`name` may be left out: the file's own name then).

    Raises:
        UnknownNameError: no such name.
        ConfigError: the file cannot be read or has a wrong field.
    """
    if Path(name).suffix not in {".yaml", ".yml"}:
        if name not in TASKS:
            raise UnknownNameError("task", name, TASKS)
        return TASKS[name]
    values = read_yaml(Path(name), "task")
    if not values:
        raise ConfigError(f"'{name}' is empty. Write at least 'text' and 'label', the columns of your data.")
    own_name = re.sub(r"[^a-z0-9_\-]+", "-", Path(name).stem.lower()).strip("-_") or "task"
    return build(Task, {"name": own_name[:64], **values}, name)


def _glue(name: str, text: tuple[str, ...], labels: tuple[str, ...], summary: str, **more: object) -> Task:
    kind = more.pop("kind", "single" if len(text) == 1 else "pair")
    hub = HubSource(path="nyu-mll/glue", name=name, revision=PARQUET)
    values = {"name": name, "kind": kind, "text": text, "labels": labels, "hub": hub, "summary": summary, **more}
    return Task.model_validate(values)


def _intents(name: str, path: str, summary: str, config: str = "default", **more: object) -> Task:
    hub = HubSource(path=path, name=config, revision=PARQUET)
    return Task.model_validate({"name": name, "label": "intent", "hub": hub, "summary": summary, **more})


def _written(name: str, path: str | HubSource, text: tuple[str, ...], label: str, summary: str, **more: object) -> Task:
    hub = path if isinstance(path, HubSource) else HubSource(path=path, name="default", revision=PARQUET)
    values = {"name": name, "kind": "generation", "text": text, "label": label, "metric": "bleu", "hub": hub}
    return Task.model_validate({**values, "summary": summary, **more})


_TWO_SENTENCES = ("sentence1", "sentence2")
_ENTAILS = ("entailment", "not_entailment")
_TRAIN_AND_TEST = {"train": "train", "test": "test"}
_TRAIN_AND_VALIDATION: dict[Split, str] = {"train": "train", "validation": "validation"}
_SQUAD = HubSource(path="rajpurkar/squad", name="plain_text", revision=PARQUET)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(name="assistant", label="intent", summary="on-device assistant intents; made here, needs no data"),
        Task(name=MASKED_WORDS, kind="mlm", summary="the masked words of raw text, given as --corpus"),
        _glue("cola", ("sentence",), ("unacceptable", "acceptable"), "is it grammatical English", metric="matthews"),
        _glue("sst2", ("sentence",), ("negative", "positive"), "sentiment of movie review sentences"),
        _glue(
            "mrpc",
            _TWO_SENTENCES,
            ("not_equivalent", "equivalent"),
            "do two news sentences say the same",
            metric="accuracy_f1",
        ),
        _glue(
            "qqp",
            ("question1", "question2"),
            ("not_duplicate", "duplicate"),
            "do two questions ask the same",
            metric="accuracy_f1",
        ),
        _glue(
            "stsb",
            _TWO_SENTENCES,
            (),
            "similarity of two sentences, 0 to 5",
            kind="regression",
            metric="pearson_spearman",
        ),
        _glue(
            "mnli",
            ("premise", "hypothesis"),
            ("entailment", "neutral", "contradiction"),
            "does the premise entail the hypothesis (matched genres)",
            splits={"train": "train", "validation": "validation_matched", "test": "test_matched"},
        ),
        _glue("qnli", ("question", "sentence"), _ENTAILS, "does the sentence answer the question"),
        _glue("rte", _TWO_SENTENCES, _ENTAILS, "does the first sentence entail the second"),
        Task(
            name="squad",
            kind="span",
            text=("question", "context"),
            label="answers",
            metric="squad_f1",
            splits=_TRAIN_AND_VALIDATION,
            hub=_SQUAD,
            summary="the answer to a question, within a paragraph (SQuAD 1.1)",
        ),
        Task(
            name="squad_ranking",
            kind="ranking",
            text=("question", "context"),
            label="answers",
            candidates="sentences",
            metric="ranking",
            splits=_TRAIN_AND_VALIDATION,
            hub=_SQUAD,
            summary="which sentence of a paragraph holds the answer to a question (SQuAD 1.1)",
        ),
        _intents("clinc150", "clinc/clinc_oos", "150 intents of an assistant and out-of-scope", "plus"),
        _intents(
            "banking77", "PolyAI/banking77", "77 intents of bank customers", label="label", splits=_TRAIN_AND_TEST
        ),
        _intents(
            "snips",
            "benayas/snips",
            "7 intents of a voice assistant",
            label="category",
            labels=(
                "AddToPlaylist",
                "BookRestaurant",
                "GetWeather",
                "PlayMusic",
                "RateBook",
                "SearchCreativeWork",
                "SearchScreeningEvent",
            ),
        ),
        _intents("atis", "tuetschek/atis", "intents of airline travellers, very unbalanced"),
        Task(
            name="trec",
            label="coarse_label",
            labels=("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"),
            splits={"train": "train", "test": "test"},
            hub=HubSource(path="CogComp/trec", name="default", revision=PARQUET),
            summary="what a question asks for, 6 classes",
        ),
        Task(
            name="ag_news",
            labels=("World", "Sports", "Business", "Sci/Tech"),
            splits={"train": "train", "test": "test"},
            hub=HubSource(path="fancyzhx/ag_news", name="default", revision=PARQUET),
            summary="topic of news items",
        ),
        Task(
            name="imdb",
            labels=("negative", "positive"),
            splits={"train": "train", "test": "test"},
            hub=HubSource(path="stanfordnlp/imdb", name="plain_text", revision=PARQUET),
            summary="sentiment of whole movie reviews",
        ),
        _written(
            "e2e_nlg",
            "tuetschek/e2e_nlg",
            ("meaning_representation",),
            "human_reference",
            "sentences about a restaurant from a list of facts",
        ),
        _written("multi30k", "bentrevett/multi30k", ("de",), "en", "image captions from German into English"),
        _written(
            "squad_questions",
            _SQUAD,
            ("answers", "context"),
            "question",
            "the question to an answer, within a paragraph (SQuAD 1.1 the other way round)",
            splits=_TRAIN_AND_VALIDATION,
        ),
    )
}
"""Every task known by name. Label orders and columns are the Hub's."""


def same_head(one: str, two: str) -> bool:
    """Whether models of these kinds have the same head: that of one text answers two, a score is a number like any."""
    return one == two or {one, two} in ({"single", "pair"}, SCORES)
