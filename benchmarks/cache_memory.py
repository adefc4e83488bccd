"""Memory of a teacher's cache against its rows: filled from a stream, sealed, and read in another order.

    python benchmarks/cache_memory.py [--rows 10000,100000,1000000]

Each size runs in a process of its own with a tiny BERT as the teacher. Memory that is the process's own (anonymous) is
what has to stay flat; pages of the cache's files are the system's, which takes them back when it needs room. Writes
docs/results/cache.json and cache.md.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from own_process import by_size
from transformers import BertConfig, BertForSequenceClassification

from edgedistill import files
from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.cache_card import Fingerprint, Kept
from edgedistill.data.logit_cache import LogitCache
from edgedistill.models.answers import answer
from edgedistill.models.outputs import Outputs, Want

RESULTS = Path(__file__).parent.parent / "docs" / "results"
KEPT = Kept(cls=(1, 2), cls_dtype="float16", logits_dtype="float16")
WIDTH, TOKENS, BATCH, STRIDE = 32, 8, 512, 7_368_787


def main() -> None:
    """Measure every size, or the one size of this process."""
    found = by_size(__file__, "10000,100000,1000000", _measured)
    if found is None:
        return
    about = found | {"kept": str(KEPT)}
    files.write_json(RESULTS / "cache.json", about)
    files.write_text(RESULTS / "cache.md", _page(about))


def _measured(rows: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    teacher = _teacher()
    ask = lambda batch: _asked(teacher, batch)  # noqa: E731
    ask(next(_stream(BATCH)))  # libraries take their own room first
    with tempfile.TemporaryDirectory() as folder:
        cache = LogitCache(Path(folder), Fingerprint("teacher", "tokenizer", TOKENS, f"{rows} rows", KEPT))
        begun = memory("RssAnon")
        started = time.monotonic()
        with peak() as filling:
            cache.fill(_stream(rows), ask)
        filled = time.monotonic()
        cache = LogitCache(Path(folder), Fingerprint("teacher", "tokenizer", TOKENS, f"{rows} rows", KEPT))
        with peak() as reading:
            for start in range(0, rows, BATCH):
                ids = [_row_id(place * STRIDE % rows) for place in range(start, min(start + BATCH, rows))]
                cache.logits(ids)
                cache.cls(ids, KEPT.cls)
        read = time.monotonic()
        return {
            "rows": rows,
            "cache_bytes": sum(path.stat().st_size for path in Path(folder).iterdir()),
            "estimated_bytes": rows * KEPT.row_bytes(2, WIDTH),
            "own_bytes_before": begun,
            "own_bytes_filling": filling["peak"],
            "own_bytes_reading": reading["peak"],
            "peak_rss_bytes": memory("VmHWM"),
            "fill_seconds": round(filled - started, 1),
            "read_rows_per_second": round(rows / (read - filled)),
        }


def _teacher() -> BertForSequenceClassification:
    torch.manual_seed(0)
    shape = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 2 * WIDTH}
    return BertForSequenceClassification(BertConfig(vocab_size=1000, **shape)).eval()


def _asked(teacher: BertForSequenceClassification, batch: Batch) -> Outputs:
    with torch.no_grad():
        return answer(teacher, batch.teacher, Want(cls=KEPT.cls))


def _row_id(number: int) -> str:
    return f"corpus-{number}"


def _stream(rows: int) -> Iterator[Batch]:
    """Rows that nobody holds: each batch is made when it is asked for."""
    for start in range(0, rows, BATCH):
        numbers = torch.arange(start, min(start + BATCH, rows))
        ids = (numbers[:, None] * 31 + torch.arange(TOKENS) * 17) % 1000
        text = Encoded(ids, torch.ones_like(ids), torch.zeros_like(ids))
        yield Batch(tuple(_row_id(number) for number in numbers.tolist()), text, text)


@contextmanager
def peak() -> Iterator[dict[str, int]]:
    """The most memory of its own that this process has within the block, looked at every 10 ms."""
    found, is_over = {"peak": memory("RssAnon")}, threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            found["peak"] = max(found["peak"], memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        is_over.set()
        watcher.join()


def memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _page(about: dict[str, Any]) -> str:
    lines = [
        "# Memory of a teacher's cache",
        "",
        f"Measured {about['created'][:10]} on {about['environment']['cpu']} by `{about['command']}` in "
        f"{about['seconds']} s. Kept: {about['kept']}.",
        "",
        "| rows | cache, MB | as estimated before, MB | own memory before, MB | filling and sealing: most own, MB | "
        "reading in another order: most own, MB | largest RSS, pages of files included, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in about["sizes"]:
        names = ("cache", "estimated", "own_bytes_before", "own_bytes_filling", "own_bytes_reading", "peak_rss")
        values = [size[name if name.startswith("own") else f"{name}_bytes"] / 1e6 for name in names]
        numbers = " | ".join(f"{value:,.1f}" for value in values)
        lines.append(f"| {size['rows']:,} | {numbers} |")
    first, last = about["sizes"][0], about["sizes"][-1]
    if first is not last:
        grown = {
            name: (last[name] - first[name]) / (last["rows"] - first["rows"])
            for name in ("own_bytes_filling", "own_bytes_reading")
        }
        lines += [
            "",
            f"From {first['rows']:,} to {last['rows']:,} rows own memory grew by {grown['own_bytes_filling']:.1f} "
            f"bytes a row while filling and sealing, and by {grown['own_bytes_reading']:.1f} while reading; a row of "
            f"the cache is {last['cache_bytes'] / last['rows']:.0f} bytes.",
        ]
    return "\n".join([*lines, "", f"Environment: `{json.dumps(about['environment'])}`", ""])


if __name__ == "__main__":
    main()
