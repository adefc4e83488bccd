"""An artifact's goldens answered on a phone, and compared with what the artifact itself answered on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill import parity
from edgedistill.artifacts import Golden, Manifest
from edgedistill.data.tasks import SCORES
from edgedistill.evaluate import decide
from edgedistill.phones.requests import Arrays
from edgedistill.reports import SelfTest
from edgedistill.runner import is_answer


def inputs_of(goldens: Sequence[Golden]) -> list[dict[str, NDArray[np.int64]]]:
    """Each golden's ids as (1, tokens) arrays, without padding."""
    made = []
    for golden in goldens:
        ids = np.array([golden.input_ids], dtype=np.int64)
        types = np.array([golden.token_type_ids], dtype=np.int64)
        made.append({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types})
    return made


def taken(manifest: Manifest, golden: Golden) -> int | None:
    """The fixed length whose graph answers a golden; none where the length is free."""
    fixed = sorted({graph.length for graph in manifest.graphs if graph.length})
    return next((length for length in fixed if length >= len(golden.input_ids)), None)


def spread(manifest: Manifest, goldens: Sequence[Golden], count: int) -> list[Golden]:
    """About `count` goldens out of all of the file, and of each fixed length at least one that it answers."""
    evenly = range(0, len(goldens), max(1, len(goldens) // max(1, count)))
    first = {taken(manifest, golden): number for number, golden in reversed(list(enumerate(goldens)))}
    return [goldens[number] for number in sorted({*evenly[:count], *first.values()})]


def judge(
    name: str, manifest_sha256: str, part: Manifest, goldens: Sequence[Golden], answers: Sequence[Arrays],
    is_emulated: bool,
) -> SelfTest:  # fmt: skip
    """Compare a phone's answers to one task's goldens with the stored ones.

    Args:
        name: the artifact.
        manifest_sha256: of its manifest.
        part: the manifest as the task has it (`Manifest.of_each_task`).
        goldens: what was asked.
        answers: outputs by name, one set for each golden; of a model that may leave early every exit's too.
        is_emulated: whether they come from an emulator.

    Returns:
        The verdict: passed only where every output of every golden is there, finite and within its tolerance.
    """
    about: dict[str, str | None] = {
        "artifact": name,
        "manifest_sha256": manifest_sha256,
        "source": "qemu" if is_emulated else "phone",
    }
    about["task"] = part.task.name if part.driver.kind == "heads" else None
    if len(answers) != len(goldens):
        reason = f"{len(answers)} of {len(goldens)} goldens were answered."
        none = {"status": "failed", "goldens": len(answers), "within": 0, "agreement": None, "max_abs": None}
        return SelfTest.model_validate({**about, **none, "reason": reason})
    differences = [_differences(golden, answer) for golden, answer in zip(goldens, answers, strict=True)]
    within = sum(all(found <= allowed for found, allowed in each.values()) for each in differences)
    largest = max((found for each in differences for found, _ in each.values()), default=math.inf)
    passed = within == len(goldens) and math.isfinite(largest)
    found = {
        "status": "passed" if passed else "failed",
        "goldens": len(goldens),
        "within": within,
        "agreement": _agreement(part, goldens, answers),
        "max_abs": largest if math.isfinite(largest) else None,
        "reason": _not_reached(part, goldens) if passed else _first_beyond(goldens, differences, within),
    }
    return SelfTest.model_validate({**about, **found})


def _first_beyond(
    goldens: Sequence[Golden], differences: Sequence[dict[str, tuple[float, float]]], within: int
) -> str:  # fmt: skip
    worst = max(range(len(goldens)), key=lambda number: max((f for f, _ in differences[number].values()), default=0.0))
    output = max(differences[worst].items(), key=lambda one: one[1][0], default=("nothing", None))[0]
    beyond = len(goldens) - within
    return f"{beyond} beyond their tolerance, first of all {output} of {goldens[worst].text!r}."


def _not_reached(part: Manifest, goldens: Sequence[Golden]) -> str:
    """Fixed lengths whose graphs no golden is answered by, in words; empty where there are none."""
    lengths = {graph.length for graph in part.graphs if graph.length} - {taken(part, golden) for golden in goldens}
    return f"no golden takes the length {', '.join(map(str, sorted(filter(None, lengths))))}." if lengths else ""


def _differences(golden: Golden, answer: Arrays) -> dict[str, tuple[float, float]]:
    """Of each output: its largest absolute difference (infinite where it is missing or no number), and what may be."""
    return {
        name: (_difference(expected, answer.get(name)), golden.tolerance.get(name, 0.0))
        for name, expected in golden.expected.items()
    }


def _difference(expected: Sequence[float], answered: NDArray[np.generic] | None) -> float:
    if answered is None or answered.size != len(expected):
        return math.inf
    values = np.asarray(answered, dtype=np.float64).ravel()
    return float(np.abs(values - np.asarray(expected)).max()) if np.isfinite(values).all() else math.inf


def _agreement(part: Manifest, goldens: Sequence[Golden], answers: Sequence[Arrays]) -> float | None:
    """Share of the same decisions; none where the outputs are no decision, or not all of them are there."""
    kind = part.task.kind
    if kind == "embedding" or kind in SCORES:
        return None
    stored, found = [], []
    for golden, answer in zip(goldens, answers, strict=True):
        names = [name for name in golden.expected if is_answer(name)]
        if any(name not in answer or answer[name].size != len(golden.expected[name]) for name in names):
            return None
        shape = (len(golden.input_ids), -1) if kind == "tokens" else -1
        stored.append(np.concatenate([golden.expected[name] for name in names]).reshape(shape))
        found.append(np.concatenate([np.ravel(answer[name]) for name in names]).astype(np.float64).reshape(shape))
    return parity.agreement(decide(kind, stored), decide(kind, found))
