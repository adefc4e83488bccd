"""What an encoder-decoder's texts cost to write: multiply-accumulates (MACs), and milliseconds of its export.

A text costs what its length makes it cost, so that means and percentiles are over texts: some of the judged rows, each
source at its own length.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import exported
from torch.utils.flop_counter import FlopCounterMode

from edgedistill.artifacts import Seq2Seq, read_manifest
from edgedistill.data.batches import Encoded
from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.models.loading import load
from edgedistill.models.seq2seq import write
from edgedistill.pipeline.runners import open_runner
from edgedistill.reports import STUDENT_CARD, StudentCard, read
from edgedistill.runner import Arrays, Runner

WARM_UP = 3
"""Texts that are written before the time counts."""


def sources(student: Path, count: int) -> list[Arrays]:
    """So many of the rows that a student was judged on, spread evenly over them; (1, S) arrays."""
    rows = [json.loads(line) for line in (student / "written.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    length = read(StudentCard, student / STUDENT_CARD).task.max_length
    texts, pairs = ([row[name] for row in chosen] for name in ("text", "text_pair"))
    return [pad([row]) for row in encode(load_tokenizer(student), texts, pairs, length)]


def macs(student: Path, given: Sequence[Arrays]) -> dict[str, dict[str, float]]:
    """Multiply-accumulates of a text, encoder and every step of the decoder; the mean of those sources' texts.

    Args:
        student: its folder.
        given: sources.

    Returns:
        By way (greedy, beams: as it was judged): beams, macs and words (mean of a text, its end counted).
    """
    model: Any = load(student).model.eval()
    found = {}
    for way, beams in (("greedy", 1), ("beams", int(model.generation_config.num_beams))):
        words = 0
        with FlopCounterMode(display=False) as counter:
            for source in given:
                ids, mask = (torch.as_tensor(np.asarray(source[name])) for name in ("input_ids", "attention_mask"))
                words += len(write(model, Encoded(ids, mask, torch.zeros_like(ids)), beams)[0]) - 1  # its start
        products = counter.get_total_flops() / 2
        found[way] = {"beams": beams, "macs": products / len(given), "words": words / len(given)}
    return found


def times(student: Path, given: Sequence[Arrays], out: Path) -> dict[str, dict[str, float]]:
    """Its onnx fp32 export writing on one thread, greedily and as it was judged, in turns, text by text.

    Args:
        student: its folder.
        given: sources.
        out: the export's folder.

    Returns:
        By way (greedy, beams): p50_ms and p90_ms of a text.
    """
    ways = _ways(student, out)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number, source in enumerate([*given[:WARM_UP], *given]):
        for way in random.Random(number).sample(list(ways), len(ways)):
            started = time.perf_counter()
            ways[way](source)
            taken[way].append(1000 * (time.perf_counter() - started))
    shares = {way: np.percentile(spent[WARM_UP:], (50, 90)) for way, spent in taken.items()}
    return {way: {"p50_ms": float(p50), "p90_ms": float(p90)} for way, (p50, p90) in shares.items()}


def _ways(student: Path, out: Path) -> dict[str, Runner]:
    length = read(StudentCard, student / STUDENT_CARD).task.max_length
    manifest = read_manifest(exported(student, out, "onnx", "fp32", length))
    assert isinstance(manifest.driver, Seq2Seq)
    alone: dict[str, Any] = {"driver": manifest.driver.model_copy(update={"beams": 1, "length_penalty": 1.0})}
    each = {"greedy": manifest.model_copy(update=alone), "beams": manifest}
    return {way: open_runner(out, one) for way, one in each.items()}
