"""How a rung is written down: measures with their limits, named findings, and the status that follows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from edgedistill.parity import Interval
from edgedistill.reports import Finding, Measure, Rung, Status

Relation = Literal["<=", ">="]


def measure(
    name: str,
    value: float,
    limit: float | None = None,
    relation: Relation = "<=",
    interval: Interval | None = None,
) -> Measure:
    """A number with its limit. What is not finite becomes "not defined", which keeps no limit."""
    return Measure(
        name=name,
        value=float(value) if math.isfinite(value) else None,
        limit=limit,
        relation=relation if limit is not None else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def finding(name: str, message: str) -> Finding:
    """A named fault."""
    return Finding(name=name, message=message)


def judged(
    name: str,
    title: str,
    measures: Sequence[Measure],
    findings: Iterable[Finding] = (),
    *,
    rows: int = 0,
    reason: str = "",
) -> Rung:
    """A rung that fails by any measure outside its limit and by any finding, and passes otherwise."""
    found = tuple(findings)
    outside = [measure_ for measure_ in measures if not measure_.is_within]
    status: Status = "failed" if outside or found else "passed"
    if status == "failed" and not reason:
        reason = together([*(_complaint(measure_) for measure_ in outside), *(item.message for item in found)])
    return Rung(
        name=name, title=title, status=status, reason=reason, rows=rows, measures=tuple(measures), findings=found
    )


def together(reasons: Iterable[str]) -> str:
    """Several reasons as one sentence."""
    told = [reason for reason in reasons if reason]
    return "; ".join([*(reason.removesuffix(".") for reason in told[:-1]), *told[-1:]])


def not_run(name: str, title: str, reason: str) -> Rung:
    """A rung that was not tried, and why."""
    return Rung(name=name, title=title, status="not_run", reason=reason)


def number(value: float | None) -> str:
    """A number for people: three significant digits."""
    return "not defined" if value is None else f"{value:.3g}"


def _complaint(measure_: Measure) -> str:
    bound = "at most" if measure_.relation == "<=" else "at least"
    return f"{measure_.name} is {number(measure_.value)}, {bound} {number(measure_.limit)} is allowed"
