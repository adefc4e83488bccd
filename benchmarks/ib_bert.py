"""The paper's route on a small scale: an IB-BERT from random weights, and a MobileBERT that learns from it.

    python benchmarks/ib_bert.py --corpus text.txt --out runs/ib_bert

Both have the paper's 24 layers and 4 heads and are narrower. The teacher learns masked words; the student copies its
layers, progressively, then learns masked words with it (section 3.4). Writes `docs/results/ib_bert.md` and
`ib_bert.json`: every loss term, mean over each tenth of a stage's steps. What is shown is that each part learns, not
how good the pair is: that would take the paper's months of accelerators. A stopped run is gone on with.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import compare
import torch

import edgedistill
from edgedistill import files
from edgedistill.artifacts import now
from edgedistill.data.streams import as_place
from edgedistill.data.task_data import load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.models.loading import load
from edgedistill.models.outputs import Outputs
from edgedistill.reports import STUDENT_CARD, StudentCard, read
from edgedistill.training.judging import masked_scores

LAYERS = 24
TEACHER = {
    "hidden_size": 128, "intra_size": 128, "ffn_size": 256, "embedding_size": 64,
    "first_spread": 0.057, "dropout": 0.0,
}  # fmt: skip
STUDENT = {"intra_size": 32, "ffn_size": 128, "num_ffn": 4}
BATCH = 64
TOLD = (
    "Simpler than the paper's in what does not decide whether a part learns: AdamW for LAMB, no next sentences, the "
    "teacher's words and the right ones weigh 1 each, and the teacher is as wide inside its blocks as between them."
)

FREQUENCIES = "words' frequencies"
"""Who guesses without reading the text around."""

Curve = dict[str, dict[str, float]]
"""Steps, from and to -> the mean of each loss term over them."""


def main() -> None:
    """Train both and write the curves."""
    options = _options()
    text = {"corpus": options.corpus, "limit": options.limit}
    common = [f"max_length={options.length}", "seed=0"]
    shape = [f"ib_bert.{key}={value}" for key, value in TEACHER.items()]
    teacher = _trained(
        "mlm", options.out / "teacher", text, student="minilm",
        settings=[*common, *shape, *_steps("optim", options.teacher_steps, 2e-4)],
    )  # fmt: skip
    student = _trained(
        "mobilebert", options.out / "student", text, teacher=teacher,
        settings=[
            *common, "strategy=progressive", *_steps("transfer_optim", options.layer_steps, 3e-3), "polish_optim=null",
            *_steps("distill_optim", options.steps, 1e-3), "distill.labels=1.0",
            *(f"{key}={value}" for key, value in STUDENT.items()),
        ],
    )  # fmt: skip
    _write({"teacher": teacher, "student": student}, _words_alone(student, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/ib_bert"))
    parser.add_argument("--teacher-steps", type=int, default=2000)
    parser.add_argument("--layer-steps", type=int, default=25, help="of the transfer of each layer")
    parser.add_argument("--steps", type=int, default=500, help="of the distillation after it")
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--limit", type=int)
    return parser.parse_args()


def _steps(optim: str, steps: int, lr: float) -> list[str]:
    return [f"{optim}.max_steps={steps}", f"{optim}.lr={lr}", f"{optim}.batch_size={BATCH}"]


def _trained(recipe: str, out: Path, text: dict[str, Any], settings: list[str], **checkpoints: Any) -> Path:
    if (out / "student" / STUDENT_CARD).is_file():
        return out / "student"
    return edgedistill.distill(recipe, out=out, settings=settings, resume=out.is_dir(), **text, **checkpoints)


def _words_alone(student: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What guessing by how often words occur in the training text scores on the held-out hidden words."""
    tokenizer = load(student).tokenizer
    data = load_task_data(
        find_task("masked_words"), None, tokenizer=tokenizer, corpus=as_place(options.corpus),
        max_length=options.length, limit=options.limit, seed=0,
    )  # fmt: skip
    counts = torch.ones(len(tokenizer), dtype=torch.float64)  # each word once more than it occurs: none is impossible
    for batch in data.train.all(256):
        ids = batch.student.input_ids[batch.student.attention_mask.bool()]
        counts += torch.bincount(ids, minlength=len(counts))
    counts[tokenizer.all_special_ids] = 0
    logits = (counts / counts.sum()).log().float()
    found = masked_scores(lambda _, want: Outputs(logits=logits.expand(int(want.words.sum()), -1)), data.judged, data)
    scores = {"student": found["accuracy"], "student_loss": found["loss"], "hidden_tokens": found["tokens"]}
    return {**scores, "created": now()}


