"""Numbers that go wrong: a loss that is none stops the training, one that jumps is said."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from edgedistill import files
from edgedistill.data.batches import Batch, Encoded
from edgedistill.errors import TrainingError
from edgedistill.progress import say
from edgedistill.training.journal import Line
from edgedistill.training.stage import Stage

BAD_BATCH = "bad_batch.json"
_REMEMBERED, _FEWEST, _SILENT = 100, 20, 50
"""Steps that a step is compared with, at most and at least; and for how many nothing is said after something was."""
_TIMES = {"loss": 2.0, "gradient norm": 10.0}
"""Of the median, which a jump is beyond: gradient norms are wide by nature."""
_DEVIATIONS = 10.0
"""Median distances from the median, which a jump is beyond as well: small losses are noisy."""


def refuse_not_finite(
    slot: Path | None, stage: Stage, step: int, batch: Batch, terms: Mapping[str, float], value: float
) -> None:
    """Stop where a loss or a gradient norm is no number, and keep the batch it came of.

    Args:
        slot: the stage's folder, where bad_batch.json is written: the rows and the very tokens that were read, also of
            a text that was made for this step alone. None for a process that writes nothing.
        stage: which.
        step: which, from 1.
        batch: the step's.
        terms: its losses.
        value: their sum, or the gradient norm.

    Raises:
        TrainingError: `value` is not finite.
    """
    if math.isfinite(value):
        return
    if slot is not None:
        found = {
            "stage": stage.name,
            "step": step,
            "terms": {name: term if math.isfinite(term) else str(term) for name, term in terms.items()},
            "row_ids": list(batch.row_ids),
            "input_ids": _texts(batch.student),
        }
        if not batch.shares_tokens:
            found["teacher_input_ids"] = _texts(batch.teacher)
        files.write_json(slot / BAD_BATCH, found)
    wrong = [name for name, term in terms.items() if not math.isfinite(term)]
    what = f"the loss term '{wrong[0]}' is {terms[wrong[0]]}" if wrong else f"the gradient norm is {value}"
    where = "" if slot is None else f" The rows are in '{slot / BAD_BATCH}'."
    raise TrainingError(
        f"stage '{stage.name}', step {step}: {what}.{where} Lower the learning rate (now at most {stage.optim.lr:g}), "
        "or look at those rows."
    )


class Watch:
    """Says when a step's loss or gradient norm is far above those before it; training goes on."""

    def __init__(self) -> None:
        self._former: dict[str, deque[float]] = {name: deque(maxlen=_REMEMBERED) for name in _TIMES}
        self._silent_until = 0

    def __call__(self, line: Line) -> None:
        """Look at a step."""
        for name, value in (("loss", line.loss), ("gradient norm", line.grad_norm)):
            former = self._former[name]
            usual = _usual(former, _TIMES[name]) if len(former) >= _FEWEST else math.inf
            if value > usual and line.step > self._silent_until:
                say(
                    f"{line.stage}, step {line.step}: the {name} is {value:.3g}, the median of the {len(former)} steps "
                    f"before it {median(former):.3g}. If it stays there: a lower learning rate or a longer warm-up."
                )
                self._silent_until = line.step + _SILENT
            former.append(value)


def _usual(former: deque[float], times: float) -> float:
    """The most that is no jump."""
    middle = median(former)
    return max(times * middle, middle + _DEVIATIONS * median(abs(value - middle) for value in former))


def _texts(tokens: Encoded) -> list[list[int]]:
    return [ids[mask.bool()].tolist() for ids, mask in zip(tokens.input_ids, tokens.attention_mask, strict=True)]
