"""What a last stage that rounds as an export does (quantization-aware) saves of what the export's scheme costs.

    python benchmarks/quantization_aware.py STUDENT --teacher DIR --task trec --data DIR [--scheme int4_weight ...]

The student learns for --steps more steps from its teacher's answers alone (recipe distilbert): once as ever, once with
the scheme's rounding in its forward passes, everything else alike. Each, and the student as it was, is exported in the
scheme and answers the judged rows in the target's runtime. Writes docs/results/quantization_aware.md and .json; what is
trained and exported already stays in --work.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compare
import numpy as np

from edgedistill import files, parity
from edgedistill.artifacts import read_manifest
from edgedistill.data.encoding import encode, load_tokenizer
from edgedistill.evaluate import decide, predict
from edgedistill.gate.case import read_reference
from edgedistill.gate.resampled import weighted_score
from edgedistill.pipeline.runners import open_runner
from edgedistill.reports import STUDENT_CARD, StudentCard, read

AS_IT_WAS, AS_EVER = "as it was", "polished"


def main() -> None:
    """Train, export, measure and write the table."""
    options = _options()
    rows = [row for scheme in options.scheme or ["int4_weight"] for row in _rows(options, scheme)]
    first = rows[0]["answers"]
    results = {
        **compare.about(),
        "steps": options.steps, "lr": options.lr, "length": options.length, "seed": options.seed,
        "judged_rows": first.rows,
        "rows": [{key: value for key, value in row.items() if key != "answers"} for row in rows],
    }  # fmt: skip
    files.write_text(
        compare.RESULTS / "quantization_aware.md",
        _markdown(compare.kept("quantization_aware", _name(options), results)),
    )


def _name(options: argparse.Namespace) -> str:
    """Of the results: the task and what the student is of."""
    card = read(StudentCard, options.student / STUDENT_CARD)
    return f"{options.task}, a student of {card.recipe} with {card.student.parameters:,} parameters"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path, help="of sentences or pairs, of any recipe")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scheme", action="append", help="int4_weight unless given; may be repeated")
    parser.add_argument("--target", action="append", help="onnx unless given; may be repeated")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=3e-5)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/quantization_aware"))
    return parser.parse_args()


def _rows(options: argparse.Namespace, scheme: str) -> Iterator[dict[str, Any]]:
    """A scheme's rows: the student as it was, polished as ever, and polished with the scheme's rounding."""
    students = {
        AS_IT_WAS: options.student,
        AS_EVER: _polished(options, None),
        f"polished through {scheme}": _polished(options, scheme),
    }
    for target in options.target or ["onnx"]:
        found = []
        for way, student in students.items():
            out = options.work / f"{way}-{target}-{scheme}".replace(" ", "-")
            artifact = compare.exported(
                student, out, target, scheme, options.length, task=options.task, data=options.data
            )
            found.append({"target": target, "scheme": scheme, "student": way, **_measured(artifact)})
        found[-1]["gain"] = compare.gain(found[-2]["answers"], found[-1]["answers"])
        yield from found


def _polished(options: argparse.Namespace, scheme: str | None) -> Path:
    settings = {
        "max_length": options.length, "seed": options.seed, "answers": {"soft": 1.0, "labels": 0.0},
        "answers_optim": {"lr": options.lr, "max_steps": options.steps, "quantization_aware": scheme},
    }  # fmt: skip
    return compare.trained(
        "distilbert", options.work / f"{options.task}-{scheme or 'plain'}-{options.seed}", settings,
        student=options.student, teacher=options.teacher, task=options.task, data=options.data,
    )  # fmt: skip


def _measured(artifact: Path) -> dict[str, Any]:
    """An artifact's answers to the judged rows beside its own student's in float."""
    manifest, reference = read_manifest(artifact), read_reference(artifact)
    texts, pairs = [row.text for row in reference], [row.text_pair for row in reference]
    encodings = encode(load_tokenizer(artifact), texts, pairs, manifest.tokenizer.max_length)
    found = predict(open_runner(artifact, manifest), encodings, batch_size=1)["logits"]
    floats = [np.array(row.student, np.float32) for row in reference]
    right, metric = [row.label for row in reference], manifest.task.metric
    given, wanted = (decide(manifest.task.kind, logits) for logits in (found, floats))
    assert metric is not None, f"the task of '{artifact}' has no metric"
    answers, student = (compare.Answers(len(right), weighted_score(metric, one, right)) for one in (given, wanted))
    whole = np.ones((1, len(right)))
    return {
        "metric": metric, "answers": answers,
        "student_score": float(student.score(whole)[0]), "artifact_score": float(answers.score(whole)[0]),
        "agreement": float(np.mean(np.array(given) == np.array(wanted))),
        "relative": parity.difference(floats, found).relative,
    }  # fmt: skip


def _markdown(tasks: dict[str, Any]) -> str:
    lines = ["# Quantization-aware training", "", " ".join((
        "A student learns a little longer from its teacher's answers alone, as ever or with an export's rounding in",
        "its forward passes (`quantization_aware` of a stage), and is exported in that scheme. Score: of judged rows,",
        "in PyTorch in float and in the artifact's runtime; agreement and the relative difference of the logits are",
        "between those two. The gain is the artifact's over the one polished as ever, in points, with its paired 95 %",
        "interval over rows.",
    ))]  # fmt: skip
    for task, found in tasks.items():
        lines += [
            "", f"## {task}", "",
            f"Measured {found['created']} by `{found['command']}` on {found['judged_rows']} judged rows: "
            f"{found['steps']} steps at a learning rate of {found['lr']:g}, {found['length']} tokens, "
            f"seed {found['seed']}.", "",
            "| target | scheme | student | in float | artifact | agreement | difference | gain |",
            "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {row['target']} | {row['scheme']} | {row['student']} | {row['student_score']:.4f} | "
            f"{row['artifact_score']:.4f} | {row['agreement']:.3f} | {row['relative']:.3f} | "
            f"{compare.told(row.get('gain'))} |"
            for row in found["rows"]
        ]
        lines += ["", compare.footnote(found["environment"])]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
