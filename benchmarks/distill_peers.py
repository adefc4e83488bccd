"""Distillation's speed beside TextBrewer 0.2.1 and a plain loop over transformers models.

    python benchmarks/distill_peers.py --data SST2_DIR --corpus TEXT --teacher FOLDER --out runs/distill_peers

The same teacher, 4-layer student, rows, losses, optimiser and number of threads for all three; each trains two epochs,
in turns, several rounds over. Texts: SST-2 with the answers' loss alone (ours asks the teacher once and keeps what it
said), SST-2 with answers, hidden states and attentions, and raw text with hidden states and attentions. The peers pad
each batch to its longest row, as their documentation advises. Measured is processor time, over all threads: other work
on the machine then hardly counts. Writes `docs/results/distill.md` and `distill.json`.
TextBrewer is installed by pip into the folder given by --out, beside nothing else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import numpy as np
import peer_loops
import torch
from peer_loops import LAYERS, STUDENT_LAYERS, Losses, Work
from torch import Tensor
from transformers import BertForSequenceClassification

from edgedistill import files
from edgedistill.data.batches import Batch
from edgedistill.data.cache_card import Kept
from edgedistill.data.rows import Rows
from edgedistill.data.task_data import TaskData, load_task_data
from edgedistill.data.tasks import find_task
from edgedistill.evaluate import batches_of
from edgedistill.losses.attention import score_mse
from edgedistill.losses.hidden import hidden_mse
from edgedistill.losses.soft_targets import soft_targets
from edgedistill.memory import HUGE_PAGES, ask_for_huge_pages
from edgedistill.models.answers import answer
from edgedistill.models.loading import Checkpoint, load
from edgedistill.models.outputs import Want
from edgedistill.pipeline.teaching import Storage, provider_of
from edgedistill.training.judging import model_logits, scored, token_counts
from edgedistill.training.loop import fit
from edgedistill.training.optimizer import computes_bf16
from edgedistill.training.stage import OptimConfig, Stage, valid_pairs, valid_tokens
from edgedistill.training.teachers import CachedTeacher

TEXTBREWER = "textbrewer==0.2.1"
CASES: dict[str, tuple[Losses, str]] = {
    "SST-2, answers": (Losses(answers=True, layers=False), "task"),
    "SST-2, answers and layers": (Losses(answers=True, layers=True), "task"),
    "raw text, layers": (Losses(answers=False, layers=True), "corpus"),
}
EPOCHS = 2


@dataclass(frozen=True)
class Timed:
    """One training.

    Attributes:
        seconds: processor time of each epoch; asking the teacher beforehand counts in the first.
        score: of the student on the judged rows.
    """

    seconds: tuple[float, ...]
    score: float


def main() -> None:
    """Measure in turns and write."""
    options = _options()
    if HUGE_PAGES not in os.environ:  # as `edgedistill distill` does; all loops have them, and torch was imported above
        ask_for_huge_pages()
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(options.threads)
    _install(options.out / "textbrewer")
    teacher = load(options.teacher)
    data = load_task_data(
        find_task("sst2"), options.data, teacher.tokenizer, max_length=128, seed=0, limit=options.rows,
        corpus=options.corpus,
    )  # fmt: skip
    found = {name: _measured(options, teacher, data, *case) for name, case in CASES.items()}
    results = {
        **compare.about(),
        "threads": options.threads, "rounds": options.rounds, "peers": {"TextBrewer": TEXTBREWER},
        "gemm_gflops": _gemm_gflops(torch.float32), "cases": found,
        # What the loop of edgedistill computes in where the processor does; the peers' loops compute in float32.
        "gemm_gflops_bf16": _gemm_gflops(torch.bfloat16) if computes_bf16(torch.device("cpu")) else None,
    }  # fmt: skip
    files.write_json(compare.RESULTS / "distill.json", results)
    files.write_text(compare.RESULTS / "distill.md", _markdown(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of SST-2's files")
    parser.add_argument("--corpus", type=Path, required=True, help="raw text, a text a line")
    parser.add_argument("--teacher", type=Path, required=True, help="a BERT of 6 layers, fine-tuned on SST-2")
    parser.add_argument("--out", type=Path, default=Path("runs/distill_peers"))
    parser.add_argument("--rows", type=int, default=2000, help="of SST-2 and of the raw text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _install(folder: Path) -> None:
    """TextBrewer without the packages it names: all it needs is here."""
    if not (folder / "textbrewer").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), TEXTBREWER]
        subprocess.run(pip, check=True)
    sys.path.append(str(folder))


def _measured(
    options: argparse.Namespace, teacher: Checkpoint, data: TaskData, losses: Losses, text: str
) -> dict[str, Any]:
    rows: Any = data.train if text == "task" else data.corpus
    work = Work(teacher.model.eval().requires_grad_(False), list(_encoded(rows)), losses, EPOCHS, teacher.tokenizer)
    ways: dict[str, Callable[[BertForSequenceClassification, int], tuple[float, ...]]] = {
        "edgedistill": lambda student, seed: _ours(options, teacher, data, rows, losses, student, seed),
        "plain loop": lambda student, seed: peer_loops.plain(work, student, seed),
        "TextBrewer": lambda student, seed: peer_loops.textbrewer(work, student, seed),
    }
    trained: dict[str, list[Timed]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in np.roll(list(ways), turn):
            student = peer_loops.student_of(teacher.model)
            seconds = ways[name](student, turn)
            logits = model_logits(student, data.judged, "single")
            trained[name].append(Timed(seconds, scored(logits, data.judged, data)))
            print(f"{name}: {', '.join(f'{len(rows) / s:.1f} rows/s' for s in seconds)}", file=sys.stderr)
    tokens = int(sum(len(row["input_ids"]) for row in work.rows))
    return {
        "rows": len(work.rows), "tokens": tokens, "macs_per_epoch": tokens * _macs_per_token(teacher.model),
        "trainings": {name: [vars(one) for one in times] for name, times in trained.items()},
    }  # fmt: skip


def _encoded(rows: Any) -> Iterator[dict[str, list[int]]]:
    for batch in rows.all(256):
        lengths = batch.student.attention_mask.sum(dim=1).tolist()
        for ids, types, length in zip(batch.student.input_ids, batch.student.token_type_ids, lengths, strict=True):
            yield {"input_ids": ids[:length].tolist(), "token_type_ids": types[:length].tolist()}


def _ours(
    options: argparse.Namespace, checkpoint: Checkpoint, data: TaskData, rows: Rows, losses: Losses,
    student: BertForSequenceClassification, seed: int,
) -> tuple[float, ...]:  # fmt: skip
    """Two epochs by the loop that every recipe runs in; answers alone are asked for once and kept."""
    started = time.process_time()
    folder = options.out / f"ours-{time.time_ns()}"
    storage = None if losses.layers else Storage(folder / "cache")
    teacher = provider_of([checkpoint], data, storage, lambda _: Kept())
    if isinstance(teacher, CachedTeacher):
        teacher.fill(rows.batch(np.array(places)) for places in batches_of(token_counts(rows), 64))
    want = Want(hidden=losses.layers, attentions=losses.layers)

    def step(batch: Batch) -> dict[str, Tensor]:
        theirs, own = teacher(batch, want), answer(student, batch.student, want)
        mask, terms = batch.student.attention_mask, {}
        if losses.answers:
            assert own.logits is not None
            assert theirs.logits is not None
            terms["answers"] = soft_targets(own.logits, theirs.logits, peer_loops.TEMPERATURE, t2_scaling=False)
        if losses.layers:
            pairs = list(enumerate(LAYERS, start=1))
            terms["hidden"] = torch.stack([hidden_mse(own.hidden[s], theirs.hidden[t], mask) for s, t in pairs]).sum()
            terms["attention"] = torch.stack(
                [score_mse(own.attentions[s - 1], theirs.attentions[t - 1], mask) for s, t in pairs]
            ).sum()
        return terms

    ends: list[float] = []

    def mark() -> float:
        ends.append(time.process_time())
        return float(len(ends))  # the last epoch is the best one: its student is kept, as the peers' is

    optim = OptimConfig(lr=peer_loops.RATE, epochs=EPOCHS, batch_size=peer_loops.BATCH, warmup=0.0, schedule="constant")
    over = {"hidden": valid_tokens, "attention": valid_pairs}
    fit(Stage("speed", student, rows, step, optim, over, evaluate=mark), folder / "stage", seed)
    return tuple(np.diff([started, *ends]))


def _macs_per_token(teacher: Any) -> int:
    """Of the teacher once and of the student forwards and backwards (three times), layers alone."""
    one: int = sum(weight.numel() for weight in teacher.base_model.encoder.layer[0].parameters() if weight.dim() == 2)
    return one * (int(teacher.config.num_hidden_layers) + 3 * STUDENT_LAYERS)


def _gemm_gflops(dtype: torch.dtype) -> float:
    """Most that this machine reaches now on a product of matrices of such a model's sizes, in that precision."""
    a, b = torch.randn(512, 384).to(dtype), torch.randn(384, 1536).to(dtype)
    best = 0.0
    for _ in range(30):
        started = time.process_time()
        for _ in range(10):
            a @ b
        best = max(best, 10 * 2 * a.shape[0] * a.shape[1] * b.shape[1] / (time.process_time() - started) / 1e9)
    return best


