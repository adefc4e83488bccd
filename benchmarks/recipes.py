"""Every recipe beside its own student without the teacher, and with the teacher's answers alone.

    python benchmarks/recipes.py --task trec --data DIR --teacher FOLDER --words FOLDER --corpus FILE --conllu FILE

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
from panels import Panel, draw
from recipe_costs import latencies, leaving, macs
from recipe_students import trained

from edgedistill.config import read_yaml
from edgedistill.reports import STUDENT_CARD, StudentCard, read

HERE = Path(__file__).parent
TOLD = (
    "Every recipe's student from labels alone, from the teacher's answers alone and as the recipe has it, with the "
    "settings of benchmarks/recipes.yaml: trained for minutes, not for the papers' days. pkd's students start from "
    "the first layers of the pre-trained encoder; distilbert's from every second one, the recipe's after learning raw "
    "text from a teacher that guesses words; tinybert's, mobilebert's and bilstm's from random weights (the words of "
    "the last two from the teacher's), tinybert's recipe learning raw text from the pre-trained encoder first. The "
    "recipes of tinybert and bilstm also see texts with words replaced. fastbert's first row is its last classifier, "
    "before which no text leaves; in its second, texts leave at the speed chosen on the development rows. The task's "
    "metric with its 95 % interval over rows; the gain is over the first row of the same recipe, in points, with its "
    "paired interval over rows, whatever other seeds would give; beside it the recipe's over the answers alone. MACs "
    "are of one text of the length given, with early exits the mean; p90 is the 90th percentile of the onnx fp32 "
    "export on one thread, all measured in turns, as a share of the teacher's (with early exits that of texts that "
    "leave late), in brackets where the processor became slower meanwhile. Seconds of training are in recipes.json, "
    "on a machine that did other work too. Seeds are 0, 1 and so on."
)
VARIANTS = {
    "labels": "labels alone",
    "answers": "the teacher's answers alone",
    "whole": "no text leaves early",
    "recipe": "the recipe",
}


def main() -> None:
    """Train, measure and write the tables."""
    options = _options()
    title = _title(options)
    options.out /= compare.slug(title)
    plan = read_yaml(HERE / "recipes.yaml")
    length = compare.of_task(plan["lengths"], options.task)
    recipes = {name: plan["recipes"][name] for name in options.recipe or plan["recipes"]}
    options.longer *= compare.of_task(plan["epochs"], options.task)
    rows = [row for recipe, settings in recipes.items() for row in _rows(options, recipe, settings, length)]
    costs = _costs(options, list(recipes), length)
    words = _words(options.out.parent / "distilbert-general") if "distilbert" in recipes else None
    _keep(title, {"length": length, "words": words, "costs": costs, "rows": rows})


def _rows(options: Any, recipe: str, settings: dict[str, Any], length: int) -> list[dict[str, Any]]:
    """A recipe's variants, trained and measured."""
    rows = []
    for variant in (name for name in VARIANTS if name in settings):
        own = compare.longer({**settings.get("shared", {}), **settings[variant]}, options.longer)
        students = trained(options, recipe, variant, {**own, "max_length": length}, settings.get("general"), variant)
        rows += _left(students, options) if recipe == "fastbert" else [_measured(recipe, variant, students)]
    return rows


def _words(general: Path) -> dict[str, float]:
    """Share of the hidden words of held-out text that DistilBERT's first teacher guesses, and its student."""
    scores = read(StudentCard, general / "student" / STUDENT_CARD).scores
    return {who: scores[who] for who in ("teacher", "student")}


def asked(told: str | None) -> argparse.ArgumentParser:
    """What it takes to train the recipes' students."""
    parser = compare.parser(told, "runs/recipes")
    parser.add_argument("--pretrained", default="minilm", help="encoder that the teacher was fine-tuned from")
    parser.add_argument("--words", required=True, help="the same one with a head that guesses words")
    parser.add_argument("--corpus", type=Path, required=True, help="raw text")
    parser.add_argument("--conllu", type=Path, required=True, help="treebank to learn parts of speech from")
    return parser


def _options() -> argparse.Namespace:
    parser = asked(__doc__)
    parser.add_argument("--recipe", action="append", help="only this one; may be repeated")
    parser.add_argument("--longer", type=float, default=1, help="times the epochs of recipes.yaml")
    options = parser.parse_args()
    if options.recipe == ["fastbert"]:
        parser.error("a FastBERT learns from itself and no other score is known then: name another --recipe as well")
    return options


def _title(options: Any) -> str:
    longer = f", {options.longer:g} times as long" if options.longer != 1 else ""
    return compare.title(options.task, options.limit) + longer


def _measured(recipe: str, variant: str, students: list[Path]) -> dict[str, Any]:
    cards = [read(StudentCard, folder / STUDENT_CARD) for folder in students]
    scores = [card.scores["student"] for card in cards]
    found = _row(recipe, variant, students, scores, compare.answers(students))
    if "teacher" in cards[0].scores:
        found["teacher"] = cards[0].scores["teacher"]
        found["share"] = compare.share(found["answers"], compare.answers_of_teacher(students[0]))
    return found


def _left(students: list[Path], options: Any) -> list[dict[str, Any]]:
    """FastBERTs where no text leaves early, and where texts leave at each student's own speed."""
    left = [leaving(student, options.data, options.limit) for student in students]
    early = compare.together([one.answers for one in left])
    rows = [_measured("fastbert", "whole", students)]
    rows.append(_row("fastbert", "recipe", students, [one.score for one in left], early))
    return [{**row, "macs": macs} for row, macs in zip(rows, (None, left[0].macs), strict=True)]


