"""A few steps of a stage in a torch profiler's trace, to be looked at in chrome://tracing or ui.perfetto.dev."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from edgedistill import files
from edgedistill.progress import hushed, say

_SKIPPED, _WARM, _TRACED = 10, 2, 3
"""Steps before anything is traced, while caches and allocators fill; that the tracer warms up in; that are kept."""


@contextmanager
def profiled(trace: Path | None, steps: int | None) -> Iterator[Callable[[], None]]:
    """Trace some steps of what is done in a block.

    Args:
        trace: Chrome JSON file to write; none: nothing is traced.
        steps: how many there will be; none: nobody knows, and of too few nothing is traced. Of few, the last ones are
            traced; of a single one nothing is skipped.

    Yields:
        What to call after every step.

    Raises:
        StorageError: the file cannot be written.
    """
    steps = _SKIPPED + _WARM + _TRACED if steps is None else steps
    if trace is None or steps < 1:
        yield lambda: None
        return
    traced = min(_TRACED, steps)
    warm = min(_WARM, steps - traced)
    skipped = min(_SKIPPED, steps - traced - warm)
    on_gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []

    def save(found: profile) -> None:
        with files.atomic_file(trace) as part:
            found.export_chrome_trace(str(part))

    with hushed():  # of a single step it says that nothing warmed it up
        running = profile(
            activities=[ProfilerActivity.CPU, *on_gpu],
            schedule=schedule(wait=skipped, warmup=warm, active=traced, repeat=1),
            on_trace_ready=save,
            acc_events=True,
        )
        running.start()
    taken = 0

    def note_step() -> None:
        nonlocal taken
        taken += 1
        if taken > skipped + warm + traced:
            return
        with hushed():  # the tracer talks about itself
            running.step()
        if taken == skipped + warm + traced:
            say(f"profile of {traced} steps: '{trace}'. Open it in ui.perfetto.dev or chrome://tracing")

    try:
        yield note_step
    finally:
        with hushed():
            running.stop()
        if taken <= skipped + warm:
            say(f"no profile: {taken} steps were too few, {skipped + warm + traced} are needed")
