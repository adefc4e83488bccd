"""What was tried to keep more of the teacher in a small MobileBERT: every trial, by the development rows alone.

    python benchmarks/mobilebert_trials.py --task trec --data DIR --teacher FOLDER --out runs/mobilebert_trials

Trains each of the `trials` of `mobilebert.yaml` beside this file at the shape named there, one setting changed at a
time, and puts the task into `docs/results/mobilebert_trials.json` and its table into `mobilebert_trials.md`. The
development rows are held out from the task's training rows; what the judged rows say is not looked at here. Done work
is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import compare

from edgedistill import files
from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read
from edgedistill.training.journal import SCORES

HERE = Path(__file__).parent


def main() -> None:
    """Train every trial and write the table."""
    options = _options()
    plan = read_yaml(HERE / "mobilebert.yaml")
    shape, trials = plan["trials"]["shape"], plan["trials"]["differs"]
    length = compare.of_task(plan["lengths"], options.task)
    settings = {**plan["shared"], **plan["shapes"][shape], "max_length": length}
    times = compare.of_task(plan["epochs"], options.task)
    title = compare.title(options.task, options.limit)
    out = options.out / compare.slug(title)
    rows = [_tried(options, out, name, compare.longer(settings | differs, times)) for name, differs in trials.items()]
    _keep(title, {**compare.about(), "shape": shape, "settings": settings, "trials": trials, "rows": rows})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, help="of single texts or pairs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/mobilebert_trials"))
    parser.add_argument("--limit", type=int)
    return parser.parse_args()


def _tried(options: argparse.Namespace, out: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    folder = out / compare.slug(name)
    student = compare.trained("mobilebert", folder, settings, task=options.task, data=options.data,
                              teacher=options.teacher, limit=options.limit)  # fmt: skip
    card = read(StudentCard, student / STUDENT_CARD)
    last = sorted((folder / "stages").glob(f"*/{SCORES}"))[-1]
    scores = [json.loads(line)["score"] for line in last.read_text(encoding="utf-8").splitlines()]
    return {
        "name": name,
        "dev": max(scores),
        "epochs": scores,
        "parameters": card.student.parameters,
        "seconds": sum(card.seconds.values()),
    }


def _keep(title: str, found: dict[str, Any]) -> None:
    lines = [
        "# What was tried for MobileBERT",
        "",
        "Each row changes one thing about the first, at the shape that is meant to be small and fast (settings: "
        "benchmarks/mobilebert.yaml). The score is the best epoch's on the development rows, which are held out from "
        "the training rows; the judged rows took no part. A trial is one seed: small differences say nothing.",
    ]
    for name, task in compare.kept("mobilebert_trials", title, found).items():
        lines += ["", f"## {name}", "", *_table(task), "", compare.footnote(task["environment"])]
    files.write_text(compare.RESULTS / "mobilebert_trials.md", "\n".join([*lines, ""]))


def _table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Measured {found['created']} by `{found['command']}`, shape: {found['shape']}.",
        "",
        "| trial | differs | development rows | parameters | training |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        differs = json.dumps(found["trials"][row["name"]]).replace('"', "")
        lines.append(
            f"| {row['name']} | `{differs}` | {row['dev']:.4f} | {row['parameters']:,} | {row['seconds']:.0f} s |"
        )
    return lines


if __name__ == "__main__":
    main()
