"""Benches of a written artifact on the device double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from android_bench.fake_device.device import FakeDevice
from edgedistill.pipeline.phone_bench import bench_on_phone
from edgedistill.reports import BenchReport
from tests.made import write_artifact
from tests.phones.fault_table import FastTicks, make_program


def bench(device: FakeDevice, tmp_path: Path, how: dict[str, Any] | None = None, **more: Any) -> BenchReport:
    folder = tmp_path / "artifact"
    if not folder.is_dir():
        write_artifact(folder)
    asked = {"serial": device.serial, "mode": "rapid", "threads": [1], "lengths": [8], "ticks": FastTicks(), **more}
    return bench_on_phone([folder], make_program(tmp_path / "bundle", **(how or {})), **asked)


def left(device: FakeDevice) -> list[str]:
    """Names on the device, runs among them."""
    return sorted(path.name for path in (device.root / "data/local/tmp/edgedistill").iterdir())
