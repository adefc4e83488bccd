"""How much memory this process held; alone in its file, so that a process that is weighed imports nothing else."""

from __future__ import annotations

import re
from pathlib import Path


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
