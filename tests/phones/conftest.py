"""A device double that the real adb client talks to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from android_bench.fake_device.device import FakeDevice
from tests.phones.fault_table import private_adb, quick


@pytest.fixture(scope="module")
def own_adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with private_adb(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., FakeDevice]]:
    made: list[FakeDevice] = []

    def make(**more: Any) -> FakeDevice:
        made.append(FakeDevice(tmp_path / f"device{len(made)}", **more).__enter__())
        return made[-1]

    with quick(20.0):
        yield make
    subprocess.run(["adb", "disconnect"], check=False, capture_output=True)
    for one in made:
        one.__exit__(None, None, None)
