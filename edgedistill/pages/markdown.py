"""The content as Markdown: the same words and numbers, for a pull request or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgedistill.pages import charts, exit_charts, markdown_times, numbers
from edgedistill.pages.content import MARKS, WORDS, ArtifactContent, BenchContent, Content, Training
from edgedistill.pages.highlights import reason_of, shares, tiles, timing_of
from edgedistill.pages.markdown_table import code as _code
from edgedistill.pages.markdown_table import safe as _safe
from edgedistill.pages.markdown_table import table as _table
from edgedistill.pages.stages import StageContent
from edgedistill.reports import ExitReport, Measure, Rung


def markdown(content: Content) -> str:
    """The whole page as one Markdown text."""
    head = content.headline
    lines = [
        f"# {_safe(content.title)}: {_safe(head.word.lower())}",
        "",
        f"**{MARKS[head.status]} {_safe(head.word)}.** {_safe(head.sentence)}",
        "",
        *(f"- **{_safe(value)}** {_safe(what)} ({_safe(origin)})" for value, what, origin in tiles(content)),
    ]
    if content.artifacts:
        lines += _section("Artifacts", _artifacts(content))
        lines += _section("The ladder", _ladders(content.artifacts))
    if content.benches:
        lines += _section("Times", [line for bench in content.benches for line in _bench(bench)])
    if content.published:
        lines += _section("Published by others, not measured here", markdown_times.stated(content.published))
    if content.training or content.stages:
        lines += _section("Training", _training(content.training, content.stages))
    if content.exits:
        lines += _section("Early exits", _exits(content.exits))
    if content.layer_errors:
        lines += _section("Student and teacher, layer by layer", _layers(content.layer_errors))
    lines += _section("Make it again", _again(content))
    if content.missing:
        lines += _section("Not on this page", [f"- {_safe(sentence)}" for sentence in content.missing])
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _artifacts(content: Content) -> list[str]:
    rows = []
    for artifact in content.artifacts:
        row = timing_of(content, artifact)
        rows.append(
            (
                artifact.name,
                f"{MARKS[artifact.status]} {WORDS[artifact.status]}",
                numbers.number(artifact.score.value if artifact.score else None),
                numbers.milliseconds(row.latency.p90_ms if row else None),
                numbers.times(row.ratio if row else None),
                numbers.size(artifact.size_bytes),
            )
        )
    return _table(("Artifact", "Verdict", "Score", "p90 ms", "vs PyTorch", "Size"), rows, right=2)


def _ladders(artifacts: Sequence[ArtifactContent]) -> list[str]:
    lines = []
    for artifact in artifacts:
        word = f"{MARKS[artifact.status]} {WORDS[artifact.status]}"
        lines += [f"### {_safe(artifact.name)}: {word}", "", _safe(artifact.reason), ""]
        lines += [f"- {_safe(name)} set to {value:g} by hand" for name, value in artifact.overrides.items()]
        lines += [line for rung in artifact.rungs for line in _rung(rung)]
        lines += [f"- left in float: {_code(name)}, {_safe(why)}" for name, why in artifact.kept_float.items()]
        lines += [f"- search: {_safe(artifact.search.sentence)}"] if artifact.search else []
        lines += [f"- {_safe(each.sentence)}" for each in artifact.delegations]
        lines.append("")
    return lines[:-1]


def _rung(rung: Rung) -> list[str]:
    words = f"- {MARKS[rung.status]} **{_safe(rung.title)}**: {WORDS[rung.status].lower()}"
    words += f", {rung.rows:,} texts" if rung.rows else ""
    reason = reason_of(rung)
    lines = [words + (f". {_safe(reason)}" if reason else "")]
    lines += [f"  - {_measure(measure)}" for measure in rung.measures]
    lines += [f"  - **{_safe(finding.name)}**: {_safe(finding.message)}" for finding in rung.findings]
    return lines


def _measure(measure: Measure) -> str:
    words = f"{_safe(measure.name)} {numbers.number(measure.value)}"
    if measure.low is not None and measure.high is not None:
        words += f" ({numbers.number(measure.low)} to {numbers.number(measure.high)})"
    if measure.limit is None:
        return words
    sign = "at most" if measure.relation == "<=" else "at least"
    kept = "" if measure.is_within else ": **beyond its limit**"
    return f"{words}, {sign} {numbers.number(measure.limit)}{kept}"


def _bench(bench: BenchContent) -> list[str]:
    if bench.phone:
        return markdown_times.phone(bench)
    if not bench.rows:
        return [*markdown_times.stated(bench.stated), "", *map(_safe, bench.notes), ""]
    rows = [
        (
            row.artifact,
            row.length,
            row.threads,
            *(numbers.milliseconds(v) for v in (row.latency.p50_ms, row.latency.p90_ms, row.latency.p99_ms)),
            numbers.times(row.ratio),
            numbers.milliseconds(row.latency.first_ms),
            numbers.milliseconds(row.latency.load_ms),
            numbers.size(row.peak_rss_bytes),
            numbers.count(row.latency.runs),
            row.validity + (" (throttled)" if row.is_throttled else ""),
        )
        for row in bench.rows
    ]
    header = (
        "Model",
        "Tokens",
        "Threads",
        "p50",
        "p90",
        "p99",
        "vs PyTorch",
        "First",
        "Load",
        "Memory",
        "Runs",
        "Validity",
    )
    where = f"{bench.source}: {bench.device}, cores {bench.affinity}; mode {bench.mode}, batch 1, {bench.created}. "
    where += "Milliseconds; memory is the peak of a fresh process, Python and all."
    return [_safe(where), "", *_table(header, rows, right=1), "", *map(_safe, bench.notes), ""]


def _training(training: Training | None, stages: Sequence[StageContent]) -> list[str]:
    lines = []
    if training:
        lines.append(f"- student: {_safe(training.student.family)}, {training.student.parameters:,} parameters")
        if training.teacher:
            lines.append(f"- teacher: {_safe(training.teacher.path)}, {training.teacher.parameters:,} parameters")
        named = {"vocabulary": training.vocabulary, "embeddings": training.embedding}
        lines += [f"- {name}: {_safe(found.sentence)}" for name, found in named.items() if found]
        lines += [f"- {_safe(name)}: {numbers.number(value)}" for name, value in training.scores.items()]
        lines.append("")
    rows = [
        (stage.name, stage.steps, numbers.seconds(stage.seconds), trace.term, *map(numbers.number, _ends(trace.values)))
        for stage in stages
        for trace in stage.traces
    ]
    lines += _table(("Stage", "Steps", "Time", "Term", "first", "last"), rows, right=4) if rows else []
    return lines + _costs(stages)


def _costs(stages: Sequence[StageContent]) -> list[str]:
    rows = [
        (
            stage.name,
            numbers.number(round(cost.rows_per_s, 1)),
            numbers.count(round(cost.tokens_per_s)),
            numbers.percent(cost.padding, 1),
            numbers.size(cost.memory_bytes),
            shares(cost),
        )
        for stage in stages
        if (cost := stage.cost)
    ]
    header = ("Stage", "Rows/s", "Tokens/s", "Padding", "Memory", "Time went into")
    return ["", *_table(header, rows, right=1)] if rows else []


def _ends(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    return (values[0], values[-1]) if values else (None, None)


def _exits(report: ExitReport) -> list[str]:
    rows = [
        (
            f"{point.speed:g}" + (" (its own)" if point.speed == report.speed else ""),
            numbers.number(point.score),
            numbers.number(round(point.mean_layers, 2)),
            numbers.times(point.speedup),
        )
        for point in exit_charts.shown(report)
    ]
    header = ("Speed", report.metric, "Layers", "Fewer FLOPs")
    return [f"{_safe(report.summary)}. FLOPs are counted, not time.", "", *_table(header, rows, right=1)]


def _layers(errors: dict[str, tuple[float, ...]]) -> list[str]:
    lines = [
        f"- {_safe(name)}, from layer {charts.first_layer(name)}: {', '.join(map(numbers.number, values))}"
        for name, values in errors.items()
    ]
    return ["Lower is closer; layer 0 is the embedding output.", "", *lines]


def _again(content: Content) -> list[str]:
    lines = [f"    {' '.join(each.command.split())}" for each in content.commands]
    if content.training:
        t = content.training
        lines += ["", f"- seed {t.seed}, training rows {_code(t.data_sha256 or 'not recorded')}"]
        lines.append(
            f"- {_safe(t.environment.cpu)}, {_safe(t.environment.system)}, Python {_safe(t.environment.python)}"
        )
    for artifact in content.artifacts:
        lines += ["", f"{_safe(artifact.name)}: manifest {_code(artifact.manifest_sha256)}", ""]
        rows = [
            (f.entry.path, f.entry.role, f.state, f.entry.sha256, numbers.size(f.entry.size_bytes))
            for f in artifact.files
        ]
        lines += _table(("File", "Role", "Now", "SHA-256", "Size"), rows, right=4)
    return lines
