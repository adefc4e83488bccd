"""How much memory a process held, and in which pages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill import memory


def test_peak_memory_is_read_from_the_system(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  1624 kB\nVmRSS:\t 3 kB\n")
    assert memory.peak_rss_bytes(status) == 1624 * 1024
    status.write_text("Name:\tx\n")
    assert memory.peak_rss_bytes(status) is None
    assert memory.peak_rss_bytes(tmp_path / "absent") is None


SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HELD = """
from pathlib import Path
from edgedistill import distill
from edgedistill.errors import EdgeDistillError
try:
    distill("no such recipe", out="nowhere")
except EdgeDistillError:
    pass
import torch
kept = torch.ones(2**25)
print(Path("/proc/self/smaps_rollup").read_text())
"""


@pytest.mark.skipif(not SETTING.exists() or "[madvise]" not in SETTING.read_text(), reason="the system gives none")
def test_training_gets_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """128 MiB of a tensor lie in pages of 2 MB; the system may have too few for all of it, not for a single one."""
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    (found,) = re.findall(r"AnonHugePages: +(\d+) kB", done.stdout)
    assert int(found) >= 2048


def test_a_user_who_wants_no_huge_pages_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    memory.ask_for_huge_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
