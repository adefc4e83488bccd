"""An artifact's goldens answered on a phone, and compared with what the artifact itself answered on the host."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Golden
from edgedistill.phones.requests import Arrays
from edgedistill.reports import SelfTest
from edgedistill.runner import is_answer

_DECISION = "logits"


def inputs_of(goldens: Sequence[Golden]) -> list[dict[str, NDArray[np.int64]]]:
    """Each golden's ids as (1, tokens) arrays, without padding."""
    made = []
    for golden in goldens:
        ids = np.array([golden.input_ids], dtype=np.int64)
        types = np.array([golden.token_type_ids], dtype=np.int64)
        made.append({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types})
    return made


def judge(
    name: str, manifest_sha256: str, goldens: Sequence[Golden], answers: Sequence[Arrays], is_emulated: bool
) -> SelfTest:
    """Compare a phone's answers with the goldens.

    Args:
        name: the artifact.
        manifest_sha256: of its manifest.
        goldens: what was asked.
        answers: outputs by name, one set for each golden.
        is_emulated: whether they come from an emulator.

    Returns:
        The verdict: passed only where every output of every golden is there, finite and within its tolerance.
    """
    about = {"artifact": name, "manifest_sha256": manifest_sha256, "source": "qemu" if is_emulated else "phone"}
    if len(answers) != len(goldens):
        reason = f"{len(answers)} of {len(goldens)} goldens were answered."
        none = {"status": "failed", "goldens": len(answers), "within": 0, "agreement": None, "max_abs": None}
        return SelfTest.model_validate({**about, **none, "reason": reason})
    differences = [_differences(golden, answer) for golden, answer in zip(goldens, answers, strict=True)]
    within = sum(all(found <= allowed for found, allowed in each.values()) for each in differences)
    largest = max((found for each in differences for found, _ in each.values()), default=math.inf)
    decisions = [_same_decision(golden, answer) for golden, answer in zip(goldens, answers, strict=True)]
    passed = within == len(goldens) and math.isfinite(largest)
    worst = max(range(len(goldens)), key=lambda number: max((f for f, _ in differences[number].values()), default=0.0))
    reason = "" if passed else f"{len(goldens) - within} beyond their tolerance, first of all {goldens[worst].text!r}."
    found = {
        "status": "passed" if passed else "failed",
        "goldens": len(goldens),
        "within": within,
        "agreement": None if None in decisions else sum(map(bool, decisions)) / len(decisions),
        "max_abs": largest if math.isfinite(largest) else None,
        "reason": reason,
    }
    return SelfTest.model_validate({**about, **found})


def _differences(golden: Golden, answer: Arrays) -> dict[str, tuple[float, float]]:
    """Of each answer: its largest absolute difference (infinite where it is missing or no number), and what may be."""
    found = {}
    for name, expected in golden.expected.items():
        if is_answer(name):
            found[name] = (_difference(expected, answer.get(name)), golden.tolerance.get(name, 0.0))
    return found


def _difference(expected: Sequence[float], answered: NDArray[np.generic] | None) -> float:
    if answered is None or answered.size != len(expected):
        return math.inf
    values = np.asarray(answered, dtype=np.float64).ravel()
    return float(np.abs(values - np.asarray(expected)).max()) if np.isfinite(values).all() else math.inf


def _same_decision(golden: Golden, answer: Mapping[str, NDArray[np.generic]]) -> bool | None:
    expected, answered = golden.expected.get(_DECISION), answer.get(_DECISION)
    if expected is None or answered is None or len(expected) < 2 or answered.size != len(expected):
        return None
    return int(np.argmax(expected)) == int(np.argmax(np.asarray(answered).ravel()))
