"""What scheme auto's search is judged by: labelled rows of the train split, the gate's own step, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.artifacts import Golden, Manifest, ReferenceRow
from edgedistill.config import build
from edgedistill.data.encoding import Encoding, clean, encode, load_tokenizer, pad
from edgedistill.data.tasks import Task
from edgedistill.evaluate import predict
from edgedistill.gate.accuracy import drop_rung
from edgedistill.gate.case import Case
from edgedistill.gate.tolerances import Tolerances
from edgedistill.pipeline.calibration import train_rows
from edgedistill.quant.search import Judge
from edgedistill.reports import Rung
from edgedistill.runner import Runner, is_answer

if TYPE_CHECKING:
    from edgedistill.targets import ExportConfig

_SEED = 0


def judge(folder: Path, manifest: Manifest, task: Task, data: Path | None, cfg: ExportConfig, student: Runner) -> Judge:
    """The judge of one search.

    Args:
        folder: the artifact being made; its tokenizer is there.
        manifest: what is known of it so far.
        task: the task.
        data: folder of its files.
        cfg: the budget, and how many rows.
        student: the student in PyTorch.

    Raises:
        DataError: the task's files cannot be used.
    """
    found = train_rows(task, data, cfg.search_rows, but_first=cfg.calibration_rows)
    texts = [clean(row["text"]) for row in found]
    pairs = [row["text_pair"] and clean(row["text_pair"]) for row in found]
    tokenizer = load_tokenizer(folder)
    encodings = encode(tokenizer, texts, pairs, cfg.max_length)
    outputs = {name: values for name, values in predict(student, encodings).items() if is_answer(name)}
    first = Golden(  # says which outputs count
        text=texts[0], input_ids=encodings[0].input_ids, token_type_ids=encodings[0].token_type_ids,
        student={name: [float(value) for value in np.ravel(values[0])] for name, values in outputs.items()},
        artifact={}, tolerance={},
    )  # fmt: skip
    rows = zip(*outputs.values(), strict=True)
    logits = [np.concatenate([np.ravel(value) for value in row]).tolist() for row in rows]
    reference = tuple(
        ReferenceRow(row_id=row["row_id"], text=text, text_pair=pair, label=row["label"], student=own)
        for row, text, pair, own in zip(found, texts, pairs, logits, strict=True)
    )

    def accuracy(runner: Runner) -> Rung:
        tolerances = build(Tolerances, {"metric_drop_points": cfg.max_drop}, "export")
        case = Case(folder, manifest, runner, tokenizer, (first,), reference, tolerances, _SEED)
        return drop_rung(case)

    longest = encode(tokenizer, [" ".join(texts)], [" ".join(map(str, pairs)) if pairs[0] else None], cfg.max_length)
    return Judge(
        accuracy=accuracy,
        p90_ms=_clock(longest[0]),
        metric=manifest.task.metric or "accuracy",
        source=f"train split of task '{task.name}', seed {_SEED}, none of them calibrates",
        max_drop=cfg.max_drop,
        max_bytes=cfg.max_bytes,
        max_p90_ms=cfg.max_p90_ms,
    )


def _clock(longest: Encoding) -> Callable[[Runner], float]:
    """Times a model on one text of the longest input, as bench's rapid mode does."""
    from edgedistill.measure.modes import find_mode
    from edgedistill.measure.statistics import milliseconds
    from edgedistill.measure.timing import interleaved, warm_up, without_collector

    inputs = pad([longest])

    def p90_ms(runner: Runner) -> float:
        with without_collector():
            warm_up(lambda: runner(inputs))
            samples = interleaved({"model": lambda: runner(inputs)}, find_mode("rapid"), _SEED)["model"]
        return float(np.percentile(milliseconds(samples), 90))

    return p90_ms
