"""How much memory a process held."""

from pathlib import Path

from edgedistill import memory


def test_peak_memory_is_read_from_the_system(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  1624 kB\nVmRSS:\t 3 kB\n")
    assert memory.peak_rss_bytes(status) == 1624 * 1024
    status.write_text("Name:\tx\n")
    assert memory.peak_rss_bytes(status) is None
    assert memory.peak_rss_bytes(tmp_path / "absent") is None
