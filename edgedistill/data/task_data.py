"""A task's rows, loaded, checked, split and tokenised: to learn from, to choose by, and to be judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistill.data.corpus import held_out, in_pieces, load_corpus
from edgedistill.data.documents import held_out_sections, load_documents
from edgedistill.data.labels import has_labels, label_names
from edgedistill.data.rows import Rows
from edgedistill.data.sentence_pairs import SentencePairs
from edgedistill.data.sources import dataset_of, open_source
from edgedistill.data.splits import carved, halved, judged_split_of, refuse_no_text, refuse_one_class
from edgedistill.data.streams import Place
from edgedistill.data.tasks import Kind, Task
from edgedistill.data.tokenise import same_tokens
from edgedistill.errors import ConfigError, DataError
from edgedistill.progress import say

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class TaskData:
    """The rows of a task, ready to train on and to judge by. No row of `judged` is in `train` or `dev`.

    Attributes:
        task: what it is about.
        labels: class names in logit order; empty for numbers and spans.
        train: what is learnt from; without labels where none are needed and there are none.
        dev: chooses checkpoints and thresholds: the validation split where `judged` is the test split; else a seeded
            part of train (a tenth, at most 1000 rows, every class in its share), or half of `judged` where train has no
            labels.
        judged: what verdicts are about: the test split where there is one with labels, else the validation split.
        corpus: unlabelled text, where some was given.
        tokenizer: the student's.
        max_length: longest row in tokens.
        sha256: of the training rows.
    """

    task: Task
    labels: tuple[str, ...]
    train: Rows
    dev: Rows
    judged: Rows
    corpus: Rows | None
    tokenizer: Any
    max_length: int
    sha256: str


def load_task_data(
    task: Task,
    data_dir: Path | None,
    tokenizer: Any,
    *,
    teacher_tokenizer: Any = None,
    max_length: int,
    seed: int,
    limit: int | None = None,
    corpus: Place | None = None,
    in_pairs: bool = False,
    needs_labels: bool = True,
) -> TaskData:
    """Load, check, split and tokenise a task.

    Args:
        task: which.
        data_dir: folder of its files; none: from the Hub, or embedded.
        tokenizer: the student's fast tokenizer.
        teacher_tokenizer: the teacher's; rows get a second token view only if it differs.
        max_length: longest row in tokens.
        seed: decides which rows of train become `dev`, where the data has no split for it.
        limit: most rows to take of each split and of the corpus, for a quick try.
        corpus: unlabelled text file, or the URL of some.
        needs_labels: whether something is learnt from the labels of train, so that it must have some.
        in_pairs: whether raw text is read two texts at a time (`data.sentence_pairs`).

    Raises:
        DataError: naming the file, line and column, and what to do.
        ConfigError: raw text that has no pairs, or the task of raw text without any.
    """
    if task.kind == "mlm":
        return _load_text(task, data_dir, tokenizer, teacher_tokenizer, max_length, seed, limit, corpus, in_pairs)
    source = open_source(task, data_dir)
    names = label_names(task, source)
    judged_split = judged_split_of(task, source)
    judged = dataset_of(task, source, judged_split, names, limit)
    is_labelled = "train" not in source.splits or has_labels(task, source, "train")
    try:
        train = dataset_of(task, source, "train", names, limit, needs_labels=needs_labels)
    except DataError as error:
        if is_labelled or not needs_labels:
            raise
        raise DataError(
            f"{str(error).rstrip('.')}. Or learn from a teacher alone: 'bilstm' and 'tinybert' need no labels, "
            "other recipes with a teacher none where their weight is 0, fastbert none with finetune_optim=null."
        ) from error
    if judged_split == "test" and has_labels(task, source, "validation"):
        dev = dataset_of(task, source, "validation", names, limit)
    elif is_labelled:
        train, dev = carved(train, task, seed)
    else:
        judged, dev = halved(judged, task, seed)
        say(f"{task.name}: train has no labels, half of {judged_split} chooses and the other half judges")
    refuse_no_text(task, train, source.name)
    if is_labelled:
        refuse_one_class(task, train, names, source.name)

    teacher = None if teacher_tokenizer is None or same_tokens(tokenizer, teacher_tokenizer) else teacher_tokenizer

    def rows(dataset: Dataset, kind: Kind | None = task.kind, drops: bool = False) -> Rows:
        return Rows(dataset, kind, tokenizer, teacher, max_length=max_length, drops_cut_answers=drops)

    train_rows = rows(train, drops=True)
    if train_rows.dropped:
        say(
            f"{task.name}: {train_rows.dropped} of {len(train)} training rows left out, "
            f"their answers lie beyond max_length={max_length} tokens"
        )
    return TaskData(
        task=task,
        labels=names,
        train=train_rows,
        dev=rows(dev),
        judged=rows(judged),
        corpus=None if corpus is None else rows(load_corpus(corpus, limit), None),
        tokenizer=tokenizer,
        max_length=max_length,
        sha256=train_rows.sha256,
    )


def _load_text(
    task: Task,
    data_dir: Path | None,
    tokenizer: Any,
    teacher_tokenizer: Any,
    max_length: int,
    seed: int,
    limit: int | None,
    corpus: Place | None,
    in_pairs: bool,
) -> TaskData:
    """Raw text as a task: what is learnt from is the corpus, what is judged by is held out of it."""
    if corpus is None or data_dir is not None:
        raise ConfigError(
            f"the task '{task.name}' is about raw text: give it with --corpus FILE, and leave --data out."
        )
    teacher = None if teacher_tokenizer is None or same_tokens(tokenizer, teacher_tokenizer) else teacher_tokenizer

    def rows(part: Dataset) -> Rows:
        if in_pairs:
            return SentencePairs(part, tokenizer, teacher, max_length=max_length)
        return Rows(in_pieces(part, tokenizer, max_length), None, tokenizer, teacher, max_length=max_length)

    parts = (
        held_out_sections(load_documents(corpus, limit), seed)
        if in_pairs
        else held_out(load_corpus(corpus, limit), seed)
    )
    train, dev, judged = map(rows, parts)
    return TaskData(task, (), train, dev, judged, None, tokenizer, max_length, train.sha256)


def load_judged(
    task: Task, data_dir: Path | None, tokenizer: Any, *, max_length: int, limit: int | None = None
) -> tuple[Rows, tuple[str, ...]]:
    """The rows verdicts are about and the class names, without needing the rest of the data.

    Raises:
        DataError: as `load_task_data`.
    """
    source = open_source(task, data_dir)
    names = label_names(task, source)
    dataset = dataset_of(task, source, judged_split_of(task, source), names, limit)
    return Rows(dataset, task.kind, tokenizer, max_length=max_length), names
