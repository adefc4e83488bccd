"""Shared by the benchmarks that compare students: training what is not there yet, paired differences, commands."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

import edgedistill
from edgedistill import files, parity, plugins
from edgedistill.artifacts import MANIFEST, REFERENCE, ReferenceRow, environment, now, reference_of
from edgedistill.config import build
from edgedistill.data.tasks import Metric, Task, find_task
from edgedistill.evaluate import answer_texts, decide, rankings
from edgedistill.gate.resampled import WeightedScore, weighted_score
from edgedistill.pages.scores import METRIC_NAMES
from edgedistill.pipeline.run_folder import RUN
from edgedistill.reports import STUDENT_CARD, StudentCard, read

RESULTS = Path(__file__).parent.parent / "docs" / "results"


def parser(told: str | None, out: str) -> argparse.ArgumentParser:
    """What the benchmarks ask that train on one task. Each adds its own options.

    Args:
        told: the script's docstring.
        out: folder that is proposed for what is trained.
    """
    asked = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--task", required=True, help="a task's name, or its file")
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--teacher", required=True)
    asked.add_argument("--out", type=Path, default=Path(out))
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--limit", type=int, help="most rows of each split")
    return asked


def add_untimed(asked: argparse.ArgumentParser) -> None:
    """Let times be left out: a processor that others wait for says nothing about a model."""
    asked.add_argument("--untimed", action="store_true", help="measure no times, on a machine that is busy")


def trained(recipe: str, out: Path, settings: dict[str, Any], **given: Any) -> Path:
    """The student's folder; trained with `edgedistill.distill` where it is not there, gone on with where it stopped."""
    student = out / "student"
    if (student / STUDENT_CARD).is_file():
        _refuse_other_settings(recipe, out, settings)
    else:
        edgedistill.distill(recipe, out=out, resume=out.is_dir(), config=settings, **given)
    return student


def _refuse_other_settings(recipe: str, out: Path, settings: dict[str, Any]) -> None:
    """A page says what its plan has now: a student of a former plan has no place on it."""
    config = plugins.load("recipes", recipe).Config
    stored = json.loads((out / RUN).read_text(encoding="utf-8"))["config"]
    # Both with today's defaults: a setting that came later changes nothing about a student that went without it.
    asked, had = (build(config, values, recipe).model_dump(mode="json") for values in (settings, stored))
    if other := [key for key in settings if asked[key] != had.get(key)]:
        raise SystemExit(
            f"'{out}' was trained with other settings: {', '.join(other)}. Remove it, or give another --out."
        )


def exported(source: str | Path, out: Path, target: str, scheme: str, length: int, **given: Any) -> Path:
    """The artifact's folder; exported where it is not there."""
    if not (out / MANIFEST).is_file():
        lengths = [f"max_length={length}"]
        edgedistill.export(source, target=target, scheme=scheme, out=out, settings=lengths, **given)
    return out


@dataclass(frozen=True)
class Answers:
    """What students answered to the judged rows of a task.

    Attributes:
        rows: N judged rows.
        score: (R, N) weights of rows -> (R,) the task's headline metric, mean over the students.
    """

    rows: int
    score: WeightedScore


def answers(students: Sequence[Path], task: str | None = None) -> Answers:
    """Of students with different seeds.

    Args:
        students: their folders.
        task: which one, of several that they learnt; their main one when not given.
    """
    return together([_answers(student, task) for student in students])


def answers_of_teacher(student: Path, task: str | None = None) -> Answers:
    """What a student's teacher answered to the rows that the student was judged on.

    Args:
        student: its folder.
        task: which one, of several that it learnt; its main one when not given.
    """
    return _answers(student, task, is_teacher=True)


def together(found: Sequence[Answers]) -> Answers:
    """The mean of several."""
    return Answers(found[0].rows, lambda w: np.mean([one.score(w) for one in found], axis=0))


def answers_to(student: Path, logits: Sequence[Any], name: str | None = None) -> Answers:
    """Answers to the rows that a student was judged on.

    Args:
        student: its folder.
        logits: of each row, in order.
        name: of the task, of several that it learnt; its main one when not given.
    """
    task = find_task(name) if name else _task_of(student)
    rows = _rows(student / (REFERENCE if name is None else reference_of(name)))
    right: list[Any] = [row.label for row in rows]
    given: list[Any] = decide(task.kind, logits)
    if task.kind == "span":
        tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
        contexts = [row.text_pair or "" for row in rows]
        length = read(StudentCard, student / STUDENT_CARD).task.max_length
        given = answer_texts(tokenizer, [row.text for row in rows], contexts, logits, length)
    elif task.kind == "ranking":
        given, right = rankings(given, right)
    return Answers(len(given), weighted_score(task.metric, given, right))


