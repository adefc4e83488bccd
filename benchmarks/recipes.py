"""Every recipe beside its own student without the teacher, and with the teacher's answers alone.

    python benchmarks/recipes.py --task trec --data DIR --teacher FOLDER --out runs/recipes

Trains what `recipes.yaml` beside this file says, for each seed, and puts the task's results into
`docs/results/recipes.json`, its table into `recipes.md` and its plot into `recipes-TASK.svg`. The differences are
paired: both students are scored on the same resampled rows. What is trained already is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import compare
import numpy as np
import torch
from recipe_costs import macs, p90_ms

from edgedistill.config import read_yaml
from edgedistill.data.tasks import find_task
from edgedistill.models.loading import load
from edgedistill.models.tinybert import Shape, tinybert_for
from edgedistill.reports import STUDENT_CARD, StudentCard, read

HERE = Path(__file__).parent
TOLD = (
    "Every recipe's student from labels alone, from the teacher's answers alone and as the recipe has it, with the "
    "settings of benchmarks/recipes.yaml: trained for minutes, not for the papers' days. The task's metric with its "
    "95 % interval over rows; the gain is over the first row of the same recipe, in points, with its paired interval. "
    "MACs are of one text of the length given; p90 is the 90th percentile of the onnx fp32 export on one thread, all "
    "measured in turns, as a share of the teacher's. How long each training took is in recipes.json, on a machine that "
    "did other work too."
)
VARIANTS = {"labels": "labels alone", "answers": "the teacher's answers alone", "recipe": "the recipe"}


def main() -> None:
    """Train, measure and write the tables."""
    options = _options()
    title = _title(options)
    options.out /= compare.slug(title)
    plan = read_yaml(HERE / "recipes.yaml")
    length = compare.of_task(plan["lengths"], options.task)
    recipes = {name: plan["recipes"][name] for name in options.recipe or plan["recipes"]}
    rows = [
        _measured(recipe, variant, _trained(options, recipe, variant, settings, length))
        for recipe, settings in recipes.items()
        for variant in VARIANTS
        if variant in settings
    ]
    costs = _costs(options, list(recipes), length)
    _keep(title, {"length": length, "costs": costs, "rows": rows})


def _options() -> argparse.Namespace:
    parser = compare.parser(__doc__, "runs/recipes")
    parser.add_argument("--recipe", action="append", help="only this one; may be repeated")
    parser.add_argument("--longer", type=float, default=1, help="times the epochs of recipes.yaml")
    return parser.parse_args()


def _title(options: Any) -> str:
    longer = f", {options.longer:g} times as long" if options.longer != 1 else ""
    return compare.title(options.task, options.limit) + longer


def _trained(options: Any, recipe: str, variant: str, settings: dict[str, Any], length: int) -> list[Path]:
    epochs = compare.longer({**settings.get("shared", {}), **settings[variant]}, options.longer)
    asked = {**epochs, "max_length": length}
    given = {"student": options.teacher} if recipe == "fastbert" else {"teacher": options.teacher}
    students = []
    for seed in range(options.seeds):
        out = options.out / f"{recipe}-{variant}-{seed}"
        by, own = recipe, {**asked, "seed": seed}
        if (recipe, variant) == ("tinybert", "labels"):  # the recipe has no loss of labels
            given = {"student": _untrained_tinybert(options, asked["num_layers"], seed)}
            by, own = "finetune", {"optim": own["prediction_optim"], "max_length": length, "seed": seed}
        more = {"task": options.task, "data": options.data, "limit": options.limit}
        students.append(compare.trained(by, out, own, **more, **given))
    return students


def _untrained_tinybert(options: Any, layers: int, seed: int) -> Path:
    """A student of the recipe's shape with random weights, as a checkpoint to fine-tune."""
    folder: Path = options.out / f"tinybert-untrained-{seed}"
    kind, teacher = find_task(options.task).kind, load(options.teacher)
    torch.manual_seed(seed)
    tinybert_for(teacher.model, kind, Shape(layers)).save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    return folder


