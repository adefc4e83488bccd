"""bert2seq beside the same encoder-decoder without a teacher, by BLEU and ROUGE.

    python benchmarks/generation.py --task benchmarks/e2e.yaml --data DIR --teacher MASKED_LM --out runs/generation
    python benchmarks/generation.py --task benchmarks/multi30k.yaml --data DIR --teacher MASKED_LM --limit 10000
    python benchmarks/generation.py --task squad_questions --data DIR --teacher MASKED_LM --limit 4000 --length 192

All students have the same size, text, order and steps; only the teacher's words are added (weight alpha), at the
paper's temperature of 10 and as the teacher has them. Puts the task into `docs/results/generation.json`, its table into
`generation.md` and its plot into `generation-TASK.svg`. The p-value of a difference of BLEU is sacrebleu's paired
bootstrap over the same rows. What is trained already is kept.

Reference: Chen et al., 2020 (arXiv:1911.03829), tables 2 to 4; Koehn, 2004, for the bootstrap.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import compare
import numpy as np
import writing_costs
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest, Result
from tokenizers import Tokenizer

from edgedistill.reports import STUDENT_CARD, StudentCard, read

VARIANTS: dict[str, dict[str, Any]] = {
    "no teacher": {"alpha": 0.0},
    "bert2seq": {"alpha": 0.5},
    "bert2seq, temperature 1": {"alpha": 0.5, "temperature": 1.0},
}
TOLD = (
    "The same student from the right words alone, and with the words of a masked-LM that learnt the task before it "
    "(bert2seq); scores are fractions, mean over seeds, each seed's BLEU beside it. p: sacrebleu's paired bootstrap of "
    "the difference of BLEU over the same rows. What a text costs is that of the first student of the first row, over "
    "some judged rows of any length: the others have its shape, and differ in how many words they write. Times are of "
    "the onnx fp32 export on one thread."
)
NUMBERS = ("bleu", "rouge_1", "rouge_2", "rouge_l", "student_greedy", "next_word_accuracy")


def main() -> None:
    """Train all, for every seed, and write the table."""
    options = _options()
    out = options.out / compare.slug(compare.title(Path(options.task).stem, options.limit))
    rows = [_row(options, out, name, settings) for name, settings in VARIANTS.items()]
    first = rows[0]
    for row in rows[1:]:
        found = [_compared(*pair) for pair in zip(first["students"], row["students"], strict=True)]
        row["p_value"] = [float(second.p_value) for _, second in found]
        first["intervals"], row["intervals"] = ([_interval(pair[n]) for pair in found] for n in range(2))
    title = compare.title(Path(options.task).stem, options.limit, options.seeds)
    exports = None if options.untimed else out / "exports"
    results = {
        **compare.about(),
        "settings": _settings(options), "judged_rows": len(_written(first["students"][0])),
        "texts": options.texts, "costs": _costs(first["students"][0], exports, options.texts),
        "plot": f"generation-{compare.slug(title)}.svg",
        "rows": [{key: value for key, value in row.items() if key != "students"} for row in rows],
    }  # fmt: skip
    _plot(compare.RESULTS / results["plot"], results)
    compare.Page("generation", "Encoder-decoders", TOLD, _table).keep(title, results)


def _options() -> argparse.Namespace:
    parser = compare.parser(__doc__, "runs/generation")
    parser.add_argument("--length", type=int, default=80, help="longest source and longest target, in tokens")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--teacher-epochs", type=float, default=4)
    parser.add_argument("--texts", type=int, default=64, help="judged rows that MACs and times are of")
    compare.add_untimed(parser)
    return parser.parse_args()


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_length": options.length,
        "shape": {"layers": 3, "hidden_size": options.hidden, "ffn_size": 4 * options.hidden, "heads": 4,
                  "dropout": 0.1},
        "optim": {"lr": 1e-3, "epochs": options.epochs, "batch_size": 32},
        "teacher_optim": {"lr": 1e-4, "epochs": options.teacher_epochs, "batch_size": 32},
    }  # fmt: skip


def _row(options: argparse.Namespace, out: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    students = [
        compare.trained(
            "bert2seq", out / f"{compare.slug(name)}-{seed}", {**_settings(options), **settings, "seed": seed},
            task=options.task, data=options.data, teacher=options.teacher, limit=options.limit,
        )
        for seed in range(options.seeds)
    ]  # fmt: skip
    cards = [read(StudentCard, student / STUDENT_CARD) for student in students]
    return {
        "name": name,
        "students": students,
        "parameters": cards[0].student.parameters,
        "scores": [{number: card.scores[number] for number in NUMBERS} for card in cards],
        "seconds": [sum(card.seconds.values()) for card in cards],
        "teacher_guesses": [_guesses(student) for student in students] if settings["alpha"] else [],
    }


def _costs(student: Path, out: Path | None, texts: int) -> dict[str, dict[str, float]]:
    """Words, MACs and, where there is a folder for its export, times of a text: greedy, and with its own beams."""
    given = writing_costs.sources(student, texts)
    found = writing_costs.macs(student, given)
    times = {} if out is None else writing_costs.times(student, given, out / student.parent.name)
    return {way: {**cost, **times.get(way, {})} for way, cost in found.items()}


def _guesses(student: Path) -> float:
    """Share of the hidden words of development targets that the teacher guesses, in its best epoch."""
    lines = (student.parent / "stages" / "01-teacher" / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    return float(max(json.loads(line)["score"] for line in lines))


def _written(student: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (student / "written.jsonl").read_text(encoding="utf-8").splitlines()]


def _compared(first: Path, second: Path) -> list[Result]:
    """BLEU of each over resampled rows, the very score that its card has; the second's p-value is of the difference."""
    systems = [(str(folder), [row["written"] for row in _written(folder)]) for folder in (first, second)]
    normal = Tokenizer.from_file(str(first / "tokenizer.json")).normalizer  # an uncased student writes no capitals
    right = [[normal.normalize_str(text) if normal else text for text in row["references"]] for row in _written(first)]
    columns = [[row[n] if n < len(row) else None for row in right] for n in range(max(map(len, right)))]
    _, found = PairedTest(systems, {"BLEU": BLEU()}, references=columns, test_type="bs", n_samples=1000)()
    for folder, result in zip((first, second), found["BLEU"], strict=True):
        card = read(StudentCard, folder / STUDENT_CARD)
        if not np.isclose(result.score / 100, card.scores["bleu"]):
            raise SystemExit(f"'{folder}' has BLEU {result.score / 100}, its card says {card.scores['bleu']}.")
    return list(found["BLEU"])


