"""This process's memory: how much it held, in how large pages. A process that is weighed imports nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""torch's variable."""


def peak_rss_bytes(status: Path = Path("/proc/self/status")) -> int | None:
    """Most memory this process ever held; none where the system does not say.

    VmHWM starts anew with every program. `getrusage` would not do: its maximum is inherited from the process
    that started this one.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def ask_for_huge_pages() -> None:
    """Let torch ask the system for pages of 2 MB where a tensor fills some; before torch is imported, else for nothing.

    Each step of training takes and gives back the gradients of a whole vocabulary, and on a processor a good part of it
    goes into the system's clearing them in pages of 4 kB. Where the user has set torch's variable, that holds.
    """
    os.environ.setdefault(HUGE_PAGES, "1")
