"""Early exits: every exit answers as the student's does, and texts leave where the student's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgedistill import parity
from edgedistill.artifacts import Cascade, Golden, Manifest
from edgedistill.evaluate import Floats, predict
from edgedistill.gate.case import Case
from edgedistill.gate.rungs import finding, judged, measure, not_run, number
from edgedistill.reports import Finding, Measure, Rung
from edgedistill.runner import LAYERS, exit_output

NAME, TITLE = "early_exits", "Every exit answers as the student's, and texts leave where they should"
FAULTS = ("swapped_segments", "wrong_exit_threshold")
"""Findings that explain different answers: nothing else need be tried."""


@dataclass(frozen=True)
class _Seen:
    """Answers to the goldens.

    Attributes:
        exits: for each exit one array (N, C).
        layers: (N,) where each text left.
    """

    exits: tuple[Floats, ...]
    layers: Floats


def exits_rung(case: Case) -> Rung:
    """Compare each exit alone, then the layers that texts leave at; and say how many layers are run."""
    driver = case.manifest.driver
    if case.all_answers is None or not isinstance(driver, Cascade):
        return not_run(NAME, TITLE, "the model has one way out only")
    wanted = _stored(case.goldens, len(driver.exits))
    if wanted is None:
        fault = finding("no_exits_stored", "the goldens do not hold what every exit answers. Export again.")
        return judged(NAME, TITLE, (), [fault])
    found = _asked(case, case.manifest)
    gaps = _gaps(wanted, found)
    same = float(np.mean(found.layers == wanted.layers))
    early = _layers_of_runner(case)
    measures = [
        *(measure(f"relative/{exit_output(n)}", gap, _limit(case)) for n, gap in enumerate(gaps, start=1)),
        measure("same_exit", same, case.tolerances.exit_agreement, ">="),
        measure("stops_where_it_leaves", float(np.mean(early == found.layers)), case.tolerances.exit_agreement, ">="),
        *_depth(case, found, wanted),
    ]
    return judged(NAME, TITLE, measures, _faults(case, driver, wanted, found, gaps), rows=len(case.goldens))


def _stored(goldens: Sequence[Golden], exits: int) -> _Seen | None:
    names = [exit_output(n) for n in range(1, exits + 1)]
    if any(name not in golden.student for golden in goldens for name in (*names, LAYERS)):
        return None
    each = tuple(np.array([golden.student[name] for golden in goldens]) for name in names)
    return _Seen(each, np.array([golden.student[LAYERS][0] for golden in goldens]))


def _asked(case: Case, manifest: Manifest) -> _Seen:
    assert case.all_answers is not None
    outputs = predict(case.all_answers(manifest), case.golden_encodings, batch_size=1)
    exits = sorted((name for name in outputs if name.startswith("exit_")), key=lambda name: int(name.split("_")[1]))
    return _Seen(tuple(np.stack(outputs[name]) for name in exits), np.ravel(outputs[LAYERS]))


def _layers_of_runner(case: Case) -> Floats:
    """Where texts leave when the rest of the layers is not run: as in an app."""
    return np.ravel(case.run(case.golden_encodings, batch_size=1)[LAYERS])


def _gaps(wanted: _Seen, found: _Seen) -> list[float]:
    """Relative difference of each exit."""
    return [
        parity.difference(list(one), list(two)).relative for one, two in zip(wanted.exits, found.exits, strict=True)
    ]


def _limit(case: Case) -> float:
    limits = case.tolerances
    if case.scheme.is_integer:
        return limits.int8_relative
    return limits.fp32_relative if case.scheme.name == "fp32" else limits.fp16_relative


def _depth(case: Case, found: _Seen, wanted: _Seen) -> list[Measure]:
    """Layers run a text, of how many; on the judged split where there is one."""
    texts = case.reference_encodings
    layers = np.ravel(case.run(texts)[LAYERS]) if texts else found.layers
    return [
        measure("mean_layers", float(layers.mean())),
        measure("of_layers", float(len(wanted.exits))),
        measure("golden_mean_layers", float(found.layers.mean())),
        measure("student_golden_mean_layers", float(wanted.layers.mean())),
    ]


def _faults(case: Case, driver: Cascade, wanted: _Seen, found: _Seen, gaps: Sequence[float]) -> list[Finding]:
    wrong = [place for place, gap in enumerate(gaps) if not gap <= _limit(case)]
    if wrong:
        return _swapped(case, driver, wanted, wrong[0])
    if float(np.mean(found.layers == wanted.layers)) >= case.tolerances.exit_agreement:
        return []
    earlier = float((found.layers - wanted.layers).mean())
    shown = ", ".join(dict.fromkeys(number(one.threshold) for one in driver.exits[:-1]))
    return [
        finding(
            "wrong_exit_threshold",
            f"every exit answers as the student's, but texts leave {abs(earlier):.2g} layers "
            f"{'later' if earlier > 0 else 'earlier'} on average: the threshold ({shown}) is not the student's speed. "
            "Export again.",
        )
    ]


def _swapped(case: Case, driver: Cascade, wanted: _Seen, first: int) -> list[Finding]:
    """Whether the exits are right once two segments change places; the first wrong one is one of them."""
    for other in range(first + 1, len(driver.exits)):
        changed = case.manifest.model_copy(update={"driver": _with_swapped(driver, first, other)})
        try:
            gaps = _gaps(wanted, _asked(case, changed))
        except (KeyError, ValueError):  # the last segment carries nothing on
            continue
        if max(gaps) <= _limit(case):
            message = f"segments {first + 1} and {other + 1} are in each other's place. Export again."
            return [finding("swapped_segments", message)]
    return [finding("wrong_exit", f"exit {first + 1} is the first that does not answer as the student's.")]


def _with_swapped(driver: Cascade, one: int, other: int) -> Cascade:
    graphs = [each.graphs for each in driver.exits]
    graphs[one], graphs[other] = graphs[other], graphs[one]
    exits = tuple(each.model_copy(update={"graphs": own}) for each, own in zip(driver.exits, graphs, strict=True))
    return driver.model_copy(update={"exits": exits})
