"""Heads: transformers' class for every kind of answer, and what its configuration says of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from edgedistill.data.tasks import SCORES
from edgedistill.errors import CheckpointError
from edgedistill.models.folder import HeadKind

AUTO_CLASSES: dict[HeadKind, Any] = {
    **dict.fromkeys(("single", "pair", "regression", "ranking"), transformers.AutoModelForSequenceClassification),
    "span": transformers.AutoModelForQuestionAnswering,
    "tokens": transformers.AutoModelForTokenClassification,
    "embedding": transformers.AutoModel,
    "mlm": transformers.AutoModelForMaskedLM,
    "pretraining": transformers.AutoModelForPreTraining,
    "generation": transformers.AutoModelForSeq2SeqLM,
}
"""transformers' class for every kind of answer."""
_GIVES: dict[HeadKind, str] = {
    **dict.fromkeys(("single", "pair"), "that answers with a class"),
    **dict.fromkeys(("regression", "ranking"), "that answers with a score"),
    "span": "that marks an answer in a text",
    "tokens": "that answers for every token",
    "embedding": "without a head, to put another one on",
    "mlm": "that guesses hidden words",
    "pretraining": "that guesses hidden words and the next sentence",
    "generation": "that writes texts",
}


def refuse_family(folder: Path, config: Any, kind: HeadKind) -> None:
    """Make sure that the family has models of that kind.

    Raises:
        CheckpointError: it has none.
    """
    if type(config) not in AUTO_CLASSES[kind]._model_mapping:
        raise CheckpointError(
            f"'{folder}' is of the family '{config.model_type}', which has no model {_GIVES[kind]}. Give a checkpoint "
            "of a family that has one; --student says what a student starts from."
        )


def head_width(kind: HeadKind, labels: Sequence[str] | None) -> int | None:
    """Outputs that a head shall have; none: as many as it has."""
    if kind in SCORES:
        return 1
    return len(labels) if labels and kind in {"single", "pair", "tokens"} else None


def set_labels(config: Any, kind: HeadKind, labels: Sequence[str] | None) -> None:
    """Write into a model's configuration what its new head answers with."""
    names = ["score"] if kind in SCORES else list(labels or ["score"])
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "regression" if kind in SCORES else "single_label_classification"