def _measured(recipe: str, variant: str, students: list[Path]) -> dict[str, Any]:
    cards = [read(StudentCard, folder / STUDENT_CARD) for folder in students]
    answers = compare.answers(students)
    return {
        "recipe": recipe,
        "variant": variant,
        "metric": cards[0].task.metric,
        "scores": [card.scores["student"] for card in cards],
        "teacher": cards[0].scores.get("teacher"),
        "parameters": cards[0].student.parameters,
        "seconds": [sum(card.seconds.values()) for card in cards],
        "interval": compare.interval(answers),
        "commonest": compare.commonest(students[0]),
        "answers": answers,
    }


def _costs(options: Any, recipes: list[str], length: int) -> dict[str, dict[str, float]]:
    """MACs and 90th percentile of the teacher and of each recipe's first student."""
    students = [options.out / f"{recipe}-recipe-0" / "student" for recipe in recipes]
    measured = options.out / "exports"
    times = p90_ms(options.teacher, students, options.task, options.data, length, measured)
    sources = {"teacher": options.teacher} | {student.parent.name: student for student in students}
    return {name: {"macs": macs(source, length), "p90_ms": times[name]} for name, source in sources.items()}


def _keep(task: str, found: dict[str, Any]) -> None:
    rows = found["rows"]
    for row in rows:
        first = next(other for other in rows if other["recipe"] == row["recipe"])
        row["gain"] = None if first is row else compare.gain(first["answers"], row["answers"])
    plot = f"recipes-{compare.slug(task)}.svg"
    results = {
        **compare.about(),
        "teacher": next(row["teacher"] for row in rows if row["teacher"] is not None),
        "judged_rows": rows[0]["answers"].rows,
        "commonest": rows[0]["commonest"],
        "length": found["length"],
        "plot": plot,
        "costs": found["costs"],
        "rows": [{key: value for key, value in row.items() if key not in {"answers", "commonest"}} for row in rows],
    }
    _plot(compare.RESULTS / plot, results)
    compare.Page("recipes", "Recipes", TOLD, _table).keep(task, results)


def _table(results: dict[str, Any]) -> list[str]:
    teacher, costs = results["teacher"], results["costs"]
    whole = costs["teacher"]
    lines = [
        f"Measured {results['created']} by `{results['command']}` on {results['judged_rows']} judged rows. "
        f"{compare.beside(teacher, results['commonest'])}. The teacher takes {whole['macs'] / 1e6:,.0f} M MACs and "
        f"{whole['p90_ms']:.1f} ms at {results['length']} tokens.",
        "",
        "| recipe | learns from | each seed | 95 % | of the teacher | gain | parameters | MACs | p90 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        scores, cost = row["scores"], costs[f"{row['recipe']}-recipe-0"]
        low, high = row["interval"]
        lines.append(
            f"| {row['recipe']} | {VARIANTS[row['variant']]} | {', '.join(f'{score:.4f}' for score in scores)} "
            f"| {low:.3f} to {high:.3f} | {100 * float(np.mean(scores)) / teacher:.1f} % | {compare.told(row['gain'])} "
            f"| {row['parameters']:,} | {cost['macs'] / 1e6:,.0f} M | {cost['p90_ms'] / whole['p90_ms']:.2f} |"
        )
    return [*lines, "", f"![each recipe's students beside the teacher]({results['plot']})"]


def _plot(path: Path, results: dict[str, Any]) -> None:
    """A panel for each recipe: its variants' scores, every seed a dot, the teacher a line."""
    from matplotlib.figure import Figure

    recipes = list(dict.fromkeys(row["recipe"] for row in results["rows"]))
    figure = Figure(figsize=(2.2 * len(recipes), 3.2), layout="constrained")
    for panel, recipe in zip(np.atleast_1d(figure.subplots(1, len(recipes), sharey=True)), recipes, strict=True):
        own = [row for row in results["rows"] if row["recipe"] == recipe]
        for place, row in enumerate(own):
            panel.plot([place] * len(row["scores"]), row["scores"], "o", color="tab:blue")
            panel.vlines(place, *row["interval"], color="tab:blue", alpha=0.4)
        panel.axhline(results["teacher"], color="grey", linestyle="--")
        panel.set_title(recipe)
        panel.set_xticks(range(len(own)), [row["variant"] for row in own], rotation=45)
        panel.set_xlim(-0.5, len(own) - 0.5)
    figure.supylabel(f"{results['rows'][0]['metric']} (dashed: teacher)")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
