"""What was tried to keep more of the teacher in a small MobileBERT: every trial, by the development rows alone.

    python benchmarks/mobilebert_trials.py --task trec --data DIR --teacher FOLDER --corpus FILE

Trains each of the `trials` of `mobilebert.yaml` beside this file at the shape named there, one setting changed at a
time (`corpus` stands for what --corpus names), and puts the task into `docs/results/mobilebert_trials.json` and its
table into `mobilebert_trials.md`. The development rows are held out from the task's training rows; what the judged rows
say is not looked at here. Done work is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import compare
import numpy as np

from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read
from edgedistill.training.journal import SCORES

HERE = Path(__file__).parent
TOLD = (
    "Each row changes one thing about the first, at the shape that is meant to be small and fast (settings: "
    "benchmarks/mobilebert.yaml); raw text has more words than the task's, so that there fewer are cut from the "
    "vocabulary. The score is the best epoch's on the development rows, which are held out from the training rows; the "
    "judged rows took no part. Small differences of one seed say nothing."
)


def main() -> None:
    """Train every trial and write the table."""
    parser = compare.parser(__doc__, "runs/mobilebert_trials")
    parser.add_argument("--corpus", type=Path, required=True, help="raw text, for the trial that learns from it")
    options = parser.parse_args()
    plan = read_yaml(HERE / "mobilebert.yaml")
    shape, trials = plan["trials"]["shape"], plan["trials"]["differs"]
    length = compare.of_task(plan["lengths"], options.task)
    settings = {**plan["shared"], **plan["shapes"][shape], "max_length": length}
    times = compare.of_task(plan["epochs"], options.task)
    title = compare.title(options.task, options.limit, options.seeds)
    out = options.out / compare.slug(compare.title(options.task, options.limit))
    rows = [_tried(options, out, name, compare.longer(settings | differs, times)) for name, differs in trials.items()]
    page = compare.Page("mobilebert_trials", "What was tried for MobileBERT", TOLD, _table)
    page.keep(title, {**compare.about(), "shape": shape, "settings": settings, "trials": trials, "rows": rows})


def _tried(options: argparse.Namespace, out: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    corpus = options.corpus if settings.pop("corpus", False) else None
    students = [
        compare.trained(
            "mobilebert", out / f"{compare.slug(name)}-{seed}", {**settings, "seed": seed}, task=options.task,
            data=options.data, teacher=options.teacher, corpus=corpus, limit=options.limit,
        )
        for seed in range(options.seeds)
    ]  # fmt: skip
    cards = [read(StudentCard, student / STUDENT_CARD) for student in students]
    return {
        "name": name,
        "dev": [max(_epochs(student.parent)) for student in students],
        "parameters": cards[0].student.parameters,
        "seconds": [sum(card.seconds.values()) for card in cards],
    }


def _epochs(run: Path) -> list[float]:
    """The development score after each epoch of the last stage."""
    last = sorted((run / "stages").glob(f"*/{SCORES}"))[-1]
    return [json.loads(line)["score"] for line in last.read_text(encoding="utf-8").splitlines()]


def _table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Measured {found['created']} by `{found['command']}`, shape: {found['shape']}.",
        "",
        "| trial | differs | development rows, each seed | parameters | training |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        differs = json.dumps(found["trials"][row["name"]]).replace('"', "")
        scores = ", ".join(f"{score:.4f}" for score in row["dev"])
        taken = float(np.mean(row["seconds"]))
        lines.append(f"| {row['name']} | `{differs}` | {scores} | {row['parameters']:,} | {taken:.0f} s |")
    return lines


if __name__ == "__main__":
    main()