def _write(students: dict[str, Path], words_alone: dict[str, Any]) -> None:
    cards = {who: read(StudentCard, folder / STUDENT_CARD) for who, folder in students.items()}
    stages = {who: _curves(folder.parent / "stages") for who, folder in students.items()}
    results = {
        **compare.about(), "seed": 0,
        "layers": LAYERS, "shapes": {"teacher": TEACHER, "student": STUDENT},
        "parameters": {who: card.student.parameters for who, card in cards.items()},
        "scores": {FREQUENCIES: words_alone} | {who: card.scores for who, card in cards.items()},
        "padding": {who: _padding(folder) for who, folder in students.items()},
        "seconds": {who: card.seconds for who, card in cards.items()}, "curves": stages,
    }  # fmt: skip
    files.write_json(compare.RESULTS / "ib_bert.json", results)
    files.write_text(compare.RESULTS / "ib_bert.md", _markdown(results))


def _padding(student: Path) -> float:
    """Largest absolute value of PAD's embedding, which the trigram of a text's last token reads."""
    words = load(student).model.get_input_embeddings()
    return float(words.weight[words.padding_idx].detach().abs().max())


def _curves(stages: Path) -> dict[str, Curve]:
    found = {}
    for log in sorted(stages.glob("*/log.jsonl")):
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        found[log.parent.name] = _tenths([line["terms"] for line in lines if "terms" in line])
    return found


def _tenths(steps: list[dict[str, float]]) -> Curve:
    edges = sorted({round(number * len(steps) / 10) for number in range(11)})
    return {
        f"{start + 1}-{end}": {
            term: round(sum(step[term] for step in steps[start:end]) / (end - start), 5) for term in steps[0]
        }
        for start, end in pairwise(edges)
    }


def _markdown(results: dict[str, Any]) -> str:
    parameters, scores = results["parameters"], results["scores"]
    lines = [
        "# The paper's route on a small scale",
        "",
        f"Measured {results['created']} by `{results['command']}`, seed {results['seed']}. An IB-BERT and its "
        f"MobileBERT, both of {results['layers']} layers and 4 heads: {parameters['teacher']:,} and "
        f"{parameters['student']:,} "
        "parameters with their masked-word heads.",
        "",
        TOLD,
        "",
        "Largest value of PAD's embedding, which is 0 where answers do not depend on padding: "
        + ", ".join(f"{who} {value:.3f}" for who, value in results["padding"].items())
        + ".",
        "",
        "| held-out hidden words | guessed | nats |",
        "|---|---|---|",
    ]
    lines += [f"| {who} | {100 * scores[who]['student']:.2f} % | {scores[who]['student_loss']:.3f} |" for who in scores]
    lines += ["", f"The words were counted {scores[FREQUENCIES]['created']}."]
    for who, stages in results["curves"].items():
        lines += ["", f"## {who}"]
        for group, curve in _grouped(stages).items():
            lines += ["", f"{group}: mean over each tenth of its steps.", "", *_table(curve)]
    lines += ["", "Every layer's transfer is in ib_bert.json beside this file.", ""]
    lines += [compare.footnote(results["environment"]), ""]
    return "\n".join(lines)


def _grouped(stages: dict[str, Curve]) -> dict[str, Curve]:
    """The stages' curves; of progressive transfer the first, the middle and the last layer's."""
    layers = [name for name in stages if "-transfer-" in name]
    shown = {*layers[:1], *layers[len(layers) // 2 : len(layers) // 2 + 1], *layers[-1:]}
    return {name: curve for name, curve in stages.items() if name not in layers or name in shown}


def _table(curve: Curve) -> list[str]:
    terms = list(next(iter(curve.values())))
    rows = [f"| steps | {' | '.join(terms)} |", "|" + "---|" * (len(terms) + 1)]
    return rows + [
        f"| {steps} | {' | '.join(f'{means[term]:.4f}' for term in terms)} |" for steps, means in curve.items()
    ]


if __name__ == "__main__":
    main()
