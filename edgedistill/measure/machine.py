"""What this machine lets a process do and know: cores, affinity, peak memory."""

from __future__ import annotations

import os
import re
from pathlib import Path


def cores() -> tuple[int, ...]:
    """Numbers of the cores this process may use, rising; all there are where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def affinity() -> str:
    """The same as `taskset -c` writes it, such as 0-3,6."""
    spans: list[list[int]] = []
    for core in cores():
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


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
