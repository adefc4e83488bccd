"""The one shape every executable model has here: named arrays in, named arrays out.

PyTorch, ONNX Runtime, LiteRT and a phone all look like this to the gate, the metrics and the bench.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import DataError

Arrays = Mapping[str, NDArray[np.generic]]
"""Named arrays. Inputs: `input_ids`, `attention_mask`, `token_type_ids`, each (B, S) integer.
Outputs by Hugging Face's names: `logits` (B, C), `start_logits` / `end_logits` (B, S),
`last_hidden_state` (B, S, H), ... each float32."""


Call = Callable[[Arrays], dict[str, NDArray[np.float32]]]
"""One graph of an artifact in its runtime: takes exactly the lengths that it has."""
LAYERS = "layers"
"""Output of a model that may leave early: (B, 1) float32, how many layers each text passed, from 1."""


TOKENS, GREEDY, LOG_PROBABILITIES = "tokens", "greedy", "log_probabilities"
"""Outputs of a model that writes, each (B, T): the words of its text, of its greedy text, and each of the latter's
log-probability; the start left out, padding (0 for numbers) behind the end."""


def exit_output(number: int) -> str:
    """Name of what the classifier after layer `number` (from 1) answers, where every one is asked."""
    return f"exit_{number}"


def is_answer(name: str) -> bool:
    """Whether an output is what the model decides by, and not just how it came to it."""
    return name != LAYERS and not name.startswith("exit_")


class Runner(Protocol):
    """Answers a padded batch. Casts integer inputs to what its graph wants; drops inputs it does not have.

    A runner with fixed lengths pads up to the next bucket itself and cuts sequence-shaped outputs back to S.
    """

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run one batch.

        Raises:
            DataError: the batch is longer than the longest length the model takes.
        """
        ...


def is_per_token(name: str, output: NDArray[np.generic]) -> bool:
    """Whether an output's second axis is the sequence: span scores (B, S), and all that is (B, S, ...)."""
    return output.ndim == 3 or name in {"start_logits", "end_logits"}


def answer_in_buckets(graphs: Mapping[int, Call], inputs: Arrays) -> dict[str, NDArray[np.float32]]:
    """Run a batch row by row, each on the shortest graph that holds its text.

    Args:
        graphs: fixed length in tokens to a function of (1, length) arrays.
        inputs: (B, S) arrays, padded on the right.

    Returns:
        One array per output with B rows; per-token outputs are S long, zero where there is padding.

    Raises:
        DataError: a text is longer than the longest graph.
    """

    def pick(size: int) -> tuple[int, Call]:
        length = min((length for length in graphs if length >= size), default=None)
        if length is None:
            raise DataError(f"the text has {size} tokens; the model takes {max(graphs)}. Cut it, or export it longer.")
        return length, graphs[length]

    return _row_by_row(pick, inputs)


def answer_one_by_one(call: Call, shortest: int, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
    """Run a batch row by row, each at its own length, on a graph of any length that takes one text.

    Args:
        call: a function of (1, S) arrays.
        shortest: fewest tokens it takes; shorter texts are padded.
        inputs: (B, S) arrays, padded on the right.

    Returns:
        As `answer_in_buckets`.
    """
    return _row_by_row(lambda size: (max(size, shortest), call), inputs)


def _row_by_row(pick: Callable[[int], tuple[int, Call]], inputs: Arrays) -> dict[str, NDArray[np.float32]]:
    """Every row on the graph, and at the length, that `pick` gives for its size in tokens."""
    mask = np.asarray(inputs["attention_mask"])
    rows: list[dict[str, NDArray[np.float32]]] = []
    for number, real in enumerate(mask):
        size = int(np.flatnonzero(real).max(initial=0)) + 1
        length, call = pick(size)
        row = {name: _resized(np.asarray(value)[number : number + 1], length) for name, value in inputs.items()}
        answers = call(row)
        rows.append({n: _resized(a, mask.shape[1], size) if is_per_token(n, a) else a for n, a in answers.items()})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _resized(array: NDArray[Any], length: int, real: int | None = None) -> NDArray[Any]:
    """The array with `length` columns: its first `real` ones (as many as fit, if not given), then zeros."""
    result = np.zeros((array.shape[0], length, *array.shape[2:]), dtype=array.dtype)
    size = min(length, array.shape[1]) if real is None else real
    result[:, :size] = array[:, :size]
    return result
