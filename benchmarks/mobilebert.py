"""What each part of MobileBERT's recipe is worth, and what its shapes cost, on one task at a time.

    python benchmarks/mobilebert.py --task sst2 --data DIR --teacher FOLDER --out runs/mobilebert

Trains the variants and shapes of `mobilebert.yaml` beside this file (those after raw text need --words and --corpus:
their student first learns to guess words, once for all tasks), exports each first student as int8_dynamic to
ONNX Runtime and LiteRT, judges the artifacts end to end on the judged rows, and times them beside the teacher's fp32
export, in turns, on one thread. Puts the task into `docs/results/mobilebert.json` and its tables into `mobilebert.md`.
Nothing here is tuned on the judged rows: change the settings by what the development rows say. Done work is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import numpy as np

import edgedistill
from edgedistill.artifacts import read_manifest
from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read

HERE = Path(__file__).parent
TARGETS = ("onnx", "tflite")
SCHEME = "int8_dynamic"
ACCURACY, OF_TEACHER = "student_to_artifact_metric/artifact_", "teacher_to_artifact/ratio"
TOLD = (
    "Settings: benchmarks/mobilebert.yaml. Scores of the student in PyTorch for each seed with their 95 % interval "
    "over rows; the gain is over the first row, or over the shape that the row's name begins with, in points, with its "
    "paired interval. The artifacts are "
    f"{SCHEME} and judged end to end, from raw text to label; how many times fewer bytes and milliseconds (90th "
    "percentile, one thread, all in turns) is against the teacher's fp32 ONNX export, in brackets where the processor "
    "became slower meanwhile. Variants have the same graph: where their times differ, that is the measurement's. The "
    "recipe and the shapes also see words replaced by others (augment), which labels alone cannot. After raw text: the "
    "student first learnt features, attentions and hidden words of raw text, whose seconds are not counted. Seconds of "
    "training are the clock's, on a machine that did other work too. Seeds are 0, 1 and so on."
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
    teacher = compare.exported(options.teacher, out / "artifacts" / "teacher", "onnx", "fp32", length)
    artifacts = {f"{row['name']} {target}": _artifact(row, target, out, length) for row in rows for target in TARGETS}
    measured = _measured({"teacher": teacher, **artifacts}, length, options.mode, out)
    first = next((row for row in rows if row["name"] == plan["first"]), rows[0])
    for row in rows:
        other = next((one for one in rows if one["name"] == row["beside"]), first)
        row["gain"] = None if row is first else compare.gain(other["answers"], row["answers"])
        row["artifacts"] = {target: measured[f"{row['name']} {target}"] for target in TARGETS}
    page = compare.Page("mobilebert", "MobileBERT's recipe, part by part", TOLD, _table)
    page.keep(compare.title(options.task, options.limit, options.seeds), {
        **compare.about(),
        "length": length, "judged_rows": rows[0]["answers"].rows, "commonest": compare.commonest(rows[0]["student"]),
        "teacher": measured["teacher"],
        "first": first["name"], "rows": [_written(row) for row in rows],
    })  # fmt: skip


def _written(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in {"answers", "student"}}


def _options() -> argparse.Namespace:
    parser = compare.parser(__doc__, "runs/mobilebert")
    parser.add_argument("--words", help="teacher that guesses words, for the variants after raw text")
    parser.add_argument("--corpus", type=Path, help="raw text, for the same")
    parser.add_argument("--only", action="append", help="only this variant or shape; may be repeated")
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
        "teacher_score": cards[0].scores["teacher"],
        "interval": compare.interval(answers),
        "share": compare.share(answers, compare.answers_of_teacher(students[0])),
        "answers": answers,
    }


def _artifact(row: dict[str, Any], target: str, out: Path, length: int) -> Path:
    return compare.exported(
        row["student"], out / "artifacts" / f"{compare.slug(row['name'])}-{target}", target, SCHEME, length
    )


def _measured(artifacts: dict[str, Path], length: int, mode: str, out: Path) -> dict[str, dict[str, Any]]:
    """Bytes, times and what the gate found, end to end, for every artifact."""
    verdicts = {name: edgedistill.check(folder) for name, folder in artifacts.items()}
    bench = edgedistill.bench(
        list(artifacts.values()), mode=mode, threads=(1,), lengths=(length,), reference=False, out=out / "bench.json"
    )
    times = {row.artifact: row for row in bench.rows}
    found = {}
    for name, folder in artifacts.items():
        measures = {f"{r.name}/{m.name}": m for r in verdicts[name].rungs for m in r.measures}
        accuracy = next((m.value for measure, m in measures.items() if measure.startswith(ACCURACY)), None)
        ratio = measures.get(OF_TEACHER)
        found[name] = {
            "bytes": read_manifest(folder).model_size_bytes,
            "p50_ms": times[folder.name].latency.p50_ms,
            "p90_ms": times[folder.name].latency.p90_ms,
            "is_throttled": times[folder.name].is_throttled,
            "verdict": verdicts[name].status,
            "score": accuracy,
            "of_teacher": ratio and ratio.value,
            "of_teacher_interval": ratio and (ratio.low, ratio.high),
        }
    return found


def _table(found: dict[str, Any]) -> list[str]:
    teacher, whole = found["rows"][0]["teacher_score"], found["teacher"]
    lines = [
        f"Measured {found['created']} by `{found['command']}` on {found['judged_rows']} judged rows, length "
        f"{found['length']}. {compare.beside(teacher, found['commonest'])}. "
        f"The teacher has {whole['bytes']:,} bytes and a p90 of {whole['p90_ms']:.1f} ms.",
        "",
        "| variant or shape | each seed | 95 % | of the teacher | agreement | gain | parameters | training "
        + "".join(f"| {target}: of the teacher | fewer bytes | faster | verdict " for target in TARGETS)
        + "|",
        "|---" * (8 + 4 * len(TARGETS)) + "|",
    ]
    return [*lines, *(f"| {' | '.join(_cells(row, teacher, whole))} |" for row in found["rows"])]


def _cells(row: dict[str, Any], teacher: float, whole: dict[str, Any]) -> list[str]:
    (low, high), score = row["interval"], float(np.mean(row["scores"]))
    cells = [
        row["name"], ", ".join(f"{score:.4f}" for score in row["scores"]), f"{low:.3f} to {high:.3f}",
        compare.told_share(score / teacher, row["share"]), f"{float(np.mean(row['agreement'])):.3f}",
        compare.told(row["gain"]), f"{row['parameters']:,}", f"{np.mean(row['seconds']):.0f} s",
    ]  # fmt: skip
    for target in TARGETS:
        artifact = row["artifacts"][target]
        share, faster = artifact["of_teacher"], f"{whole['p90_ms'] / artifact['p90_ms']:.1f}x"
        is_doubtful = whole["is_throttled"] or artifact["is_throttled"]
        cells += [
            "" if share is None else compare.told_share(share, artifact["of_teacher_interval"]),
            f"{whole['bytes'] / artifact['bytes']:.1f}x",
            f"({faster})" if is_doubtful else faster,
            artifact["verdict"],
        ]
    return cells


if __name__ == "__main__":
    main()
