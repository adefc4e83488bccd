import os
from pathlib import Path

import pytest

from edgedistill.measure import machine


def test_affinity_is_written_as_taskset_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 7, 8}, raising=False)
    assert machine.cores() == (0, 1, 2, 5, 7, 8)
    assert machine.affinity() == "0-2,5,7-8"


def test_all_cores_count_where_the_system_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine.affinity() == "0-3"


def test_peak_memory_is_read_from_the_system(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  1624 kB\nVmRSS:\t 3 kB\n")
    assert machine.peak_rss_bytes(status) == 1624 * 1024
    status.write_text("Name:\tx\n")
    assert machine.peak_rss_bytes(status) is None
    assert machine.peak_rss_bytes(tmp_path / "absent") is None
