"""Answers that come as early as they are certain: FastBERT's adaptive inference.

Reference: Liu et al., 2020 (FastBERT), section 3.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgedistill.data.batches import Encoded
from edgedistill.errors import ConfigError, DataError
from edgedistill.models.answers import longest_input
from edgedistill.models.fastbert import FastBertForSequenceClassification
from edgedistill.runner import LAYERS, Arrays, Runner, exit_output


@dataclass(frozen=True)
class EarlyAnswers:
    """What a batch was answered with, and where.

    Attributes:
        logits: (B, C) float, of the classifier that answered.
        layers: (B,) int64, how many layers each text passed, from 1.
    """

    logits: Tensor
    layers: Tensor


def uncertainty(logits: Tensor) -> Tensor:
    """Entropy of the answer as a share of the most there can be (equation 8).

    Args:
        logits: (..., C) float, C at least 2.

    Returns:
        (...) float in 0 (certain) .. 1 (every class as likely as the others).
    """
    entropy = torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1)  # 0 for a probability of 0, where p log p is NaN
    share: Tensor = (entropy / math.log(logits.shape[-1])).clamp(0.0, 1.0)
    return share


def answer_early(
    model: FastBertForSequenceClassification, encoded: Encoded, speed: float | None = None
) -> EarlyAnswers:
    """Answer a batch, each text by the first classifier that is certain enough; the last one always answers.

    After every layer the batch shrinks to the texts that are still open and to the longest of them. So a text's answer
    and layer do not depend on its company.

    Args:
        model: in evaluation mode.
        encoded: the tokens, padded on the right.
        speed: a text leaves where its uncertainty is below this: 0 never before the last layer, above 1 always at the
            first. None: the model's own, `config.speed`.

    Raises:
        ConfigError: a speed below 0, which means nothing.
    """
    speed = refuse_negative(float(model.config.speed) if speed is None else speed)
    depth, rows = int(model.config.num_hidden_layers), len(encoded.input_ids)
    open_rows, mask = torch.arange(rows, device=encoded.input_ids.device), encoded.attention_mask
    layers = torch.full((rows,), depth, device=open_rows.device)
    with torch.inference_mode():
        hidden = model.embed(encoded)
        found = hidden.new_empty(rows, int(model.config.num_labels))
        for number in range(1, depth + 1):
            hidden = model.layer(number, hidden, mask)
            if speed == 0.0 and number < depth:
                continue  # nothing is below 0: no classifier but the last needs to be asked
            logits = model.exits[number - 1](hidden, mask)
            leaves = uncertainty(logits) < speed if number < depth else torch.ones_like(open_rows, dtype=torch.bool)
            found[open_rows[leaves]], layers[open_rows[leaves]] = logits[leaves], number
            if bool(leaves.all()):
                break
            open_rows, hidden, mask = _kept(~leaves, open_rows, hidden, mask)
    return EarlyAnswers(found, layers)


def early_runner(model: FastBertForSequenceClassification, asks_all: bool = False) -> Runner:
    """The model at its own speed as a function of named arrays, with the outputs of an exported one.

    Args:
        model: whose `config.speed` is asked.
        asks_all: whether every classifier's answer is given too.
    """
    longest, device = longest_input(model), next(model.parameters()).device

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        length = inputs["input_ids"].shape[1]
        if length > longest:
            raise DataError(f"the text has {length} tokens; {type(model).__name__} takes {longest}. Cut it first.")
        names = ("input_ids", "attention_mask", "token_type_ids")
        encoded = Encoded(*(torch.as_tensor(np.asarray(inputs[name]), device=device).long() for name in names))
        was_training = model.training
        model.eval()
        early = answer_early(model, encoded)
        found = {"logits": early.logits, LAYERS: early.layers[:, None]}
        if asks_all:
            with torch.inference_mode():
                each = model.exit_logits(encoded).unbind(dim=1)
            found |= {exit_output(number): logits for number, logits in enumerate(each, start=1)}
        model.train(was_training)
        return {name: value.float().cpu().numpy() for name, value in found.items()}

    return run


def refuse_negative(speed: float) -> float:
    """The speed itself.

    Raises:
        ConfigError: it is below 0.
    """
    if not speed >= 0:
        raise ConfigError(f"speed: {speed} is no uncertainty. 0 never leaves early, 1 nearly always; 0.1 is a start.")
    return speed


def _kept(stays: Tensor, rows: Tensor, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The texts that go on, cut to the longest of them."""
    if bool(stays.all()):
        return rows, hidden, mask
    longest = int(mask[stays].sum(dim=1).max())
    return rows[stays], hidden[stays, :longest], mask[stays, :longest]