def commonest(student: Path) -> float | None:
    """What always giving the judged rows' most frequent label scores; none for tasks without classes."""
    task = _task_of(student)
    if not task.has_classes or task.kind == "tokens":
        return None
    right: list[Any] = [row.label for row in _rows(student / REFERENCE)]
    label = max(set(right), key=right.count)
    return float(weighted_score(task.metric, [label] * len(right), right)(np.ones((1, len(right))))[0])


def _task_of(student: Path) -> Task:
    return find_task(str(read(StudentCard, student / STUDENT_CARD).task.name))


def _rows(stored: Path) -> list[ReferenceRow]:
    return [ReferenceRow.model_validate_json(line) for line in stored.read_text(encoding="utf-8").splitlines()]


def _answers(student: Path, name: str | None, *, is_teacher: bool = False) -> Answers:
    rows = _rows(student / (REFERENCE if name is None else reference_of(name)))
    return answers_to(student, [np.array(row.teacher if is_teacher else row.student) for row in rows], name)


def interval(found: Answers) -> tuple[float, float]:
    """95 % of the score over resampled rows."""
    spread = parity.paired_bootstrap(found.score, lambda w: np.zeros(len(w)), found.rows)
    return spread.low, spread.high


def gain(first: Answers, second: Answers) -> dict[str, float]:
    """Points that the second gains, with the 95 % interval over rows, both scored on the same ones."""
    found = parity.paired_bootstrap(second.score, first.score, first.rows)
    return {"points": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}


def share(found: Answers, teacher: Answers) -> tuple[float, float]:
    """95 % of the score's ratio to the teacher's, both on the same resampled rows."""
    spread = parity.paired_bootstrap(
        lambda w: found.score(w) / teacher.score(w), lambda w: np.zeros(len(w)), found.rows
    )
    return spread.low, spread.high


def told_share(ratio: float, spread: Sequence[float] | None) -> str:
    """A score's ratio to the teacher's with what `share` found, as a table's cell."""
    within = "" if spread is None else f" ({100 * spread[0]:.1f} to {100 * spread[1]:.1f})"
    return f"{100 * ratio:.1f} %{within}"


def told(points: dict[str, float] | None) -> str:
    """`gain` as a table's cell."""
    return "" if points is None else f"{points['points']:+.2f} [{points['low']:+.2f}, {points['high']:+.2f}]"


def beside(metric: Metric, teacher: float, always: float | None) -> str:
    """What a table's scores are, and are to be seen beside."""
    return f"Score: {METRIC_NAMES[metric]}. Teacher: {teacher:.4f}" + (
        "" if always is None else f"; always the commonest label: {always:.4f}"
    )


def title(task: str, limit: int | None, seeds: int = 1) -> str:
    """What a table of results is called: the task, of how many rows where not of all, and of how many seeds."""
    rows = f", {limit:,} rows" if limit else ""
    return task + rows + (f", {seeds} seeds" if seeds > 1 else "")


def slug(words: str) -> str:
    """Words as part of a file's name."""
    return words.replace(",", "").replace(" ", "-")


def of_task(table: Mapping[str, Any], task: str) -> Any:
    """A task's entry of a table in a plan, or that of all others."""
    return table.get(task, table["others"])


def longer(settings: dict[str, Any], times: float) -> dict[str, Any]:
    """Settings whose every stage that counts epochs has so many times of them."""
    lengthened = dict(settings)
    for key, stage in settings.items():
        if key.endswith("optim") and stage and "epochs" in stage:
            lengthened[key] = {**stage, "epochs": stage["epochs"] * times}
    return lengthened


@dataclass(frozen=True)
class Page:
    """A page of docs/results, with a section for each task.

    Attributes:
        name: of its files, NAME.json and NAME.md.
        heading: of the page.
        told: what its tables show.
        table: lines of a section: what was measured, and how it came out.
    """

    name: str
    heading: str
    told: str
    table: Callable[[dict[str, Any]], list[str]]

    def keep(self, task: str, found: dict[str, Any]) -> None:
        """Put a task's results beside those of the others, and write all of them."""
        path = RESULTS / f"{self.name}.json"
        tasks: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        tasks[task] = found
        files.write_json(path, tasks)
        lines = [f"# {self.heading}", "", self.told]
        for one, results in tasks.items():
            lines += ["", f"## {one}", "", *self.table(results), "", footnote(results["environment"])]
        files.write_text(RESULTS / f"{self.name}.md", "\n".join([*lines, ""]))


def command() -> str:
    """How this script was called; where data and weights lie on this machine says nothing to others."""
    return "python " + shlex.join(Path(word).name if word.startswith(("/", "..")) else word for word in sys.argv)


def about() -> dict[str, Any]:
    """When and how results were measured, and with which versions: what each file of them starts with."""
    return {"created": now(), "command": command(), "environment": environment().model_dump(mode="json")}


def footnote(told: dict[str, Any]) -> str:
    """What was measured with, as a page's last line."""
    return f"Environment: `{json.dumps(told)}`"
