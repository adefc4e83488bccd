"""bert2seq beside the same encoder-decoder without a teacher, by BLEU and ROUGE.

    python benchmarks/generation.py --task benchmarks/e2e.yaml --data DIR --teacher MASKED_LM --out runs/generation

All students have the same size, text, order and steps; only the teacher's words are added (weight alpha), at the
paper's temperature of 10 and as the teacher has them. Puts the task into `docs/results/generation.json` and its table
into `generation.md`. The p-value of a difference of BLEU is sacrebleu's paired bootstrap over the same rows.

Reference: Chen et al., 2020 (arXiv:1911.03829), tables 2 to 4; Koehn, 2004, for the bootstrap.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import compare
import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
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
    "the difference of BLEU over the same rows."
)
NUMBERS = ("bleu", "rouge_1", "rouge_2", "rouge_l", "student_greedy", "next_word_accuracy")


def main() -> None:
    """Train all, for every seed, and write the table."""
    options = _options()
    rows = [_row(options, name, settings) for name, settings in VARIANTS.items()]
    for row in rows[1:]:
        row["p_value"] = [_p_value(rows[0]["students"][n], row["students"][n]) for n in range(options.seeds)]
    page = compare.Page("generation", "Encoder-decoders", TOLD, _table)
    page.keep(compare.title(Path(options.task).stem, options.limit, options.seeds), {
        **compare.about(),
        "settings": _settings(options), "judged_rows": len(_written(rows[0]["students"][0])),
        "rows": [{key: value for key, value in row.items() if key != "students"} for row in rows],
    })  # fmt: skip


def _options() -> argparse.Namespace:
    parser = compare.parser(__doc__, "runs/generation")
    parser.add_argument("--length", type=int, default=80, help="longest source and longest target, in tokens")
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=float, default=12)
    parser.add_argument("--teacher-epochs", type=float, default=4)
    return parser.parse_args()


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_length": options.length,
        "shape": {"layers": 3, "hidden_size": options.hidden, "ffn_size": 4 * options.hidden, "heads": 4,
                  "dropout": 0.1},
        "optim": {"lr": 1e-3, "epochs": options.epochs, "batch_size": 32},
        "teacher_optim": {"lr": 1e-4, "epochs": options.teacher_epochs, "batch_size": 32},
    }  # fmt: skip


def _row(options: argparse.Namespace, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    out = options.out / Path(options.task).stem
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


def _guesses(student: Path) -> float:
    """Share of the hidden words of development targets that the teacher guesses, in its best epoch."""
    lines = (student.parent / "stages" / "01-teacher" / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    return float(max(json.loads(line)["score"] for line in lines))


def _written(student: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (student / "written.jsonl").read_text(encoding="utf-8").splitlines()]


def _p_value(first: Path, second: Path) -> float:
    """How often resampled rows take the difference of BLEU away, of the very scores that the students' cards have."""
    systems = [(str(folder), [row["written"] for row in _written(folder)]) for folder in (first, second)]
    normal = Tokenizer.from_file(str(first / "tokenizer.json")).normalizer  # an uncased student writes no capitals
    right = [[normal.normalize_str(text) if normal else text for text in row["references"]] for row in _written(first)]
    columns = [[row[n] if n < len(row) else None for row in right] for n in range(max(map(len, right)))]
    _, found = PairedTest(systems, {"BLEU": BLEU()}, references=columns, test_type="bs", n_samples=1000)()
    for folder, result in zip((first, second), found["BLEU"], strict=True):
        card = read(StudentCard, folder / STUDENT_CARD)
        if not np.isclose(result.score / 100, card.scores["bleu"]):
            raise SystemExit(f"'{folder}' has BLEU {result.score / 100}, its card says {card.scores['bleu']}.")
    return float(found["BLEU"][1].p_value)


def _table(results: dict[str, Any]) -> list[str]:
    guessed = sorted({guess for row in results["rows"] for guess in row["teacher_guesses"]})
    lines = [
        f"Measured {results['created']} by `{results['command']}` on {results['judged_rows']} judged rows, beams of 5. "
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
    return lines


if __name__ == "__main__":
    main()
