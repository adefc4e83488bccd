import os
from pathlib import Path

import pytest

from edgedistill.measure import machine
from edgedistill.reports import Heat


def test_affinity_is_written_as_taskset_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 7, 8}, raising=False)
    assert machine.cores() == (0, 1, 2, 5, 7, 8)
    assert machine.affinity() == "0-2,5,7-8"


def test_all_cores_count_where_the_system_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine.affinity() == "0-3"


def test_heat_and_clock_are_read_where_the_system_has_them(tmp_path: Path) -> None:
    assert machine.heat(tmp_path, tmp_path) is None
    for zone, text in (("thermal_zone0", "41000\n"), ("thermal_zone1", "52340\n"), ("thermal_zone2", "")):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "temp").write_text(text)
    assert machine.heat(tmp_path, tmp_path) == Heat(celsius=52.3, mhz=None)
    folder = tmp_path / f"cpu{machine.cores()[0]}" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_cur_freq").write_text("1800000\n")
    assert machine.heat(tmp_path / "none", tmp_path) == Heat(celsius=None, mhz=1800.0)
