"""The student and the teacher themselves: a gate that compares with nonsense passes nonsense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from edgedistill.evaluate import Floats
from edgedistill.gate.case import Case
from edgedistill.gate.resampled import chance, chance_p_value
from edgedistill.gate.rungs import finding, judged, measure, not_run
from edgedistill.gate.scores import Answers, answers, labelled
from edgedistill.reports import Finding, Measure, Rung

NAME, TITLE = "reference", "The student and its teacher know the task"

_PERMUTED_P_VALUE = 1e-3
"""Decides no verdict, only whether a model at chance is called `swapped_labels`: luck this small under other names."""


@dataclass(frozen=True)
class _Look:
    """What was seen of one model: its numbers, its faults, and the rows a proof would need (0: none)."""

    measures: tuple[Measure, ...]
    findings: tuple[Finding, ...]
    rows_needed: int


def reference_rung(case: Case) -> Rung:
    """Both references score above chance beyond luck, with finite answers that depend on the text."""
    rows = labelled(case)
    if not rows or case.kind is None:
        return not_run(NAME, TITLE, "no labelled rows are stored with this artifact; export it with --task and --data")
    looks = [_look(case, "student", case.student_reference)]
    teacher = teacher_logits(case)
    if teacher is not None:
        looks.append(_look(case, "teacher", teacher))
    measures = [item for look in looks for item in look.measures]
    findings = [item for look in looks for item in look.findings]
    needed = max(look.rows_needed for look in looks)
    if needed and not findings:
        reason = f"{len(rows)} rows do not prove that the answers are better than chance; about {needed:,} would."
        return Rung(
            name=NAME, title=TITLE, status="inconclusive", reason=reason, rows=len(rows), measures=tuple(measures)
        )
    return judged(NAME, TITLE, measures, findings, rows=len(rows))


def teacher_logits(case: Case) -> list[Floats] | None:
    """The teacher's stored logits for every row; None where some row has none."""
    rows = [row.teacher for row in case.reference]
    if not rows or any(row is None for row in rows):
        return None
    return [np.asarray(row, dtype=np.float64) for row in rows]


def _look(case: Case, who: str, logits: Sequence[Floats]) -> _Look:
    if not all(np.isfinite(row).all() for row in logits):
        return _Look((), (finding("not_finite", f"the {who}'s stored answers hold NaN or infinity."),), 0)
    given = answers(case, logits)
    level = chance(given.metric, given.right)
    luck = chance_p_value(given.metric, given.given, given.right, case.seed)
    limit = case.tolerances.chance_p_value
    measures = (
        measure(f"{who}_{given.metric}", given.score, level, ">="),
        measure(f"{who}_chance_p_value", luck, limit if given.score <= level else None),
    )
    faults = list(_constant(case, who, given))
    if given.score <= level and not faults:
        faults.append(
            finding(
                f"{who}_at_chance",
                f"the {who} scores {given.score:.4f}; always giving the same answer scores {level:.4f}. "
                "Train it longer, or check the labels.",
            )
        )
        faults += _swapped(case, who, given)
    needed = _rows_needed(given.rows, luck, limit) if luck > limit and not faults else 0
    return _Look(measures, tuple(faults), needed)


def _constant(case: Case, who: str, given: Answers) -> list[Finding]:
    if case.kind not in ("single", "pair") or len(set(given.given)) > 1 or len(set(given.right)) < 2:
        return []
    message = f"the {who} gives the same answer to every row of the judged split."
    return [finding("constant_answers", message)]


def _swapped(case: Case, who: str, given: Answers) -> list[Finding]:
    """Whether the same answers under other names would be right: then the order of the labels is wrong."""
    if case.kind not in ("single", "pair"):
        return []
    classes = int(max(max(given.given), max(given.right))) + 1
    table = np.zeros((classes, classes))
    np.add.at(table, (np.asarray(given.given), np.asarray(given.right)), 1)
    _, meant = linear_sum_assignment(-table)
    renamed = [int(meant[answer]) for answer in given.given]
    if chance_p_value("accuracy", renamed, given.right) > _PERMUTED_P_VALUE:
        return []
    names = case.manifest.labels
    moved = next((n for n in range(classes) if meant[n] != n), 0)
    shown = [f"'{names[n]}'" if n < len(names) else str(n) for n in (moved, int(meant[moved]))]
    return [
        finding(
            "swapped_labels",
            f"the {who}'s answers fit the labels in another order: "
            f"its class {moved} ({shown[0]}) is {shown[1]} in the data.",
        )
    ]


def _rows_needed(rows: int, luck: float, limit: float) -> int:
    """A z-score grows with the square root of the rows."""
    z = max(float(norm.isf(luck)), 0.1)
    return max(rows + 1, math.ceil(rows * (float(norm.isf(limit)) / z) ** 2))