def _markdown(results: dict[str, Any]) -> str:
    bf16 = results.get("gemm_gflops_bf16")
    also = "" if bf16 is None else f" in fp32, {bf16:.0f} in bf16, which edgedistill computes in and the others do not"
    lines = [
        "# Distillation's speed beside its peers",
        "",
        f"Measured {results['created']} by `{results['command']}`: {results['threads']} thread(s), the median of "
        f"{results['rounds']} rounds in turns, batches of {peer_loops.BATCH}, fp32 where the processor has no bf16. "
        "All have large pages of memory. Seconds are of processor time. The ratio is of rows per second to "
        "TextBrewer's in the same epoch. Of the ceiling: the multiplications of the layers for real tokens, as a share "
        "of what a product of matrices reaches "
        f"here ({results['gemm_gflops']:.0f} GFLOP/s{also}). The score is of SST-2's judged rows after two epochs.",
    ]
    for name, case in results["cases"].items():
        lines += ["", f"## {name}", "", f"{case['rows']:,} rows of {case['tokens'] / case['rows']:.1f} tokens."]
        lines += ["", *_table(case, results["gemm_gflops"], bf16)]
    return "\n".join([*lines, "", compare.footnote(results["environment"]), ""])


def _table(case: dict[str, Any], fp32: float, bf16: float | None) -> list[str]:
    lines = [
        "| | epoch 1, rows/s | to TextBrewer | epoch 2, rows/s | to TextBrewer | of the ceiling, epoch 1 | score |",
        "|---|---|---|---|---|---|---|",
    ]
    speed = {
        name: case["rows"] / np.median([one["seconds"] for one in trainings], axis=0)
        for name, trainings in case["trainings"].items()
    }
    for name, trainings in case["trainings"].items():
        first, second = speed[name]
        to_first, to_second = speed[name] / speed["TextBrewer"]
        ceiling = bf16 if bf16 is not None and name == "edgedistill" else fp32
        share = 2 * case["macs_per_epoch"] / case["rows"] * first / 1e9 / ceiling
        score = np.mean([one["score"] for one in trainings])
        cells = [f"{first:.1f}", f"{to_first:.2f}", f"{second:.1f}", f"{to_second:.2f}", f"{100 * share:.0f} %"]
        lines.append(f"| {name} | {' | '.join(cells)} | {score:.4f} |")
    return lines


if __name__ == "__main__":
    main()
