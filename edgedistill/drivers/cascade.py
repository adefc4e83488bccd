"""Early exits: segments one after another, until the answer is certain enough.

Reference: Liu et al., 2020 (FastBERT, arXiv:2004.02178), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.graphs import State
from edgedistill.runner import LAYERS, Arrays, Call, exit_output


def cascade(segments: Sequence[Call], thresholds: Sequence[float], carry: State) -> Call:
    """Segments as one model.

    Rows that have their answer go no further: that is where the time is saved.

    Args:
        segments: each takes the attention mask and what the one before carried on; the first one takes the text.
        thresholds: of every segment; a row leaves where its uncertainty is below it. The last segment always answers.
        carry: names of what is carried on, (B, S, H).

    Returns:
        A function that answers `logits` (B, C), and `layers`, after how many segments each row left.
    """
    last = len(segments) - 1

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        rows = np.arange(len(inputs["input_ids"]))
        layers = np.full((len(rows), 1), last + 1, dtype=np.float32)
        found: NDArray[np.float32] | None = None
        given = dict(inputs)
        for number, (segment, threshold) in enumerate(zip(segments, thresholds, strict=True)):
            answers = segment(given)
            logits = answers["logits"]
            found = np.zeros((len(rows), logits.shape[1]), np.float32) if found is None else found
            leaves = uncertainty(logits) < threshold if number < last else np.ones(len(logits), dtype=bool)
            found[rows[leaves]], layers[rows[leaves]] = logits[leaves], number + 1
            if leaves.all():
                break
            rows = rows[~leaves]
            given = {"attention_mask": given["attention_mask"][~leaves], carry.input: answers[carry.output][~leaves]}
        assert found is not None
        return {"logits": found, LAYERS: layers}

    return run


def every_exit(segments: Sequence[Call], thresholds: Sequence[float], carry: State) -> Call:
    """The same model where every segment is run: it gives each one's answer too, and saves no time.

    Args:
        segments: as in `cascade`.
        thresholds: likewise.
        carry: likewise.

    Returns:
        A function that answers as that of `cascade` does, and `exit_1`, `exit_2`, ..., each (B, C).
    """

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        given, found = dict(inputs), []
        for segment in segments:
            answers = segment(given)
            found.append(answers["logits"])
            if carry.output in answers:
                given = {"attention_mask": given["attention_mask"], carry.input: answers[carry.output]}
        certain = np.stack([uncertainty(logits) < one for logits, one in zip(found, thresholds, strict=True)], axis=1)
        certain[:, -1] = True
        first = certain.argmax(axis=1)
        logits = np.stack(found, axis=1)[np.arange(len(first)), first]
        each = {exit_output(number): answer for number, answer in enumerate(found, start=1)}
        return {"logits": logits, LAYERS: (first[:, None] + 1).astype(np.float32), **each}

    return run


def uncertainty(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy of the answer as a share of the most there can be (equation 8).

    Args:
        logits: (B, C), C at least 2.

    Returns:
        (B,) in 0 (certain) .. 1 (every class as likely as the others).
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    power = np.exp(shifted)
    total = power.sum(axis=1, keepdims=True)
    entropy = np.log(total[:, 0]) - (power * shifted).sum(axis=1) / total[:, 0]
    share: NDArray[np.float64] = np.clip(entropy / np.log(logits.shape[1]), 0.0, 1.0)
    return share
