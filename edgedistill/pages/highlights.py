"""What is picked out of the content for its first screen, the same for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgedistill.pages import numbers
from edgedistill.pages.content import ArtifactContent, Content, TimingContent
from edgedistill.pages.stages import Cost
from edgedistill.reports import Measure, Rung

_HEADLINE_LENGTH = 128


def timing_of(content: Content, artifact: ArtifactContent) -> TimingContent | None:
    """The artifact's headline row: one thread and 128 tokens where there is such a one, from this machine's newest."""
    for bench in content.benches:
        if bench.source == "phone":
            continue
        rows = [row for row in bench.rows if row.artifact == artifact.name]
        if rows:
            return min(rows, key=lambda row: (row.threads, row.length != _HEADLINE_LENGTH, -row.length))
    return None


def rung_rows(artifacts: Sequence[ArtifactContent]) -> list[tuple[str, list[Rung | None]]]:
    """Every step's title with its rung in each artifact, in the ladder's order; none where it has no such step."""
    titles = {rung.name: rung.title for artifact in artifacts for rung in artifact.rungs}
    ladders = [{rung.name: rung for rung in artifact.rungs} for artifact in artifacts]
    return [(title, [ladder.get(name) for ladder in ladders]) for name, title in titles.items()]


def per_label(rung: Rung) -> tuple[list[Measure], dict[str, list[Measure]]]:
    """A rung's measures: those of the whole, and those named `what/label` by what they are, under the label's name."""
    whole = [measure for measure in rung.measures if "/" not in measure.name]
    parts: dict[str, list[Measure]] = {}
    for measure in rung.measures:
        what, slash, label = measure.name.partition("/")
        if slash:
            parts.setdefault(what, []).append(measure.model_copy(update={"name": label}))
    return whole, parts


def reason_of(rung: Rung) -> str:
    """A rung's reason without what its findings say anyway."""
    reason = rung.reason
    for finding in rung.findings:
        reason = reason.replace(finding.message, "")
    return reason.strip("; ")


def shares(cost: Cost) -> str:
    """Phases of a stage as shares of its time, the largest first."""
    whole = sum(cost.phases.values())
    falling = sorted(cost.phases.items(), key=lambda phase: -phase[1])
    return ", ".join(f"{name} {numbers.percent(seconds / whole, 0)}" for name, seconds in falling)


def tiles(content: Content) -> list[tuple[str, str, str]]:
    """The few numbers that matter most, each with what it is and where it comes from."""
    return [tile for tile in (_share(content), _fewer(content), _smallest(content), _fastest(content)) if tile]


def _share(content: Content) -> tuple[str, str, str] | None:
    scores = content.training.scores if content.training else {}
    student, teacher = scores.get("student"), scores.get("teacher")
    if student is None or not teacher or teacher < 0:
        return None
    share = numbers.percent(student / teacher, 1)
    return share, "of the teacher's score", f"student {numbers.number(student)}, teacher {numbers.number(teacher)}"


def _fewer(content: Content) -> tuple[str, str, str] | None:
    if not content.training or not content.training.teacher:
        return None
    teacher, student = content.training.teacher.parameters, content.training.student.parameters
    words = f"{numbers.parameters(teacher)} to {numbers.parameters(student)}"
    return numbers.times(teacher / max(1, student)), "fewer parameters", words


def _smallest(content: Content) -> tuple[str, str, str] | None:
    passed = [artifact for artifact in content.artifacts if artifact.status == "passed"]
    if not passed:
        return None
    smallest = min(passed, key=lambda artifact: artifact.size_bytes)
    return numbers.size(smallest.size_bytes), "smallest that passed", smallest.name


def _fastest(content: Content) -> tuple[str, str, str] | None:
    passed = [artifact for artifact in content.artifacts if artifact.status == "passed"]
    timed = [(row, artifact) for artifact in passed if (row := timing_of(content, artifact))]
    if not timed:
        return None
    row, artifact = min(timed, key=lambda pair: pair[0].latency.p90_ms)
    where = f"{artifact.name}, {row.length} tokens, {row.threads} thread{'s' if row.threads > 1 else ''}"
    beside = f"; {numbers.times(row.ratio)} faster than PyTorch" if row.ratio and row.ratio >= 1 else ""
    return f"{numbers.milliseconds(row.latency.p90_ms)} ms", "p90, fastest that passed", where + beside
