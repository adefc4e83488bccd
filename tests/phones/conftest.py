"""A device double, an adb server of its own, and a bundle whose runner is a stub."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from android_bench.fake_device.device import FakeDevice
from android_bench.fake_device.faults import Faults
from edgedistill.phones import adb
from edgedistill.phones.driver import Ticks
from edgedistill.phones.workplace import Program

MakeDevice = Callable[..., FakeDevice]


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server on a free port with a home of its own: nobody's phones are seen, nobody's keys are made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    private = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(tmp_path_factory.mktemp("home")), "ADB_MDNS": "0"}
    before = {name: os.environ.get(name) for name in private}
    os.environ.update(private)
    yield
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True)
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def device(adb_server: None, tmp_path: Path) -> Iterator[MakeDevice]:
    """Makes devices that end with the test; the adb server forgets them."""
    made: list[FakeDevice] = []

    def make(faults: Faults | None = None, **more: Any) -> FakeDevice:
        one = FakeDevice(tmp_path / f"device{len(made)}", faults, **more)
        one.__enter__()
        made.append(one)
        return one

    yield make
    subprocess.run(["adb", "disconnect"], check=False, capture_output=True)
    for one in made:
        one.__exit__(None, None, None)


def phone_of(device: FakeDevice) -> adb.Phone:
    return adb.choose(adb.find_adb(), device.serial)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """A bundle with the stub runner; what it says is in its own file."""

    def make(**how: Any) -> Program:
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).parent / "stub_runner.py", folder / "runner")
        (folder / "runner").chmod(0o755)
        (folder / "how.json").write_text(json.dumps({"ms": 25.0, "logits": [0.0, 1.0], **how}))
        return Program(folder, ("./runner",), {"onnx": "how.json", "tflite": "how.json"})

    return make


class FastTicks(Ticks):
    """Time of which every sleep is over at once; pauses are kept as real ones are counted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        super().__init__(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
