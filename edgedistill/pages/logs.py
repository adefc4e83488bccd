"""Training logs as curves short enough to draw."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from edgedistill.pages.stages import Cost, StageContent, Trace

POINTS = 160
"""Points a curve keeps: about one for every three pixels of the widest drawing."""
LOG = "log.jsonl"


def stages(folder: Path, seconds: Mapping[str, float], missing: list[str]) -> tuple[StageContent, ...]:
    """Every stage below `folder` in order; a log that cannot be read goes into `missing`.

    Args:
        folder: holds one folder per stage, each with a log.
        seconds: time per stage where it is known, by the stage's name or its folder's.
        missing: what is not there, in words; added to.
    """
    logs = sorted(folder.glob(f"*/{LOG}"))
    return tuple(stage for path in logs if (stage := _stage(path, seconds, missing)))


def _stage(path: Path, seconds: Mapping[str, float], missing: list[str]) -> StageContent | None:
    name = path.parent.name
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        terms = list(dict.fromkeys(["loss", *(term for line in lines for term in line.get("terms", {}))]))
        traces = tuple(_trace(term, lines) for term in terms)
        steps = max((int(line["step"]) for line in lines), default=0)
        rows = sum(int(line.get("rows") or 0) for line in lines)
        last = float(lines[-1].get("seconds") or 0.0) if lines else 0.0
        cost = _cost([line for line in lines if "phases" in line])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        missing.append(f"The training log '{name}/{LOG}' cannot be read: {error}.")
        return None
    if not lines:
        missing.append(f"The training log '{name}/{LOG}' is empty: the stage has not begun.")
        return None
    known = seconds.get(name, seconds.get(name.partition("-")[2], last))
    return StageContent(name=name, steps=steps, seconds=known or None, rows=rows or None, traces=traces, cost=cost)


def _cost(lines: Sequence[Mapping[str, Any]]) -> Cost | None:
    names = dict.fromkeys(name for line in lines for name in line["phases"])
    phases = {name: math.fsum(line["phases"].get(name, 0.0) for line in lines) for name in names}
    seconds, places = math.fsum(phases.values()), sum(line["places"] for line in lines)
    if not seconds or not places:
        return None
    tokens = sum(line["tokens"] for line in lines)
    return Cost(
        rows_per_s=sum(line["rows"] for line in lines) / seconds,
        tokens_per_s=tokens / seconds,
        padding=1.0 - tokens / places,
        memory_bytes=max((line["memory_bytes"] or 0 for line in lines), default=0) or None,
        phases=phases,
    )


def _trace(term: str, lines: Sequence[Mapping[str, Any]]) -> Trace:
    found = [
        (int(line["step"]), float(line["loss"] if term == "loss" else line["terms"][term]))
        for line in lines
        if term == "loss" or term in line.get("terms", {})
    ]
    count = min(POINTS, len(found))
    edges = [round(index * len(found) / count) for index in range(count + 1)] if count else []
    pieces = [found[start:stop] for start, stop in pairwise(edges)]
    return Trace(
        term=term,
        steps=tuple(piece[-1][0] for piece in pieces),
        values=tuple(_mean([value for _, value in piece]) for piece in pieces),
    )


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None
