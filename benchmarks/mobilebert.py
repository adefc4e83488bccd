"""What each part of MobileBERT's recipe is worth, and what its shapes cost, on one task at a time.

    python benchmarks/mobilebert.py --task sst2 --data DIR --teacher FOLDER --out runs/mobilebert

Trains the variants and shapes of `mobilebert.yaml` beside this file (those after raw text need --words and --corpus:
their student first learns to guess words, once for all tasks), exports each first student as int8_dynamic to ONNX
Runtime and LiteRT, the shapes as fp32 too, judges the artifacts end to end on the judged rows, and times them beside
the teacher's fp32 exports, in turns, on one thread. Puts the task into `docs/results/mobilebert.json`, its tables into
`mobilebert.md` and its plot into `mobilebert-TASK.svg`. Nothing here is tuned on the judged rows: change the settings
by what the development rows say. Done work is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import mobilebert_artifacts as artifacts
import numpy as np

from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read

HERE = Path(__file__).parent
TOLD = (
    "Settings: benchmarks/mobilebert.yaml. First tables: scores of the students in PyTorch for each seed with their "
    "95 % interval over rows; the gain is over the first row, or over the shape that the row's name begins with, in "
    "points, with its paired interval. All see words replaced by others too (augment), but for labels alone, which "
    "cannot, and without augmentation. After raw text: the student first learnt features, attentions and hidden words "
    "of raw text, whose seconds are not counted. Seconds of training are the clock's, on a machine that did other "
    "work too. Second tables: the first seed's student as artifacts, judged end to end, from raw text to label. How "
    "many times fewer bytes and milliseconds (90th percentile, one thread, all in turns) is against the teacher's "
    "fp32 exports, the smaller and the faster of them, in brackets where the processor became slower meanwhile. "
    "Students of one shape share its time. On the front: no other artifact is at least as accurate, small and fast. "
    "Seeds are 0, 1 and so on."
)


@dataclass(frozen=True)
class Arm:
    """One student that is trained.

    Attributes:
        differs: its settings, where they are not the plan's `shared` ones.
        is_shape: whether it has another shape than the recipe's own.
        beside: name of the one it is compared with; none: the plan's first.
        is_begun: whether it learnt raw text before the task.
    """

    differs: dict[str, Any]
    is_shape: bool = False
    beside: str | None = None
    is_begun: bool = False


def main() -> None:
    """Train, export, judge, measure and write."""
    options = _options()
    plan = read_yaml(HERE / "mobilebert.yaml")
    out = options.out / compare.slug(compare.title(options.task, options.limit))
    length = compare.of_task(plan["lengths"], options.task)
    rows = [_trained(options, plan, name, arm, out, length) for name, arm in _arms(plan, options.only).items()]
    measured = _measured(options, rows, out, length)
    first = next((row for row in rows if row["name"] == plan["first"]), rows[0])
    for row in rows:
        other = next((one for one in rows if one["name"] == row["beside"]), first)
        row["gain"] = None if row is first else compare.gain(other["answers"], row["answers"])
    title = compare.title(options.task, options.limit, options.seeds)
    title += f", {options.named}" if options.named else ""
    results = {
        **compare.about(),
        "length": length,
        "judged_rows": rows[0]["answers"].rows,
        "commonest": compare.commonest(rows[0]["student"]),
        **measured,
        "first": first["name"],
        "plot": f"mobilebert-{compare.slug(title)}.svg",
        "rows": [{key: value for key, value in row.items() if key not in {"answers", "student"}} for row in rows],
    }
    artifacts.plot(
        compare.RESULTS / results["plot"], [one for one in results["artifacts"] if one["of_teacher"] is not None]
    )
    compare.Page("mobilebert", "MobileBERT's recipe, part by part", TOLD, _table).keep(title, results)


def _options() -> argparse.Namespace:
    parser = compare.parser(__doc__, "runs/mobilebert")
    parser.add_argument("--words", help="teacher that guesses words, for the variants after raw text")
    parser.add_argument("--corpus", type=Path, help="raw text, for the same")
    parser.add_argument("--only", action="append", help="only this variant or shape; may be repeated")
    parser.add_argument("--named", help="added to the table's title, so that it stands beside the task's other ones")
    parser.add_argument("--mode", default="rapid", choices=["submission", "quick", "rapid"])
    return parser.parse_args()


def _arms(plan: dict[str, Any], only: list[str] | None) -> dict[str, Arm]:
    """Everything that can be trained, or what is asked for, by name."""
    variants, shapes, later = plan["variants"], plan["shapes"], plan["after_raw_text"]["variants"]
    arms = {name: Arm(differs) for name, differs in variants.items()}
    arms |= {f"{name}, after raw text": Arm(variants[name], is_begun=True) for name in later}
    arms |= {name: Arm(differs, is_shape=True) for name, differs in shapes.items()}
    arms |= {f"{shape}, {name}": Arm(variants[name] | shapes[shape], beside=shape) for shape, name in plan["crossed"]}
    return {name: arm for name, arm in arms.items() if not only or name in only}


def _begun(options: Any, settings: dict[str, Any]) -> Path:
    """A student of the recipe's own shape that has learnt raw text."""
    if options.words is None or options.corpus is None:
        raise SystemExit("variants after raw text need --words and --corpus; --only leaves them out")
    return compare.trained("mobilebert", options.out / "begun", settings, teacher=options.words, corpus=options.corpus)


