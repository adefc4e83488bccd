"""Fill a cache slowly, to be killed: `python -m tests.data.fill_cache FOLDER ROWS SECONDS_A_BATCH`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.cache_card import Fingerprint, Kept
from edgedistill.data.logit_cache import LogitCache
from edgedistill.models.outputs import Outputs

FINGERPRINT = Fingerprint("t", "k", 32, "d", Kept(cls=(1, 2), cls_dtype="bfloat16", logits_dtype="float16"))


def stream(rows: int, size: int = 100) -> Iterator[Batch]:
    """Rows that are made as they are asked for, each of four tokens."""
    for start in range(0, rows, size):
        numbers = torch.arange(start, min(start + size, rows))
        tokens = numbers[:, None] + torch.arange(4)
        text = Encoded(tokens, torch.ones_like(tokens), torch.zeros_like(tokens))
        yield Batch(tuple(f"train-{n}" for n in numbers.tolist()), text, text)


def ask(batch: Batch) -> Outputs:
    """A teacher of one line: its answers are about the row's own tokens."""
    numbers = batch.teacher.input_ids.float()
    return Outputs(logits=numbers[:, :2].sin(), cls=numbers[:, :, None].cos().expand(-1, -1, 8)[:, :2])


def filled(folder: Path, rows: int, pause: float = 0.0) -> LogitCache:
    """Fill it, or go on with it."""
    cache = LogitCache(folder, FINGERPRINT)

    def slowly(batch: Batch) -> Outputs:
        time.sleep(pause)
        return ask(batch)

    cache.fill(stream(rows), slowly)
    return cache


if __name__ == "__main__":
    filled(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