def _interval(found: Result) -> list[float]:
    """95 % of the score over resampled rows."""
    return [(found.mean - found.ci) / 100, (found.mean + found.ci) / 100]


def _table(results: dict[str, Any]) -> list[str]:
    guessed = sorted({guess for row in results["rows"] for guess in row["teacher_guesses"]})
    lines = [
        f"Measured {results['created']} by `{results['command']}` on {results['judged_rows']} judged rows, beams of "
        f"{results['costs']['beams']['beams']}. A text, mean of {results['texts']}: {_told_costs(results['costs'])}. "
        f"Hidden words of development rows that the teacher guesses: {', '.join(f'{guess:.4f}' for guess in guessed)}.",
        "",
        "| student | BLEU | each seed | p | ROUGE-1 | ROUGE-2 | ROUGE-L | greedy BLEU | next word | parameters |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        mean = {number: float(np.mean([scores[number] for scores in row["scores"]])) for number in NUMBERS}
        each = ", ".join(f"{scores['bleu']:.4f}" for scores in row["scores"])
        odds = ", ".join(f"{value:.3f}" for value in row.get("p_value", []))
        cells = [row["name"], f"{mean['bleu']:.4f}", each, odds, *(f"{mean[number]:.4f}" for number in NUMBERS[1:])]
        lines.append(f"| {' | '.join(cells)} | {row['parameters']:,} |")
    return [*lines, "", f"![each student's BLEU]({results['plot']})"]


def _told_costs(found: dict[str, dict[str, float]]) -> str:
    each = [
        f"{way} {one['macs'] / 1e6:,.0f} M MACs for {one['words']:.1f} words, "
        + (f"p50 {one['p50_ms']:.0f} ms, p90 {one['p90_ms']:.0f} ms" if "p90_ms" in one else "times not_run")
        for way, one in (("greedy", found["greedy"]), (f"beams of {found['beams']['beams']}", found["beams"]))
    ]
    return "; ".join(each)


def _plot(path: Path, results: dict[str, Any]) -> None:
    """Each student's BLEU with its 95 % over rows, every seed a dot; greedy a cross."""
    from matplotlib.figure import Figure

    rows = results["rows"]
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    panel = figure.subplots()
    for place, row in enumerate(rows):
        each = [(scores["bleu"], scores["student_greedy"]) for scores in row["scores"]]
        places = place + 0.1 * (np.arange(len(each)) - (len(each) - 1) / 2)
        for here, (beams, greedy), interval in zip(places, each, row["intervals"], strict=True):
            panel.vlines(here, *interval, color="tab:blue", alpha=0.4)
            panel.plot(here, beams, "o", color="tab:blue")
            panel.plot(here, greedy, "x", color="tab:blue")
    panel.set_xticks(range(len(rows)), [row["name"] for row in rows], rotation=20)
    panel.set_xlim(-0.5, len(rows) - 0.5)
    panel.set_ylabel("BLEU (cross: greedy)")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
