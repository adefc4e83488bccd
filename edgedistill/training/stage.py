"""A stage: one phase of training, as a recipe yields it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgedistill.config import Settings
from edgedistill.data.batches import Batch
from edgedistill.data.order import Size, Tokens
from edgedistill.data.tasks import IGNORED
from edgedistill.models.outputs import Outputs, Want

Step = Callable[[Batch], dict[str, Tensor]]
"""One forward pass: the weighted loss terms by name, each a scalar mean over rows or over tokens (`Stage.means_over`).
The loop adds them, logs each, and steps."""

Count = Callable[[Batch], int]
"""How many things of a batch a mean is over."""


def valid_tokens(batch: Batch) -> int:
    """Tokens of the student that are no padding."""
    return int(batch.student.attention_mask.sum())


def valid_pairs(batch: Batch) -> int:
    """Pairs of the student's tokens, each with itself and every other of its row, that are no padding."""
    return int(batch.student.attention_mask.sum(dim=1).square().sum())


def labelled_tokens(batch: Batch) -> int:
    """Tokens that have a right answer."""
    return 0 if batch.labels is None else int(batch.labels.ne(IGNORED).sum())


def ranked_questions(batch: Batch) -> int:
    """Questions whose candidates are ranked."""
    return 0 if batch.questions is None else len(torch.unique_consecutive(batch.questions))


class OptimConfig(Settings):
    """How one stage optimises."""

    optimizer: Literal["adamw", "lamb", "adamax", "adadelta"] = "adamw"
    """lamb scales every matrix's step to its size (MobileBERT's own; for large batches and rates); adamax is MT-DNN's;
    adadelta the BiLSTM's, whose rho is betas[0] (the paper's: lr 1, betas [0.95, 0.999], eps 1e-6)."""
    lr: float = Field(default=5e-5, gt=0)
    """Peak learning rate."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the data; ignored where max_steps is set."""
    max_steps: int | None = Field(default=None, gt=0)
    """Optimiser steps, whatever the data's size."""
    batch_size: int = Field(default=32, gt=0)
    """Rows per optimiser step, over all processes and accumulated parts."""
    batch_tokens: int | None = Field(default=None, gt=0)
    """Tokens per optimiser step instead, padding counted, over all processes and parts; batch_size is ignored where it
    is set. As many rows as keep rows times the longest of them within it: steps cost the same, whatever the lengths.
    Counted before a recipe changes a text."""
    accumulate: int = Field(default=1, gt=0)
    """Parts a step's rows are cut into, to save memory; the result is the same."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay (adamax and adadelta add it to the gradient); biases and norms have none."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps in which the learning rate rises linearly from 0."""
    schedule: Literal["linear", "constant"] = "linear"
    """What the learning rate does after the warm-up."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Layer-wise rates: factor on the learning rate from what is above the layers to the last one, and from each layer
    to what is below it, the embeddings last (Howard and Ruder, 2018; ELECTRA's fine-tuning has 0.8). 1: one rate."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Global gradient norm above which gradients are scaled down."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the gradients' mean and square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the gradients' mean square."""
    mixed_precision: Literal["auto", "no", "bf16"] = "auto"
    """bf16 autocast: auto turns it on where the processor computes in it."""
    compile: bool = False
    """Whether torch.compile translates the model first: minutes, before steps that are faster on a GPU."""
    quantization_aware: Literal["int8_dynamic", "int8_weight", "int4_weight"] | None = None
    """Scheme whose rounding forward passes go through, so that the weights learn to bear it; for a recipe's last stage,
    at a small lr. The epoch that does best rounded is kept, in float32: export it in that scheme."""

    @model_validator(mode="after")
    def _one_of_two(self) -> OptimConfig:
        if self.compile and self.quantization_aware:
            raise ValueError("compile and quantization_aware do not go together: set compile to false")
        return self

    @property
    def size(self) -> Size:
        """Of a batch."""
        return self.batch_size if self.batch_tokens is None else Tokens(self.batch_tokens)


class Batches(Protocol):
    """A stage's rows. Batches differ in size when length-bucketed; their order is a function of seed and epoch."""

    def __len__(self) -> int:
        """Rows in one epoch."""
        ...

    def epoch(self, seed: int, epoch: int, batch_size: Size) -> Iterator[Batch]:
        """One epoch in the order that (seed, epoch) gives; the last batch may be smaller, none is dropped."""
        ...


@dataclass(frozen=True)
class Stage:
    """One phase of training.

    Attributes:
        name: unique within the run; names its folder and its lines in the log.
        model: what is saved at the end. Only parameters with `requires_grad` are trained.
        batches: the rows.
        step: the losses of one batch.
        optim: how to optimise.
        means_over: terms that are no means over rows, and what they are means over; where a step's rows are cut into
            parts, each part counts by that.
        scaffold: trained beside the model and thrown away (a projection, say).
        evaluate: scores the model, higher is better; where given, the best-scoring epoch is kept.
        prepare: called before the first step, such as to make the texts of `batches`; not for a finished stage.
        taught_by: the answers to each task of teachers that the recipe made itself; judged beside the student.
        pace: factor on the learning rate of the model's parameter of that name; none: 1 for all.
    """

    name: str
    model: nn.Module
    batches: Batches
    step: Step
    optim: OptimConfig
    means_over: Mapping[str, Count] = field(default_factory=dict)
    scaffold: nn.Module | None = None
    evaluate: Callable[[], float] | None = None
    pace: Callable[[str], float] | None = None
    prepare: Callable[[], None] | None = None
    taught_by: Mapping[str, Callable[[Batch, Want], Outputs]] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """Rows it will have seen at its end; none where steps are counted instead."""
        return None if self.optim.max_steps else math.ceil(self.optim.epochs * len(self.batches))

    def share(self, rows: int, steps: int) -> float:
        """Share of the stage that so many rows and steps make up."""
        return steps / (self.optim.max_steps or 1) if self.rows is None else rows / self.rows

    @property
    def steps(self) -> int | None:
        """Optimiser steps it takes: an epoch's last batch may be smaller; none: batches are of tokens, not counted."""
        if not self.rows:
            return self.optim.max_steps or 0
        if self.optim.batch_tokens is not None:
            return None
        epochs, rest = divmod(self.rows, len(self.batches))
        sizes = getattr(self.batches, "sizes", (len(self.batches),))  # of each task or pass: no batch is of two
        in_one = sum(math.ceil(size / self.optim.batch_size) for size in sizes)
        return epochs * in_one + math.ceil(rest / self.optim.batch_size)
