"""Batches on their way to a GPU: the next one is made and pinned while the one before is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from edgedistill.data.batches import Batch


def fed(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches in the same order, one of them always ahead where the device is a GPU.

    Beside a processor that learns itself, a thread that makes batches would only take its time.
    """
    return (_ahead(batch.pinned() for batch in batches)) if device.type == "cuda" else batches


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Make the next batch in a thread; what goes wrong in it is raised when that batch is asked for."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
