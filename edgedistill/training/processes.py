"""This process among those that train together: its place, its device, and what they tell each other.

Every process has the whole student and works on its share of every step's rows; gradients are summed, so that all take
the same step (data parallelism). Whoever started them (`--launch`, torchrun) has set where they meet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgedistill.errors import LostProcessError

if TYPE_CHECKING:
    from accelerate import Accelerator

_LONGEST_WAIT = timedelta(hours=12)
"""Of a process for the others, while one of them judges or looks for words; NCCL would give up after ten minutes."""


@cache
def accelerator() -> Accelerator:
    """This process's place among all, and its device; built once, as accelerate wants it."""
    from accelerate import Accelerator, InitProcessGroupKwargs

    # Without a word about processors accelerate takes each of several processes without a GPU for the only one.
    on_processors = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    waits = InitProcessGroupKwargs(timeout=_LONGEST_WAIT)
    return Accelerator(cpu=True if on_processors else None, kwargs_handlers=[waits])


def summed(values: Tensor) -> Tensor:
    """The sum of every process's `values`; themselves where there is one process.

    Raises:
        LostProcessError: another process has ended.
    """
    if accelerator().num_processes == 1:
        return values
    with _together():
        total: Tensor = accelerator().reduce(values, "sum")
        return total


def wait_for_all() -> None:
    """Return when every process has called it.

    Raises:
        LostProcessError: another process has ended.
    """
    with _together():
        accelerator().wait_for_everyone()


@contextmanager
def main_first(*, on_each_machine: bool = False) -> Iterator[None]:
    """Run a block in the main process before the others run it; they find what it stored.

    Args:
        on_each_machine: in the first process of every machine, for what is stored on each.

    Raises:
        LostProcessError: another process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # nobody to wait for, and accelerate need not be imported
        yield
        return
    is_first = accelerator().is_local_main_process if on_each_machine else accelerator().is_main_process
    if not is_first:
        wait_for_all()
    yield
    if is_first:
        wait_for_all()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo and NCCL alike: they have no class of their own
        if accelerator().num_processes == 1 or type(error).__name__ == "OutOfMemoryError":
            raise
        raise LostProcessError(
            f"process {accelerator().process_index} of {accelerator().num_processes}: another process of this run has "
            f"ended or cannot be reached ({str(error).splitlines()[0]}). The last saved step is kept; pass --resume to "
            "go on with it."
        ) from error
