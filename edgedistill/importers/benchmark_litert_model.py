"""LiteRT's benchmark_litert_model: the block it prints, or the JSON that its Python twin writes."""

from __future__ import annotations

import json
import re
from typing import Any

from edgedistill.errors import DataError
from edgedistill.importers._text import MEGA, find, is_number, last_part, need, scaled, whole
from edgedistill.reports import StatedLatency, StatedRow

_TOOL = "benchmark_litert_model"
_BLOCK = "BENCHMARK RESULTS"


def recognises(text: str) -> bool:
    """Whether it has the title of its block, or is its JSON object."""
    if _BLOCK in text and "Model initialization" in text:
        return True
    return text.lstrip().startswith("{") and '"model_size_mb"' in text and '"accelerators"' in text


def rows(text: str) -> list[StatedRow]:
    """One row for every block, or the object's one.

    Raises:
        DataError: a block or the object is incomplete.
    """
    if text.lstrip().startswith("{"):
        return [_of_json(text)]
    blocks = re.split(rf"=+ {_BLOCK} =+", text)[1:]
    if len(blocks) > 1 and not blocks[-1].strip():  # the title again, as a block's end
        blocks.pop()
    return [_of_block(block) for block in blocks]


def _of_block(text: str) -> StatedRow:
    graph = re.search(r"(?:Graph|Model): \[?([^\]\n]+?\.tflite)\]?", text)
    return StatedRow(
        model=last_part(graph.group(1) if graph else None),
        tool=_TOOL,
        source="unstated",
        latency=StatedLatency(
            runs=whole(find(r"Inference \(avg\):\s+[\d.]+ ms \({} runs\)", text)),
            min_ms=find(r"Inference \(min\):\s+{}", text),
            max_ms=find(r"Inference \(max\):\s+{}", text),
            mean_ms=need(r"Inference \(avg\):\s+{}", text, "'Inference (avg)'"),
            std_ms=find(r"Inference \(std\):\s+{}", text),
            first_ms=find(r"Warmup \(first\):\s+{}", text),
            load_ms=find(r"Model initialization:\s+{}", text),
        ),
        peak_memory_bytes=whole(find(r"Peak memory:\s+{}", text), MEGA),
        notes=("The printed block has no percentile; the tool's JSON has.",),
    )


def _of_json(text: str) -> StatedRow:
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise DataError(f"it is not whole JSON ({error}).") from error
    times = told.get("latency")
    if not isinstance(times, dict) or not is_number(times.get("avg_ms")):
        raise DataError("'latency' has no 'avg_ms'.")
    names = {"avg_ms": "mean_ms", "median_ms": "p50_ms", "warmup_first_ms": "first_ms", "init_ms": "load_ms"}
    names |= {name: name for name in ("min_ms", "max_ms", "std_ms", "p5_ms", "p95_ms")}
    accelerators = told.get("accelerators")
    shown = ", ".join(map(str, accelerators)) if isinstance(accelerators, list) else accelerators
    return StatedRow(
        model=last_part(str(told.get("model") or "")),
        tool=_TOOL,
        source="unstated",
        backend=str(shown) if shown else None,
        threads=whole(told["num_threads"]) if is_number(told.get("num_threads")) else None,
        latency=StatedLatency(
            runs=whole(times["num_runs"]) if is_number(times.get("num_runs")) else None,
            **{ours: scaled(times[theirs], 1.0) for theirs, ours in names.items() if is_number(times.get(theirs))},
        ),
        size_bytes=whole(told["model_size_mb"], MEGA) if is_number(told.get("model_size_mb")) else None,
        fallback_share=0.0 if told.get("fully_accelerated") is True else None,
        notes=("benchmark_litert_model writes no p90 and no p99.",),
    )
