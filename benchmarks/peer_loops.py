"""How else one would distil: TextBrewer's distiller, and a loop of one's own over transformers models."""

from __future__ import annotations

import copy
import itertools
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification, DataCollatorWithPadding

LAYERS = (1, 2, 4, 6)
"""Teacher layer (from 1) that each of the student's four follows."""
STUDENT_LAYERS = len(LAYERS)
TEMPERATURE = 4.0
BATCH = 32
RATE = 5e-5


@dataclass(frozen=True)
class Losses:
    """What is compared: the answers (soft targets), hidden states and attentions of four layers."""

    answers: bool
    layers: bool


@dataclass(frozen=True)
class Work:
    """What is to be learnt.

    Attributes:
        teacher: frozen.
        rows: tokenised.
        losses: what is compared.
        epochs: passes over the rows.
        tokenizer: pads.
    """

    teacher: BertForSequenceClassification
    rows: list[dict[str, list[int]]]
    losses: Losses
    epochs: int
    tokenizer: Any


def student_of(teacher: Any) -> BertForSequenceClassification:
    """The teacher's layers that are followed, and its head, to go on from."""
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = STUDENT_LAYERS
    student = BertForSequenceClassification(config)
    known = teacher.state_dict()
    kept = {name: known[_from(name)] for name in student.state_dict() if _from(name) in known}
    student.load_state_dict(kept)
    return student


def _from(name: str) -> str:
    for number, layer in enumerate(LAYERS):
        name = name.replace(f"encoder.layer.{number}.", f"encoder.layer.@{layer - 1}.") if "@" not in name else name
    return name.replace("@", "")


def _loader(work: Work, seed: int) -> DataLoader[Any]:
    torch.manual_seed(seed)
    rows, pad = work.rows, DataCollatorWithPadding(work.tokenizer)
    # A plain dict: TextBrewer hands the values of anything else to the model without their names.
    return DataLoader(rows, BATCH, shuffle=True, collate_fn=lambda some: dict(pad(some)))  # type: ignore[arg-type]


def plain(work: Work, student: BertForSequenceClassification, seed: int) -> tuple[float, ...]:
    """Seconds of each epoch of the loop one would write."""
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE)
    loader, asked = _loader(work, seed), {"output_hidden_states": True, "output_attentions": True}
    marks = [time.process_time()]
    student.train()
    for _ in range(work.epochs):
        for batch in loader:
            more: dict[str, Any] = asked if work.losses.layers else {}
            with torch.no_grad():
                theirs = work.teacher(**batch, **more)
            own = student(**batch, **more)
            _loss(work.losses, own, theirs, batch["attention_mask"]).backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        marks.append(time.process_time())
    return _between(marks)


def _loss(losses: Losses, own: Any, theirs: Any, mask: Tensor) -> Tensor:
    total = torch.zeros(())
    if losses.answers:
        wanted = (theirs.logits / TEMPERATURE).softmax(-1)
        total = total - (wanted * (own.logits / TEMPERATURE).log_softmax(-1)).sum(-1).mean()
    if losses.layers:
        tokens = mask[:, :, None].float()
        pairs = (mask[:, :, None] * mask[:, None, :])[:, None].float()
        for number, layer in enumerate(LAYERS, start=1):
            hidden = F.mse_loss(own.hidden_states[number], theirs.hidden_states[layer], reduction="none") * tokens
            total = total + hidden.sum() / (tokens.sum() * hidden.shape[-1])
            attention = F.mse_loss(own.attentions[number - 1], theirs.attentions[layer - 1], reduction="none") * pairs
            total = total + attention.sum() / (pairs.sum() * attention.shape[1])
    return total


def textbrewer(work: Work, student: BertForSequenceClassification, seed: int) -> tuple[float, ...]:
    """Seconds of each epoch of TextBrewer; where answers alone are compared it keeps the teacher's, as it can."""
    from textbrewer import (  # type: ignore[import-not-found]
        BasicDistiller,
        DistillationConfig,
        GeneralDistiller,
        TrainingConfig,
    )

    loader, losses = _loader(work, seed), work.losses
    heads = work.teacher.config.num_attention_heads
    matches = [
        {"layer_T": layer + shift, "layer_S": number + shift, "feature": feature, "loss": loss, "weight": weight}
        for number, layer in enumerate(LAYERS, start=1)
        for feature, loss, weight, shift in (
            ("hidden", "hidden_mse", 1.0, 0), ("attention", "attention_mse", 1 / heads, -1)
        )
    ]  # fmt: skip

    def adapted(batch: Any, outputs: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"inputs_mask": batch["attention_mask"]}
        if losses.answers:
            found["logits"] = outputs.logits
        if losses.layers:
            found |= {"hidden": outputs.hidden_states, "attention": outputs.attentions}
        return found

    def mark(model: Any, step: int) -> None:
        marks.append(time.process_time())  # where the teacher is asked beforehand, that is in the first epoch

    marks, asked = [time.process_time()], {"output_hidden_states": losses.layers, "output_attentions": losses.layers}
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingConfig(device="cpu", output_dir=folder, log_dir=None, ckpt_frequency=1)
        how = DistillationConfig(
            temperature=TEMPERATURE, intermediate_matches=matches if losses.layers else None,
            is_caching_logits=not losses.layers,
        )  # fmt: skip
        kind = GeneralDistiller if losses.layers else BasicDistiller
        distiller = kind(training, how, work.teacher, student, adapted, adapted)
        with distiller:
            distiller.train(
                torch.optim.AdamW(student.parameters(), lr=RATE), loader, num_epochs=work.epochs, callback=mark,
                max_grad_norm=1.0, **asked,
            )  # fmt: skip
    return _between(marks)


def _between(marks: list[float]) -> tuple[float, ...]:
    return tuple(after - before for before, after in itertools.pairwise(marks))
