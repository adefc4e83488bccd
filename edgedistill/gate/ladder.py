"""The ladder: every rung in order, and the one status that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from edgedistill.artifacts import Cascade
from edgedistill.errors import EdgeDistillError, NoRuntimeError
from edgedistill.gate import accuracy, exits, invariance, numeric, reference, tokens, writing
from edgedistill.gate.case import Case
from edgedistill.gate.diagnosis import diagnose
from edgedistill.gate.rungs import finding, not_run, together
from edgedistill.reports import Rung

STEPS: tuple[tuple[str, str, Callable[[Case], Rung]], ...] = (
    (tokens.NAME, tokens.TITLE, tokens.tokenizer_rung),
    (reference.NAME, reference.TITLE, reference.reference_rung),
    (numeric.NAME, numeric.TITLE, numeric.numeric_rung),
    (invariance.NAME, invariance.TITLE, invariance.invariance_rung),
    (accuracy.DROP, accuracy.DROP_TITLE, accuracy.drop_rung),
    (accuracy.DISTILLED, accuracy.DISTILLED_TITLE, accuracy.distilled_rung),
    (accuracy.END_TO_END, accuracy.END_TO_END_TITLE, accuracy.end_to_end_rung),
)
"""Rungs that run here, from text to phone."""
_OF_EARLY_EXITS = (exits.NAME, exits.TITLE, exits.exits_rung)
"""After the numbers of the answer, where a model may leave early."""

ELSEWHERE = "runs_elsewhere"
"""Finding of a rung that was not run because the artifact's runtime does not exist for this kind of computer."""
PHONE = "phone"
APP_TOKENIZER = "app_tokenizer"
_ELSEWHERE = (
    ("other_architecture", "The same file on another processor architecture", "this check ran on one processor only"),
    (PHONE, "The same file on a phone", "no phone was asked; the goldens go with the app for its self-test"),
    (APP_TOKENIZER, "The app's tokenizer gives the same ids", "no app was built from this artifact yet"),
)
_OF_WRITTEN_TEXT: dict[str, Callable[[Case], Rung]] = {
    tokens.NAME: tokens.tokenizer_rung,
    numeric.NAME: writing.writing_rung,
}
_NOT_OF_WRITTEN_TEXT = "a model that writes has no one answer to compare; the words themselves are compared"
_EXPLAINED = (numeric.NAME, accuracy.DROP)


def climb(case: Case) -> list[Rung]:
    """Run every rung; where outputs differ, the numeric rung names the fault."""
    if case.kind == "generation":
        return [*(_of_written_text(name, title, case) for name, title, _ in STEPS), *elsewhere()]
    rungs = [_tried(name, title, step, case) for name, title, step in _steps_of(case)]
    place = next((number for number, rung in enumerate(rungs) if _is_apart(rung)), None)
    if place is None:
        return [*rungs, *elsewhere()]
    named = {item.name for rung in rungs for item in rung.findings}
    if not named & {"cannot_run", *exits.FAULTS}:
        found = [item for item in diagnose(case) if item.name not in named]
        rung = rungs[place]
        reason = together([*(item.message for item in found), rung.reason])
        rungs[place] = rung.model_copy(update={"findings": (*rung.findings, *found), "reason": reason})
    return [*rungs, *elsewhere()]


def _is_apart(rung: Rung) -> bool:
    """Whether the rung failed because the artifact's outputs are not the student's."""
    outside = {measure.name for measure in rung.measures if not measure.is_within}
    return rung.status == "failed" and rung.name in _EXPLAINED and bool(outside - {numeric.SPREAD})


def climb_each(cases: Sequence[Case]) -> list[Rung]:
    """Climb for every task of an artifact, the main one first; with several, titles and names say which."""
    if len(cases) == 1:
        return climb(cases[0])
    rungs: list[Rung] = []
    for place, case in enumerate(cases):
        task = case.manifest.task.name
        own = [rung for rung in climb(case) if rung.name in {name for name, _, _ in STEPS}]
        rungs += [
            rung.model_copy(
                update={"name": f"{rung.name}/{task}" if place else rung.name, "title": f"{task}: {rung.title}"}
            )
            for rung in own
        ]
    return [*rungs, *elsewhere()]


def elsewhere() -> list[Rung]:
    """What cannot be tried on this machine, in words."""
    return [not_run(name, title, reason) for name, title, reason in _ELSEWHERE]


def not_climbed(reason: str) -> list[Rung]:
    """The whole ladder where the model could not even be opened."""
    return [*(not_run(name, title, reason) for name, title, _ in STEPS), *elsewhere()]


def overall(rungs: Sequence[Rung]) -> Literal["passed", "failed", "inconclusive"]:
    """Failed beats inconclusive beats passed; and nothing passes that was never compared with its student."""
    statuses = {rung.status for rung in rungs}
    if "failed" in statuses:
        return "failed"
    own = [rung for rung in rungs if rung.name.partition("/")[0] == numeric.NAME]
    compared = bool(own) and all(rung.status == "passed" for rung in own)
    return "passed" if compared and "inconclusive" not in statuses else "inconclusive"


def _steps_of(case: Case) -> list[tuple[str, str, Callable[[Case], Rung]]]:
    steps = list(STEPS)
    if isinstance(case.manifest.driver, Cascade):
        steps.insert(1 + [name for name, _, _ in steps].index(numeric.NAME), _OF_EARLY_EXITS)
    return steps


def _of_written_text(name: str, title: str, case: Case) -> Rung:
    step = _OF_WRITTEN_TEXT.get(name)
    return not_run(name, title, _NOT_OF_WRITTEN_TEXT) if step is None else _tried(name, title, step, case)


def _tried(name: str, title: str, step: Callable[[Case], Rung], case: Case) -> Rung:
    try:
        return step(case)
    except NoRuntimeError as error:
        found = finding(ELSEWHERE, str(error))
        return not_run(name, title, str(error)).model_copy(update={"findings": (found,)})
    except EdgeDistillError as error:
        found = finding("cannot_run", str(error))
        return Rung(name=name, title=title, status="failed", reason=str(error), findings=(found,))
