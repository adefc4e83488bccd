"""mtdnn_kd beside one model for each task, and beside the same model of all tasks without an ensemble.

    python benchmarks/several_tasks.py --data DIR --start CHECKPOINT --out runs/several_tasks

DIR holds a folder for each task. All students start from the same checkpoint and see every row as often. Puts the tasks
into `docs/results/several_tasks.json` and `several_tasks.md`; differences are paired, on the same resampled rows.

Reference: Liu et al., 2019 (arXiv:1904.09482), table 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import compare
import numpy as np
from compare import Answers

from edgedistill.reports import STUDENT_CARD, StudentCard, read

TOLD = (
    "Each task's headline metric with its 95 % interval over what is judged (rows, or the questions of a ranking), and "
    "the gain over a model of its own in points with its paired interval."
)
ALONE = "each task alone"
TOGETHER: dict[str, dict[str, Any]] = {"all tasks, labels alone": {"members": 0}, "mtdnn_kd": {"members": 2}}


def main() -> None:
    """Train, compare and write the table."""
    options = _options()
    alone = {task: _trained(options, "finetune", f"{task}-alone", {}, [task]) for task in options.tasks}
    found = {ALONE: {task: compare.answers(students) for task, students in alone.items()}}
    parameters = {ALONE: sum(_parameters(students) for students in alone.values())}
    for name, settings in TOGETHER.items():
        students = _trained(options, "mtdnn_kd", compare.slug(name), settings, options.tasks)
        others = options.tasks[1:]
        found[name] = {task: compare.answers(students, task if task in others else None) for task in options.tasks}
        parameters[name] = _parameters(students)
    results = {
        **compare.about(),
        "start": Path(options.start).name, "epochs": options.epochs, "seeds": options.seeds, "parameters": parameters,
        "rows": [_row(task, found) for task in options.tasks],
    }  # fmt: skip
    compare.Page("several_tasks", "Several tasks at once", TOLD, _table).keep(", ".join(options.tasks), results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", required=True, help="checkpoint that every student starts from")
    parser.add_argument("--tasks", nargs="+", default=["rte", "mrpc", "stsb", "cola"])
    parser.add_argument("--out", type=Path, default=Path("runs/several_tasks"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--limit", type=int, help="rows of each split of each task")
    parser.add_argument("--length", type=int, default=96)
    parser.add_argument("--epochs", type=float, default=3)
    return parser.parse_args()


def _trained(
    options: argparse.Namespace, recipe: str, name: str, settings: dict[str, Any], tasks: list[str]
) -> list[Path]:
    optim = {"lr": 5e-5, "epochs": options.epochs, "batch_size": 32}
    optims = {"optim": optim} | ({"member_optim": optim} if recipe == "mtdnn_kd" else {})
    data = options.data / tasks[0] if len(tasks) == 1 else options.data
    return [
        compare.trained(
            recipe, options.out / f"{name}-{seed}", {**optims, **settings, "max_length": options.length, "seed": seed},
            task=tasks, data=data, student=options.start, limit=options.limit,
        )
        for seed in range(options.seeds)
    ]  # fmt: skip


def _parameters(students: list[Path]) -> int:
    return read(StudentCard, students[0] / STUDENT_CARD).student.parameters


def _row(task: str, found: Mapping[str, Mapping[str, Answers]]) -> dict[str, Any]:
    first = found[ALONE][task]
    return {
        "task": task,
        "judged_rows": first.rows,
        "students": {
            name: {
                "score": float(answers[task].score(np.ones((1, first.rows)))[0]),
                "interval": compare.interval(answers[task]),
                "gain": None if name == ALONE else compare.gain(first, answers[task]),
            }
            for name, answers in found.items()
        },
    }


def _table(results: dict[str, Any]) -> list[str]:
    names, parameters = list(results["parameters"]), results["parameters"]
    lines = [
        f"Measured {results['created']} by `{results['command']}`, {results['seeds']} seed(s), "
        f"{results['epochs']:g} epochs. Parameters of all that answers every task: "
        f"{', '.join(f'{name} {parameters[name]:,}' for name in names)}.",
        "",
        f"| task | judged | {' | '.join(names)} |",
        "|---" * (2 + len(names)) + "|",
    ]
    for row in results["rows"]:
        cells = [row["task"], str(row["judged_rows"])]
        for name in names:
            low, high = row["students"][name]["interval"]
            gain = compare.told(row["students"][name]["gain"])
            cells.append(f"{row['students'][name]['score']:.4f} ({low:.3f} to {high:.3f}) {gain}".strip())
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
