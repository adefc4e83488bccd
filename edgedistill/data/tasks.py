"""What a task is: its data, its labels, its metric (no torch here)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edgedistill.config import Settings

Kind = Literal["single", "pair", "regression", "span", "tokens"]
Metric = Literal["accuracy", "f1", "accuracy_f1", "matthews", "pearson_spearman", "squad_f1", "macro_f1"]


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
    """single: one text; pair: two; regression: one or two texts to a number; span: question and context to an
    answer in the context; tokens: a tag for every word."""
    text: tuple[str, ...] = ("text",)
    """Columns of the text: one, or two for a pair (question and context for a span)."""
    label: str = "label"
    """Column of the label (the answers, for a span)."""
    labels: tuple[str, ...] = ()
    """Class names in the order of their numbers; empty: taken from the data."""
    metric: Metric = "accuracy"
    """What the verdict is about."""
    splits: dict[Literal["train", "validation", "test"], str] = {
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
        wanted = {"single": (1,), "pair": (2,), "regression": (1, 2), "span": (2,), "tokens": (1,)}[self.kind]
        if len(self.text) not in wanted:
            raise ValueError(f"a task of kind '{self.kind}' has {wanted} text columns, not {len(self.text)}")
        return self
