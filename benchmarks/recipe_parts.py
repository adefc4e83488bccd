"""Which part of a recipe costs where it does not beat the teacher's answers alone, on one task at a time.

    python benchmarks/recipe_parts.py --task sst2 --limit 2000 --seeds 2 --data DIR --teacher FOLDER \
        --words FOLDER --corpus FILE --conllu FILE

Leaves out one part of a recipe at a time, as the `parts` of `recipes.yaml` beside this file have it, and compares the
student with the recipe's and with that of the answers alone, which `recipes.py` has trained (with the same --out they
are found; else they are trained here). Puts the task into `docs/results/recipe_parts.json` and its table into
`recipe_parts.md`. Done work is kept.
"""

from __future__ import annotations

from typing import Any

import compare
from recipe_students import trained
from recipes import HERE, asked

from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read

TOLD = (
    "Recipes of which it is not sure anywhere on the page of recipes that they beat the teacher's answers alone, with "
    "one part left out at a time (settings: benchmarks/recipes.yaml). The task's metric on the judged rows for each "
    "seed; gains are in points, with their paired 95 % interval over rows, whatever other seeds would give. Seeds are "
    "0, 1 and so on."
)
ANSWERS, RECIPE = "the teacher's answers alone", "the recipe"


def main() -> None:
    """Train, compare and write the table."""
    parser = asked(__doc__)
    parser.add_argument("--recipe", action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    title = compare.title(options.task, options.limit)
    options.out /= compare.slug(title)
    plan = read_yaml(HERE / "recipes.yaml")
    rows = [row for recipe in options.recipe or plan["parts"] for row in _rows(options, plan, recipe)]
    found = {**compare.about(), "metric": rows[0]["metric"], "rows": rows}
    compare.Page("recipe_parts", "Parts of recipes", TOLD, _table).keep(title, found)


def _rows(options: Any, plan: dict[str, Any], recipe: str) -> list[dict[str, Any]]:
    """The recipe's student and those without a part, beside that of the answers alone."""
    own, parts = plan["recipes"][recipe], plan["parts"][recipe]
    arms = [(ANSWERS, "answers", own["answers"]), (RECIPE, "recipe", own["recipe"])]
    arms += [(name, start, own["recipe"] | differs) for start, some in parts.items() for name, differs in some.items()]
    rows = [_row(options, plan, recipe, *arm) for arm in arms]
    answers, whole = (row["answers"] for row in rows[:2])
    for row in rows:
        given = row.pop("answers")
        row["over_answers"] = None if given is answers else compare.gain(answers, given)
        row["over_recipe"] = None if given in (answers, whole) else compare.gain(whole, given)
    return rows


def _row(
    options: Any, plan: dict[str, Any], recipe: str, name: str, start: str, chosen: dict[str, Any]
) -> dict[str, Any]:
    own, length = plan["recipes"][recipe], compare.of_task(plan["lengths"], options.task)
    settings = compare.longer({**own["shared"], **chosen}, compare.of_task(plan["epochs"], options.task))
    folder = start if name in (ANSWERS, RECIPE) else compare.slug(name)
    students = trained(options, recipe, start, {**settings, "max_length": length}, own.get("general"), folder)
    cards = [read(StudentCard, student / STUDENT_CARD) for student in students]
    return {
        "recipe": recipe,
        "name": name,
        "metric": cards[0].task.metric,
        "scores": [card.scores["student"] for card in cards],
        "answers": compare.answers(students),
    }


def _table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Measured {found['created']} by `{found['command']}`. Score: {compare.METRIC_NAMES[found['metric']]}.",
        "",
        "| recipe | what is learnt | each seed | over answers alone | over the recipe |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        scores = ", ".join(f"{score:.4f}" for score in row["scores"])
        gains = " | ".join(compare.told(row[key]) for key in ("over_answers", "over_recipe"))
        lines.append(f"| {row['recipe']} | {row['name']} | {scores} | {gains} |")
    return lines


if __name__ == "__main__":
    main()