def _row(recipe: str, variant: str, students: list[Path], scores: list[float], answers: Any) -> dict[str, Any]:
    cards = [read(StudentCard, folder / STUDENT_CARD) for folder in students]
    return {
        "recipe": recipe,
        "variant": variant,
        "metric": cards[0].task.metric,
        "scores": scores,
        "teacher": None,
        "share": None,
        "parameters": cards[0].student.parameters,
        "seconds": [sum(card.seconds.values()) for card in cards],
        "interval": compare.interval(answers),
        "commonest": compare.commonest(students[0]),
        "answers": answers,
    }


def _costs(options: Any, recipes: list[str], length: int) -> dict[str, dict[str, Any]]:
    """MACs and time of the teacher and of each recipe's first student."""
    students = [options.out / f"{recipe}-recipe-0" / "student" for recipe in recipes]
    times = latencies(options.teacher, students, options.task, options.data, length, options.out / "exports")
    sources = {"teacher": options.teacher} | {student.parent.name: student for student in students}
    return {name: {"macs": macs(source, length), **times[name]} for name, source in sources.items()}


def _keep(task: str, found: dict[str, Any]) -> None:
    rows = found["rows"]
    for row in rows:
        own = {other["variant"]: other for other in rows if other["recipe"] == row["recipe"]}
        first, answers = next(iter(own.values())), own.get("answers")
        row["gain"] = None if first is row else compare.gain(first["answers"], row["answers"])
        is_beside = answers is not None and row["variant"] == "recipe"
        row["gain_over_answers"] = compare.gain(answers["answers"], row["answers"]) if is_beside else None
    plot = f"recipes-{compare.slug(task)}.svg"
    results = {
        **compare.about(),
        "teacher": next(row["teacher"] for row in rows if row["teacher"] is not None),
        "judged_rows": rows[0]["answers"].rows,
        "commonest": rows[0]["commonest"],
        "length": found["length"],
        "words": found["words"],
        "plot": plot,
        "costs": found["costs"],
        "rows": [{key: value for key, value in row.items() if key not in {"answers", "commonest"}} for row in rows],
    }
    told = f"{results['rows'][0]['metric']} (dashed: teacher)"
    draw(compare.RESULTS / plot, _panels(results), told, is_one_scale=True)
    compare.Page("recipes", "Recipes", TOLD, _table).keep(task, results)


def _table(results: dict[str, Any]) -> list[str]:
    teacher, costs, metric = results["teacher"], results["costs"], results["rows"][0]["metric"]
    whole = costs["teacher"]
    lines = [
        f"Measured {results['created']} by `{results['command']}` on {results['judged_rows']} judged rows. "
        f"{compare.beside(metric, teacher, results['commonest'])}. "
        f"The teacher takes {whole['macs'] / 1e6:,.0f} M MACs and "
        f"{whole['p90_ms']:.1f} ms at {results['length']} tokens.{_told_words(results.get('words'))}"
        f"{_told_unlearnt(results)}",
        "",
        *([results["note"], ""] if "note" in results else []),
        "| recipe | learns from | each seed | 95 % | of the teacher | gain | over answers | parameters | MACs | p90 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        cost, (low, high) = costs[f"{row['recipe']}-recipe-0"], row["interval"]
        spent, time = row.get("macs") or cost["macs"], "" if row["variant"] == "whole" else _time(cost, whole)
        share = compare.told_share(float(np.mean(row["scores"])) / teacher, row.get("share"))
        lines.append(
            f"| {row['recipe']} | {VARIANTS[row['variant']]} | {', '.join(f'{score:.4f}' for score in row['scores'])} "
            f"| {low:.3f} to {high:.3f} | {share} | {compare.told(row['gain'])} "
            f"| {compare.told(row.get('gain_over_answers'))} | {row['parameters']:,} | {spent / 1e6:,.0f} M | {time} |"
        )
    return [*lines, "", f"![each recipe's students beside the teacher]({results['plot']})"]


def _told_unlearnt(results: dict[str, Any]) -> str:
    always = results["commonest"]
    rows = [row for row in results["rows"] if always is not None and row["interval"][0] <= always]
    names = [f"{row['recipe']} ({VARIANTS[row['variant']]})" for row in rows]
    return f" Not surely better than the commonest label: {', '.join(names)}." if names else ""


def _told_words(words: dict[str, float] | None) -> str:
    if words is None:
        return ""
    return (
        f" Of the hidden words of held-out text distilbert's first teacher guesses {words['teacher']:.4f}, its student "
        f"{words['student']:.4f}."
    )


def _time(cost: dict[str, Any], whole: dict[str, Any]) -> str:
    share = f"{cost['p90_ms'] / whole['p90_ms']:.2f}"
    return f"({share})" if cost.get("is_throttled") or whole.get("is_throttled") else share


def _panels(results: dict[str, Any]) -> list[Panel]:
    recipes = dict.fromkeys(row["recipe"] for row in results["rows"])
    students = {
        recipe: [(row["variant"], row["scores"], row["interval"]) for row in results["rows"] if row["recipe"] == recipe]
        for recipe in recipes
    }
    return [Panel(recipe, own, results["teacher"]) for recipe, own in students.items()]


if __name__ == "__main__":
    main()
