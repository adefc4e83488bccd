"""Every recipe beside its own student without the teacher, and with the teacher's answers alone.

    python benchmarks/recipes.py --task trec --data DIR --teacher FOLDER --out runs/recipes

Trains what `recipes.yaml` beside this file says, for each seed, and writes `docs/results/recipes-TASK.md` and `.json`.
The differences are paired: both students are scored on the same resampled rows. What is done already is kept.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

import edgedistill
from edgedistill import files, parity
from edgedistill.artifacts import REFERENCE, environment, now
from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read

HERE = Path(__file__).parent
RESULTS = HERE.parent / "docs" / "results"
VARIANTS = {"labels": "labels alone", "answers": "the teacher's answers alone", "recipe": "the recipe"}


def main() -> None:
    """Train and write the table."""
    options = _options()
    plan = read_yaml(HERE / "recipes.yaml")
    rows = [
        _measured(recipe, variant, _trained(options, recipe, variant, settings, options.seeds))
        for recipe, settings in plan.items()
        if not options.recipe or recipe in options.recipe
        for variant in VARIANTS
        if variant in settings
    ]
    _write(options.task, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True, help="of single texts or pairs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--recipe", action="append", help="only this one; may be repeated")
    return parser.parse_args()


def _trained(options: Any, recipe: str, variant: str, settings: dict[str, Any], seeds: int) -> list[Path]:
    folders = []
    for seed in range(seeds):
        out = options.out / options.task / f"{recipe}-{variant}-{seed}"
        folders.append(out / "student")
        if (out / "student" / STUDENT_CARD).is_file():
            continue
        given = {"start": options.teacher} if recipe == "fastbert" else {}
        edgedistill.distill(
            recipe, task=options.task, data=options.data, out=out, limit=options.limit, resume=out.is_dir(),
            teacher=None if given else options.teacher, student=given.get("start"),
            config={**settings.get("shared", {}), **settings[variant], "seed": seed},
        )  # fmt: skip
    return folders


def _measured(recipe: str, variant: str, students: list[Path]) -> dict[str, Any]:
    cards = [read(StudentCard, folder / STUDENT_CARD) for folder in students]
    return {
        "recipe": recipe,
        "variant": variant,
        "metric": cards[0].task.metric,
        "scores": [card.scores["student"] for card in cards],
        "teacher": cards[0].scores.get("teacher"),
        "parameters": cards[0].student.parameters,
        "seconds": [sum(card.seconds.values()) for card in cards],
        "right": [_right(folder) for folder in students],
    }


def _right(student: Path) -> list[bool]:
    lines = (student / REFERENCE).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [int(np.argmax(row["student"])) == row["label"] for row in rows]


def _write(task: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        first = next(other for other in rows if other["recipe"] == row["recipe"])
        row["gain"] = None if first is row else _gain(first["right"], row["right"])
    teacher = next((row["teacher"] for row in rows if row["teacher"] is not None), None)
    command = "python " + shlex.join(Path(a).name if a.startswith(("/", "..")) else a for a in sys.argv)
    results = {
        "created": now(), "command": command, "environment": environment().model_dump(mode="json"), "task": task,
        "teacher": teacher, "judged_rows": len(rows[0]["right"][0]),
        "rows": [{key: value for key, value in row.items() if key != "right"} for row in rows],
    }  # fmt: skip
    files.write_json(RESULTS / f"recipes-{task}.json", results)
    files.write_text(RESULTS / f"recipes-{task}.md", _markdown(results))


def _gain(first: list[list[bool]], second: list[list[bool]]) -> dict[str, float]:
    """Points that the second gains, with the paired 95 % interval, over all seeds together."""
    one, two = (np.mean(np.array(seeds, dtype=np.float64), axis=0) for seeds in (first, second))
    found = parity.paired_bootstrap(lambda w: w @ two / w.sum(1), lambda w: w @ one / w.sum(1), len(one))
    return {"points": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high}


def _markdown(results: dict[str, Any]) -> str:
    teacher = results["teacher"]
    lines = [
        f"# Recipes on {results['task']}",
        "",
        f"Measured {results['created']} by `{results['command']}` on {results['judged_rows']} judged rows; teacher "
        f"{teacher:.4f}. Settings: benchmarks/recipes.yaml. The gain is over the first row of the same recipe, in "
        "points, with its paired 95 % interval over rows. Trained for minutes, not for the papers' days.",
        "",
        "| recipe | learns from | each seed | of the teacher | gain | parameters | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        gain = row["gain"]
        told = "" if gain is None else f"{gain['points']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]"
        scores, seconds = row["scores"], row["seconds"]
        lines.append(
            f"| {row['recipe']} | {VARIANTS[row['variant']]} | {', '.join(f'{score:.4f}' for score in scores)} "
            f"| {100 * sum(scores) / len(scores) / teacher:.1f} % | {told} | {row['parameters']:,} "
            f"| {sum(seconds) / len(seconds):.0f} |"
        )
    return "\n".join([*lines, "", f"Environment: `{json.dumps(results['environment'])}`", ""])


if __name__ == "__main__":
    main()
