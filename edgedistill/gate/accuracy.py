"""What the task's own metric says: student -> artifact, teacher -> artifact end to end, teacher -> student.

A drop or a ratio is judged with its paired 95 % interval. Wholly inside the limit it passes, wholly outside it fails.
In between, the estimate decides if its margin (half the interval) is no wider than the table allows; what is off by
that much then passes with a probability of 2.5 % at most. A wider margin is inconclusive (docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedistill import evaluate, parity
from edgedistill.data.entities import recall_by_kind
from edgedistill.evaluate import Floats
from edgedistill.gate.case import Case
from edgedistill.gate.reference import teacher_logits
from edgedistill.gate.rungs import Relation, judged, measure, not_run, number
from edgedistill.gate.scores import Answers, answers, labelled
from edgedistill.parity import Interval
from edgedistill.reports import Measure, Rung, Status

DROP, DROP_TITLE = "student_to_artifact_metric", "The task metric survives export and quantization"
END_TO_END, END_TO_END_TITLE = "teacher_to_artifact", "End to end: the artifact keeps the teacher's accuracy"
DISTILLED, DISTILLED_TITLE = "teacher_to_student", "The student keeps the teacher's accuracy"

_NO_ROWS = "no labelled rows are stored with this artifact; export it with --task and --data"
_NO_TEACHER = (
    "no teacher's answers are stored with these rows; export with --data reads rows anew, without it takes the "
    "student's own, which have them where a teacher taught it"
)
_MOST_LABELS = 20


def drop_rung(case: Case) -> Rung:
    """How many points of the metric the artifact loses against the student, and which labels pay for it."""
    if not labelled(case) or case.kind is None:
        return not_run(DROP, DROP_TITLE, _NO_ROWS)
    student, artifact = answers(case, case.student_reference), answers(case, case.reference_answers)
    points = _interval(case, student, artifact, "drop").scaled(100)
    limit, widest = case.tolerances.metric_drop_points, case.tolerances.metric_drop_margin
    measures = [
        measure(f"student_{student.metric}", student.score),
        measure(f"artifact_{artifact.metric}", artifact.score),
        measure("drop_points", points.value, limit, "<=", points),
        measure("agreement", _agreement(student, artifact)),
        *_recall_changes(case, student, artifact),
    ]
    status, reason = decided(points, limit, "<=", widest=widest, rows=student.rows)
    return Rung(name=DROP, title=DROP_TITLE, status=status, reason=reason, rows=student.rows, measures=tuple(measures))


def end_to_end_rung(case: Case) -> Rung:
    """The share of the teacher's metric that reaches the phone."""
    return _ratio_rung(case, END_TO_END, END_TO_END_TITLE, "artifact")


def distilled_rung(case: Case) -> Rung:
    """The share of the teacher's metric that the student has before any export."""
    return _ratio_rung(case, DISTILLED, DISTILLED_TITLE, "student")


def decided(interval: Interval, limit: float, relation: Relation, *, widest: float, rows: int) -> tuple[Status, str]:
    """Whether an estimate with its interval keeps a limit; the module's docstring has the rule.

    Args:
        interval: the estimate.
        limit: in its unit.
        relation: on which side of the limit is well.
        widest: margin up to which the estimate decides, in the same unit, above 0.
        rows: it was made of.
    """
    low, high = interval.low - limit, interval.high - limit
    is_inside, is_outside = (high <= 0, low > 0) if relation == "<=" else (low >= 0, high < 0)
    value_is_inside = interval.value <= limit if relation == "<=" else interval.value >= limit
    shown = f"{number(interval.value)} (95 % interval {number(interval.low)} to {number(interval.high)})"
    if not is_inside and not is_outside and interval.margin > widest:
        needed = parity.rows_needed(interval, rows, widest)
        return (
            "inconclusive",
            f"{shown} on {rows} rows is too uncertain for {number(limit)}; about {needed:,} rows would do.",
        )
    if is_inside or (value_is_inside and not is_outside):
        return "passed", ""
    return "failed", f"{shown}, {'at most' if relation == '<=' else 'at least'} {number(limit)} is allowed."


def _ratio_rung(case: Case, name: str, title: str, who: str) -> Rung:
    if not labelled(case) or case.kind is None:
        return not_run(name, title, _NO_ROWS)
    logits = teacher_logits(case)
    if logits is None:
        return not_run(name, title, _NO_TEACHER)
    own: Sequence[Floats] = case.reference_answers if who == "artifact" else case.student_reference
    teacher, judged_model = answers(case, logits), answers(case, own)
    measures = [
        measure(f"teacher_{teacher.metric}", teacher.score),
        measure(f"{who}_{teacher.metric}", judged_model.score),
        measure("agreement", _agreement(teacher, judged_model)),
    ]
    limit, widest = case.tolerances.teacher_ratio, case.tolerances.teacher_ratio_margin
    if teacher.score <= 0:
        return judged(name, title, [*measures, measure("ratio", float("nan"), limit, ">=")], rows=teacher.rows)
    ratio = _interval(case, teacher, judged_model, "ratio")
    measures.insert(2, measure("ratio", ratio.value, limit, ">=", ratio))
    status, reason = decided(ratio, limit, ">=", widest=widest, rows=teacher.rows)
    return Rung(name=name, title=title, status=status, reason=reason, rows=teacher.rows, measures=tuple(measures))


def _interval(case: Case, first: Answers, second: Answers, statistic: str) -> Interval:
    is_drop = statistic == "drop"
    found = parity.paired_bootstrap(
        first.weighted, second.weighted, first.rows, statistic="drop" if is_drop else "ratio", seed=case.seed
    )
    if first.metric == "pearson_spearman":  # scores move by degrees: there are no unseen flips to allow for
        return found
    return parity.with_rule_of_three(found, first.rows, 1.0 if is_drop else 1.0 / first.score)


def _agreement(one: Answers, two: Answers) -> float:
    pairs = zip(one.given, two.given, strict=True)
    return float(np.mean([a[0] == b[0] if one.metric == "ranking" else a == b for a, b in pairs]))


def _recall_changes(case: Case, student: Answers, artifact: Answers) -> list[Measure]:
    """Points of recall each label gains or loses; the worst ones where there are many labels."""
    names = case.manifest.labels
    if case.kind not in ("single", "pair", "tokens") or not names:
        return []
    if student.metric == "entity_f1":
        lost, kept = (recall_by_kind(model.given, model.right) for model in (student, artifact))
        named = sorted(sorted(kept, key=lambda kind: kept[kind] - lost[kind])[:_MOST_LABELS])
        return [measure(f"recall_change_points/{kind}", 100 * (kept[kind] - lost[kind])) for kind in named]
    before, after = (evaluate.recalls(model.given, model.right, len(names)) for model in (student, artifact))
    changes = 100 * (after - before)
    known = [n for n in range(len(names)) if np.isfinite(changes[n])]
    worst = sorted(sorted(known, key=lambda n: float(changes[n]))[:_MOST_LABELS])
    return [measure(f"recall_change_points/{names[n]}", float(changes[n])) for n in worst]
