"""What leaving at each exit of a FastBERT takes on this computer."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.models.early_exit import uncertainty

if TYPE_CHECKING:
    from edgedistill.data.rows import Rows
    from edgedistill.models.fastbert import FastBertForSequenceClassification

TEXTS, ROUNDS = 64, 5


def milliseconds(
    model: FastBertForSequenceClassification, rows: Rows, texts: int = TEXTS, rounds: int = ROUNDS
) -> tuple[float, ...]:
    """What a text asked alone takes until each exit has answered, all exits before it asked too.

    Args:
        model: asked in PyTorch on this computer's processor, on one thread.
        rows: of which the first `texts` are asked, each at its own length.
        texts: how many.
        rounds: how often; the first one warms up, and the median of the others counts.

    Returns:
        Milliseconds for each of the L exits, the mean over the texts.
    """
    device, threads = next(model.parameters()).device, torch.get_num_threads()
    asked = [rows.batch(np.array([row])).student for row in range(min(texts, len(rows)))]
    depth, taken = int(model.config.num_hidden_layers), []
    model.cpu().eval()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(rounds + 1):
                sums = [0.0] * depth
                for encoded in asked:
                    started, hidden = time.perf_counter(), model.embed(encoded)
                    for place in range(depth):
                        hidden = model.layer(place + 1, hidden, encoded.attention_mask)
                        bool(uncertainty(model.exits[place](hidden, encoded.attention_mask)) < 0)
                        sums[place] += time.perf_counter() - started
                taken.append([1000 * total / len(asked) for total in sums])
    finally:
        torch.set_num_threads(threads)
        model.to(device)
    return tuple(round(statistics.median(values), 4) for values in zip(*taken[1:], strict=True))
