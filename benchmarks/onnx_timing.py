"""Shared by the benchmarks of ONNX files: one thread, real text of one length, models in turns, processor time.

Processor time of the one thread that works is what another process on the same core cannot change much; every ratio is
of models that took turns in one run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.data.probes import PLAIN
from edgedistill.data.readers import text_lines
from edgedistill.measure.modes import Mode
from edgedistill.measure.timing import interleaved, without_collector

Arrays = dict[str, NDArray[Any]]
_ERRORS_ONLY = 3


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """A model in ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    given = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def answer(model: onnxruntime.InferenceSession, inputs: Arrays) -> NDArray[Any]:
    """The first output."""
    found: NDArray[Any] = model.run(None, {value.name: inputs[value.name] for value in model.get_inputs()})[0]
    return found


def texts_from(path: Path | None, count: int, seed: int) -> list[str]:
    """Paragraphs of 300 to 1200 characters of a file of text, or ones put together from built-in sentences."""
    if path is None:
        draw = random.Random(seed)
        return [" ".join(draw.sample(PLAIN, 20)) for _ in range(count)]
    lines = (line.strip() for _, line in text_lines(path))
    return random.Random(seed).sample([line for line in lines if 300 < len(line) < 1200], count)


def inputs_of(folder: Path, texts: Sequence[str], length: int) -> list[Arrays]:
    """The texts in a checkpoint's tokens, (1, length) each."""
    return [pad([encoding], length) for encoding in encode(load_tokenizer(folder), texts, max_length=length)]


def relative_error(ours: Sequence[NDArray[Any]], theirs: Sequence[NDArray[Any]], inputs: Sequence[Arrays]) -> float:
    """|difference| / |theirs| over the real tokens of all texts, or over whole answers where they are a row each."""
    cut = [each["attention_mask"][0].astype(bool) if theirs[0].ndim == 3 else slice(None) for each in inputs]
    pairs = [(a[0][mask], b[0][mask]) for a, b, mask in zip(ours, theirs, cut, strict=True)]
    return float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs) / sum((b**2).sum() for _, b in pairs)))


def timed(models: Mapping[str, Callable[[Arrays], object]], inputs: Sequence[Arrays], runs: int, seed: int) -> Any:
    """Milliseconds of processor time, p50 and p90, by model."""
    turns = {name: cycle(inputs) for name in models}
    calls = {name: lambda name=name: models[name](next(turns[name])) for name in models}
    for call in calls.values():
        call()
    with without_collector():
        seconds = interleaved(calls, Mode("rapid", runs, 0.0, 60.0), seed, time.process_time)
    return {
        name: {"p50_ms": 1e3 * float(np.percentile(v, 50)), "p90_ms": 1e3 * float(np.percentile(v, 90)), "runs": len(v)}
        for name, v in seconds.items()
    }


def processor() -> dict[str, Any]:
    """What this processor has for integer products, as the system tells."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    return {name: name in flags for name in ("avx2", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8")}
