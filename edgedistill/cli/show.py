"""Results for people (tables) and for machines (JSON), both on stdout."""

from __future__ import annotations

import json as _json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from edgedistill.cli.show_bench import bench as bench
from edgedistill.cli.tables import print_table as _print
from edgedistill.cli.tables import shared_start as _shared
from edgedistill.cli.tables import size as _size
from edgedistill.cli.tables import status as _status
from edgedistill.cli.tables import table as _table

if TYPE_CHECKING:
    from edgedistill.pipeline.doctor import Checkup
    from edgedistill.pipeline.shape_plan import ShapePlan, ShapeRow
    from edgedistill.pipeline.walk import RoadResult
    from edgedistill.reports import Measure, Verdict


def json(value: Any) -> None:
    """Print JSON; NaN is refused rather than written as non-JSON."""
    click.echo(_json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def listing(lists: Mapping[str, Mapping[str, str]], as_json: bool) -> None:
    """Names with their one line, list by list."""
    if as_json:
        return json(lists)
    for kind, summaries in lists.items():
        table = _table("name", "what it is", title=kind if len(lists) > 1 else None)
        for name, summary in summaries.items():
            table.add_row(Text(name, "bold"), summary)
        _print(table)


def student(folder: Path, as_json: bool, is_made: bool) -> None:
    """A student's scores beside its teacher's."""
    if not is_made:
        return json({"student": str(folder), "planned": True}) if as_json else None
    from edgedistill import reports

    card = reports.read(reports.StudentCard, folder / reports.STUDENT_CARD)
    if as_json:
        return json({"student": str(folder), "card": card.model_dump(mode="json")})
    table = _table("", "student", "teacher")
    teacher = card.teacher
    table.add_row("checkpoint", str(folder), teacher.path if teacher else "none")
    table.add_row("parameters", f"{card.student.parameters:,}", f"{teacher.parameters:,}" if teacher else "")
    _print(table)
    scores = _table(f"{card.task.metric} on the judged split", "value")
    for name, value in card.scores.items():
        scores.add_row(name, f"{value:.4f}".rstrip("0").rstrip("."))
    if min(card.scores.get("teacher", 0.0), card.scores["student"]) > 0:  # a correlation below 0 is no share
        scores.add_row("share of the teacher's", f"{100 * card.scores['student'] / card.scores['teacher']:.1f} %")
    _print(scores)
    for line in card.words:
        click.echo(line)
    if (folder / reports.EXITS).is_file():
        click.echo(reports.read(reports.ExitReport, folder / reports.EXITS).summary)
    if card.task.kind == "generation":
        click.echo(f"what it wrote: {folder / 'written.jsonl'}")
        return _next("export", folder, "--target", "onnx")
    if card.task.kind == "mlm":
        return _next("distill", "finetune", "--student", folder, "--task", "TASK", "--out", "RUN")
    _next("export", folder, "--target", "onnx", "--scheme", "int8_dynamic")


def artifact(folder: Path, as_json: bool, is_made: bool) -> None:
    """An artifact's graphs and sizes."""
    if not is_made:
        return json({"artifact": str(folder), "planned": True}) if as_json else None
    from edgedistill.artifacts import read_manifest

    manifest = read_manifest(folder)
    if as_json:
        return json({"artifact": str(folder), "manifest": manifest.model_dump(mode="json")})
    table = _table("file", "for", "size", "sha256")
    for file in manifest.files:
        table.add_row(file.path, file.role, _size(file.size_bytes), file.sha256[:12])
    _print(table)
    click.echo(f"{folder}: {manifest.target} {manifest.scheme}, {_size(manifest.model_size_bytes)} of model files")
    if manifest.quantization and manifest.quantization.search:
        click.echo(manifest.quantization.search.sentence)
    for each in manifest.delegations:
        click.echo(each.sentence)
    _next("check", folder)
    return None


def verdict(found: Verdict, as_json: bool) -> None:
    """The ladder step by step, then the named faults."""
    if as_json:
        return json(found.model_dump(mode="json"))
    table = _table("step", "status", "rows", "measured", "reason", title=found.artifact)
    above = ""
    for rung in found.rungs:
        measures = "\n".join(_measures(rung.measures))
        reason = "as above" if rung.reason and rung.reason == above else rung.reason
        table.add_row(rung.title, _status(rung.status), str(rung.rows or ""), measures, reason)
        above = rung.reason
    _print(table)
    for fault in (fault for rung in found.rungs for fault in rung.findings):
        _print(Text.assemble((f"{fault.name}: ", "bold red"), fault.message))
    _overrides([found])
    return _print(Text.assemble("verdict: ", _status(found.status)))


def plan(made: ShapePlan, as_json: bool) -> None:
    """Shapes with their bytes and times; what to type for the best one, or what the nearest one costs."""
    if as_json:
        return json(made.model_dump(mode="json"))
    names = ("parameters", "in blocks", *(schemes := _columns(made)), "p90 ms")
    where = f"{made.phone.model} (phone)" if made.phone else made.environment.cpu
    title = f"{made.recipe} students of {made.teacher.path} on {where}"
    table = _table("shape", *names, "", title=title, numeric=names)
    for row in made.rows:
        guess = f"~{row.scaled.p90_ms:.1f}" if row.scaled else ""
        time = f"{row.latency.p90_ms:.2f}" if row.latency else guess
        sizes = (_shape_size(row, scheme, made.scheme) for scheme in schemes)
        mark = Text.assemble(_status(row.status), " <- best" if row.name == made.best else "")
        table.add_row(row.name, f"{row.parameters:,}", f"{row.block_parameters:,}", *sizes, time, mark)
    _print(table)
    for note in made.notes:
        _print(Text(note, "dim"))
    if made.nearest is not None:
        near = made.row(made.nearest)
        time = f"p90 {near.latency.p90_ms:.2f} ms" if near.latency else "not timed"
        size = _shape_size(near, made.scheme, made.scheme)
        _print(Text(f"nothing timed meets the budget; nearest is {near.name}: {size}, {time}", "bold yellow"))
    for command in made.next_commands:
        click.echo(f"next: {command}")  # not wrapped: it is to be copied


def _columns(made: ShapePlan) -> tuple[str, ...]:
    """One scheme of those that weigh the same in every shape: the one that was asked about, if it is among them."""
    weights: dict[tuple[int, ...], str] = {}
    for scheme in made.rows[0].computed_bytes:
        key = tuple(row.computed_bytes[scheme] for row in made.rows)
        weights[key] = scheme if scheme == made.scheme else weights.get(key, scheme)
    return tuple(weights.values())


def _shape_size(row: ShapeRow, scheme: str, measured: str) -> str:
    size = row.measured_bytes if scheme == measured else None
    return f"~{_size(row.computed_bytes[scheme])}" if size is None else _size(size)


def package(folder: Path, as_json: bool) -> None:
    """What was bundled, and where its goldens were run."""
    from edgedistill import reports
    from edgedistill.apps import Proof

    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    checks = reports.read(Proof, folder / "PROOF.json").checks
    if as_json:
        return json(
            {"package": str(folder), "files": sizes, "checks": [check.model_dump(mode="json") for check in checks]}
        )
    table = _table("file", "size", title=str(folder))
    for name, size in sizes.items():
        table.add_row(name, _size(size))
    _print(table)
    ran = _table("goldens", "where", "result", "why")
    for check in checks:
        ran.add_row(check.name, check.where, _status(check.status), check.reason)
    return _print(ran)


def page(path: Path, as_json: bool) -> None:
    """Where the report is."""
    json({"page": str(path)}) if as_json else click.echo(str(path))


def checkup(found: Checkup, as_json: bool) -> None:
    """What the doctor saw, the bad last, where eyes rest."""
    if as_json:
        return json(found.model_dump(mode="json") | {"is_broken": found.is_broken})
    order = ("ok", "missing", "note", "warning", "broken")
    table = _table("looked at", "status", "found", title=found.subject)
    for sign in sorted(found.signs, key=lambda sign: order.index(sign.status)):
        table.add_row(sign.name, _status(sign.status), sign.detail)
    return _print(table)


def road(result: RoadResult, as_json: bool) -> None:
    """Every step, the verdicts, the page."""
    if as_json:
        return json(result.model_dump(mode="json") | {"exit_code": result.exit_code})
    inside = f"{result.out}/"
    table = _table("step", "status", "seconds", "result", title=result.out)
    for step in result.steps:
        seconds = f"{step.seconds:.0f}" if step.seconds is not None else ""
        table.add_row(step.name, _status(step.status), seconds, step.message or step.output.removeprefix(inside))
    _print(table)
    _times(result)
    _ladders(result.verdicts)
    if result.page:
        click.echo(f"report: {result.page}")
    return None


def _times(result: RoadResult) -> None:
    """The bench's table, from the report that lies with the artifacts."""
    from edgedistill import reports

    for step in result.steps:
        if step.name == "bench" and step.output:
            bench(reports.read(reports.BenchReport, Path(step.output)), as_json=False)


def _ladders(verdicts: Sequence[Verdict]) -> None:
    """Steps down, artifacts across; then why any of them did not pass."""
    names = [found.artifact for found in verdicts]
    shared = _shared(names)
    table = _table("step", *(name.removeprefix(shared) for name in names), title="verdicts")
    titles = dict.fromkeys(rung.title for found in verdicts for rung in found.rungs)
    for title in titles:
        ladders = [{rung.title: rung.status for rung in found.rungs} for found in verdicts]
        table.add_row(title, *(_status(ladder.get(title, "")) for ladder in ladders))
    table.add_row(Text("verdict", "bold"), *(_status(found.status) for found in verdicts))
    if verdicts:
        _print(table)
    for found in verdicts:
        for rung in found.rungs:
            if rung.status in {"failed", "inconclusive"}:
                _print(Text.assemble(f"{found.artifact}: ", (rung.title, "bold"), f": {rung.reason}"))
    _overrides(verdicts)


def _overrides(verdicts: Sequence[Verdict]) -> None:
    """Tolerances that somebody changed: never left unsaid beside a verdict."""
    changed = dict.fromkeys(f"{name}={value:g}" for found in verdicts for name, value in found.overrides.items())
    if changed:
        _print(Text(f"Tolerances changed by hand: {', '.join(changed)}", "bold yellow"))


def _next(*words: str | Path) -> None:
    _print(Text(f"next: {shlex.join(['edgedistill', *map(str, words)])}", "dim"))


def _measures(measures: Sequence[Measure]) -> list[str]:
    """One line each; of a family such as recall_change_points/LABEL the lowest, and those outside their limit."""
    families: dict[str, list[Measure]] = {}
    for measure in measures:
        families.setdefault(measure.name.partition("/")[0], []).append(measure)
    lines = []
    for name, members in families.items():
        shown = [measure for measure in members if not measure.is_within]
        if len(members) == 1:
            shown = members
        elif not shown:
            shown = [min(members, key=lambda member: math.inf if member.value is None else member.value)]
        lines += [_measure(measure) for measure in shown]
        lines += [f"{name}: {len(members) - len(shown)} more"] if len(shown) < len(members) else []
    return lines


def _measure(measure: Measure) -> str:
    value = "undefined" if measure.value is None else f"{measure.value:.4g}"
    interval = "" if measure.low is None or measure.high is None else f" [{measure.low:.4g}, {measure.high:.4g}]"
    limit = "" if measure.limit is None else f" {measure.relation} {measure.limit:g}"
    return f"{measure.name} {value}{interval}{limit}{'' if measure.is_within else '  <- outside'}"