def _trained(options: Any, plan: dict[str, Any], name: str, arm: Arm, out: Path, length: int) -> dict[str, Any]:
    times = compare.of_task(plan["epochs"], options.task)
    settings = compare.longer({**plan["shared"], **arm.differs}, times) | {"max_length": length}
    begun = _begun(options, plan["after_raw_text"]["begun"]) if arm.is_begun else None
    students = [
        compare.trained(
            "mobilebert", out / f"{compare.slug(name)}-{seed}", {**settings, "seed": seed}, task=options.task,
            data=options.data, teacher=options.teacher, student=begun, limit=options.limit,
        )
        for seed in range(options.seeds)
    ]  # fmt: skip
    cards = [read(StudentCard, student / STUDENT_CARD) for student in students]
    answers = compare.answers(students)
    return {
        "name": name,
        "is_shape": arm.is_shape,
        "beside": arm.beside,
        "student": students[0],
        "scores": [card.scores["student"] for card in cards],
        "agreement": [card.scores["agreement"] for card in cards],
        "parameters": cards[0].student.parameters,
        "seconds": [sum(card.seconds.values()) for card in cards],
        "metric": cards[0].task.metric,
        "teacher_score": cards[0].scores["teacher"],
        "interval": compare.interval(answers),
        "share": compare.share(answers, compare.answers_of_teacher(students[0])),
        "answers": answers,
    }


def _measured(options: Any, rows: list[dict[str, Any]], out: Path, length: int) -> dict[str, Any]:
    """The teacher's exports, and every student's: judged each for itself, timed once for each shape."""
    whole = artifacts.of_teacher(options.teacher, out, length)
    made, shapes = {}, {}
    for row in rows:
        shape = (row["student"] / "config.json").read_text(encoding="utf-8")
        is_new = shape not in shapes.values()
        with_fp32 = is_new or row["is_shape"]
        for form, folder in artifacts.exported(row, with_fp32=with_fp32, out=out, length=length).items():
            made[row["name"], form] = folder
        shapes[row["name"]] = shape
    alike = {name: next(one for one in shapes if shapes[one] == shape) for name, shape in shapes.items()}
    folders = {f"teacher {target}": folder for target, folder in whole.items()}
    folders |= {f"{name}: {form}": folder for (name, form), folder in made.items() if alike[name] == name}
    times = artifacts.timed(folders, length, options.mode, out)
    found = [
        {"name": name, "made": form, **artifacts.judged(folder), **times[f"{alike[name]}: {form}"]}
        for (name, form), folder in made.items()
    ]
    for one, is_best in zip(found, artifacts.front(found), strict=True):
        one["on_front"] = is_best
    teacher = {
        target: {"bytes": artifacts.size(folder), **times[f"teacher {target}"]} for target, folder in whole.items()
    }
    return {"teacher": teacher, "artifacts": found}


def _table(found: dict[str, Any]) -> list[str]:
    score, whole = found["rows"][0]["teacher_score"], found["teacher"]
    sizes = [f"{one['bytes']:,} bytes and a p90 of {one['p90_ms']:.1f} ms in {target}" for target, one in whole.items()]
    lines = [
        f"Measured {found['created']} by `{found['command']}` on {found['judged_rows']} judged rows, length "
        f"{found['length']}. {compare.beside(found['rows'][0]['metric'], score, found['commonest'])}. "
        f"The teacher has {', '.join(sizes)}.",
        "",
        *([found["note"], ""] if "note" in found else []),
        "| variant or shape | each seed | 95 % | of the teacher | agreement | gain | parameters | training |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(row, score))} |" for row in found["rows"]),
        "",
        "| artifact of | runtime and scheme | of the teacher | fewer bytes | p90 | faster | verdict | on the front |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_end_to_end(one, list(whole.values())))} |" for one in found["artifacts"]),
    ]
    return [*lines, "", f"![share of the teacher over milliseconds]({found['plot']})"]


def _cells(row: dict[str, Any], teacher: float) -> list[str]:
    (low, high), score = row["interval"], float(np.mean(row["scores"]))
    return [
        row["name"], ", ".join(f"{score:.4f}" for score in row["scores"]), f"{low:.3f} to {high:.3f}",
        compare.told_share(score / teacher, row["share"]), f"{float(np.mean(row['agreement'])):.3f}",
        compare.told(row["gain"]), f"{row['parameters']:,}", f"{np.mean(row['seconds']):.0f} s",
    ]  # fmt: skip


def _end_to_end(one: dict[str, Any], teachers: list[dict[str, Any]]) -> list[str]:
    whole = min(teachers, key=lambda teacher: teacher["p90_ms"])
    faster = f"{whole['p90_ms'] / one['p90_ms']:.1f}x"
    return [
        one["name"],
        one["made"],
        "" if one["of_teacher"] is None else compare.told_share(one["of_teacher"], one["of_teacher_interval"]),
        f"{min(teacher['bytes'] for teacher in teachers) / one['bytes']:.1f}x",
        f"{one['p90_ms']:.2f} ms",
        f"({faster})" if whole["is_throttled"] or one["is_throttled"] else faster,
        one["verdict"],
        "yes" if one["on_front"] else "",
    ]


if __name__ == "__main__":
    main()
