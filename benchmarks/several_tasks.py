"""mtdnn_kd beside one model for each task, and beside the same model of all tasks without an ensemble.

    python benchmarks/several_tasks.py --data DIR --start CHECKPOINT --out runs/several_tasks

DIR holds a folder for each task. All students start from the same checkpoint and see every row as often. Puts the tasks
into `docs/results/several_tasks.json`, their table into `several_tasks.md` and their plot into
`several_tasks-TASKS.svg`; differences are paired, on the same resampled rows. What is trained already is kept.

Reference: Liu et al., 2019 (arXiv:1904.09482), table 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import compare
import numpy as np
import torch
from compare import Answers
from panels import Panel, draw
from recipe_costs import latencies, macs
from torch.utils.flop_counter import FlopCounterMode

from edgedistill.pipeline.heads import heads_in, view_of_all
from edgedistill.reports import STUDENT_CARD, StudentCard, read

TOLD = (
    "Each task's headline metric with its 95 % interval over what is judged (rows, or the questions of a ranking), and "
    "the gain over a model of its own in points with its paired interval; beside mtdnn_kd's the scores of the ensemble "
    "that taught it, and what it gains by that over all tasks' labels alone. One seed says nothing of what others "
    "would. MACs and p90 are of one text of the length given: the encoder under one task's head, and under every "
    "task's; p90 is the 90th percentile of the onnx fp32 export on one thread, in turns, as a share of one task's "
    "model, in brackets where the processor became slower meanwhile."
)
ALONE, LABELS, WHOLE = "each task alone", "all tasks, labels alone", "mtdnn_kd"
ANSWERS = "mtdnn_kd, answers alone"
TOGETHER: dict[str, dict[str, Any]] = {
    LABELS: {"members": 0}, WHOLE: {"members": 2}, ANSWERS: {"members": 2, "labels": 0},
}  # fmt: skip


def main() -> None:
    """Train, compare and write the table."""
    options = _options()
    alone = {task: _trained(options, "finetune", f"{task}-alone", {}, [task]) for task in options.tasks}
    found = {ALONE: {task: compare.answers(students) for task, students in alone.items()}}
    parameters = {ALONE: sum(_parameters(students) for students in alone.values())}
    others = {task: None if task == options.tasks[0] else task for task in options.tasks}
    students: dict[str, list[Path]] = {}
    for name in TOGETHER if options.answers else (LABELS, WHOLE):
        students[name] = _trained(options, "mtdnn_kd", compare.slug(name), TOGETHER[name], options.tasks)
        found[name] = {task: compare.answers(students[name], other) for task, other in others.items()}
        parameters[name] = _parameters(students[name])
    ensemble = {
        task: compare.together([compare.answers_of_teacher(student, other) for student in students[WHOLE]])
        for task, other in others.items()
    }
    title = ", ".join(options.tasks)
    results = {
        **compare.about(),
        "start": Path(options.start).name, "epochs": options.epochs, "seeds": options.seeds, "parameters": parameters,
        "length": options.length, "costs": _costs(options, alone[options.tasks[0]][0], students[WHOLE][0]),
        "plot": f"several_tasks-{compare.slug(title)}.svg",
        "rows": [_row(task, found, ensemble[task]) for task in options.tasks],
    }  # fmt: skip
    told = "headline metric (dashed: the ensemble)"
    draw(compare.RESULTS / results["plot"], _panels(results), told, is_one_scale=False)
    compare.Page("several_tasks", "Several tasks at once", TOLD, _table).keep(title, results)


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
    parser.add_argument("--answers", action="store_true", help="a student of the ensemble's answers alone too")
    compare.add_untimed(parser)
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


def _costs(options: argparse.Namespace, alone: Path, together: Path) -> dict[str, dict[str, Any]]:
    """MACs and time of the first task's own model, and of one model of all tasks with every head asked."""
    found = {ALONE: {"macs": macs(alone, options.length)}, WHOLE: {"macs": macs_of_all(together, options.length)}}
    if not options.untimed:
        out = options.out / "exports"
        times = latencies(str(alone), [together], options.tasks[0], options.data, options.length, out)
        found[ALONE] |= times["teacher"]
        found[WHOLE] |= times[together.parent.name]
    return found


def macs_of_all(student: Path, length: int) -> int:
    """Multiply-accumulates of one text of so many tokens, the encoder under every head of a student of several tasks.

    Half of its tokens are of a second text, for heads that read both.
    """
    ids = torch.full((1, length), 5)
    view = view_of_all(heads_in(student))
    view.reads_first_only = False  # as PyTorch computes it: what other pages count too
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        view(ids, torch.ones_like(ids), (torch.arange(length) >= length // 2).long()[None])
    return int(counter.get_total_flops()) // 2


def _row(task: str, found: Mapping[str, Mapping[str, Answers]], ensemble: Answers) -> dict[str, Any]:
    first = found[ALONE][task]
    return {
        "task": task,
        "judged_rows": first.rows,
        "students": {
            name: {**_scored(answers[task]), "gain": None if name == ALONE else compare.gain(first, answers[task])}
            for name, answers in found.items()
        },
        "ensemble": _scored(ensemble),
        "gain_by_ensemble": compare.gain(found[LABELS][task], found[WHOLE][task]),
    }


def _scored(found: Answers) -> dict[str, Any]:
    return {"score": float(found.score(np.ones((1, found.rows)))[0]), "interval": compare.interval(found)}


def _table(results: dict[str, Any]) -> list[str]:
    names, parameters = list(results["parameters"]), results["parameters"]
    lines = [
        f"Measured {results['created']} by `{results['command']}`, {results['seeds']} seed(s), "
        f"{results['epochs']:g} epochs. Parameters of all that answers every task: "
        f"{', '.join(f'{name} {parameters[name]:,}' for name in names)}. {_told_costs(results)}",
        "",
        f"| task | judged | {' | '.join(names)} | its ensemble | mtdnn_kd over labels alone of all |",
        "|---" * (4 + len(names)) + "|",
    ]
    for row in results["rows"]:
        cells = [row["task"], str(row["judged_rows"])]
        for name in names:
            cells.append(f"{_cell(row['students'][name])} {compare.told(row['students'][name]['gain'])}".strip())
        cells += [_cell(row["ensemble"]), compare.told(row["gain_by_ensemble"])]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"![each task's students beside the ensemble]({results['plot']})"]


def _told_costs(results: dict[str, Any]) -> str:
    own, whole = (results["costs"][name] for name in (ALONE, WHOLE))
    told = (
        f"MACs at {results['length']} tokens: one task's model {own['macs'] / 1e6:,.1f} M, that of all, every head "
        f"asked, {whole['macs'] / 1e6:,.1f} M"
    )
    if "p90_ms" not in own:
        return f"{told}; times: not_run, on a busy machine."
    share = f"{whole['p90_ms'] / own['p90_ms']:.2f}"
    time = f"({share})" if own["is_throttled"] or whole["is_throttled"] else share
    return f"{told}; p90 {own['p90_ms']:.1f} ms, and {time} of it."


def _cell(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['score']:.4f} ({low:.3f} to {high:.3f})"


def _panels(results: dict[str, Any]) -> list[Panel]:
    students = [
        [(name, [found["score"]], found["interval"]) for name, found in row["students"].items()]
        for row in results["rows"]
    ]
    return [
        Panel(row["task"], own, row["ensemble"]["score"]) for row, own in zip(results["rows"], students, strict=True)
    ]


if __name__ == "__main__":
    main()
