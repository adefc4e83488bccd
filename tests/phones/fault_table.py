"""Everything that can go wrong between a host and a phone, injected one by one, with what the user then reads.

    python -m tests.phones.fault_table        prints the table; needs adb

Each fault is made with the device double and the real adb client; the tests run the same list.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from android_bench.fake_device.device import FakeDevice
from android_bench.fake_device.faults import Faults
from android_bench.fake_device.furniture import set_free
from edgedistill.cli.group import INTERRUPTED
from edgedistill.errors import EdgeDistillError
from edgedistill.phones import driver, workplace
from edgedistill.phones.driver import Ticks
from edgedistill.phones.workplace import Program
from edgedistill.pipeline.phone_bench import bench_on_phone
from edgedistill.reports import BenchReport
from tests.made import write_artifact

STUB = Path(__file__).parent / "stub_runner.py"


@dataclass(frozen=True)
class Case:
    """A fault, and what must come of it.

    Attributes:
        name: of the fault.
        expects: a regular expression of the message; of what is said on the way where the bench ends well.
        faults: of the device.
        how: of the stub runner.
        props: of the device.
        ends_well: whether the bench has its rows in the end.
        change: done to the device before.
        goes_on: whether the phone is connected again after the bench has ended, and the same command given again.
        interrupts: whether Ctrl-C is pressed while it measures.
        serial: asked for; `SELF` is the device's own, none: none is named.
        devices: how many there are.
    """

    name: str
    expects: str
    faults: dict[str, Any] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)
    props: dict[str, str] = field(default_factory=dict)
    ends_well: bool = False
    change: Callable[[FakeDevice], None] = lambda device: None
    goes_on: bool = False
    interrupts: bool = False
    serial: str | None = "SELF"
    devices: int = 1


def _forbid(device: FakeDevice) -> None:
    """Where the bench's folder is to be lies something else."""
    (device.root / "data/local/tmp/edgedistill").touch()


CASES = (
    Case("no phone", "no phone is connected. Plug one in", serial=None, devices=0),
    Case("several phones", "several phones are connected: .* Name one: --device adb:", serial=None, devices=2),
    Case("another serial", "no phone 'nobody'. adb knows: 127", serial="nobody"),
    Case("unauthorized", "is unauthorized: allow this computer on the phone's screen", {"unauthorized": True}),
    Case("offline", "is offline: unplug it and plug it in again", {"silent": True}),
    Case("32-bit phone", "runs armeabi-v7a; the runner is built for arm64-v8a",
         props={"ro.product.cpu.abilist": "armeabi-v7a"}),
    Case("old Android", r"has Android 6 \(API 23\); the oldest that works is API 24",
         props={"ro.build.version.sdk": "23", "ro.build.version.release": "6"}),
    Case("not Android", "does not answer as Android does", props={"ro.build.version.sdk": ""}),
    Case("little space, said before", "MB free in /data/local/tmp; the bench takes",
         change=lambda device: set_free(device.root, 100)),
    Case("folder that nobody may write to", "lets nobody write to /data/local/tmp. Restart it", change=_forbid),
    Case("no space while copying", "has no space left for copying", {"space_bytes": 200}),
    Case("cable out while copying", "went away while copying .*Waiting", {"drops_mid_push": 1}, ends_well=True),
    Case("damaged once on the way", "", {"damages": 1}, ends_well=True),
    Case("damaged every time", "arrives damaged on phone .* Use another cable", {"damages": 99}),
    Case("slow cable", "", {"push_delay_seconds": 0.1}, ends_well=True),
    Case("cable out while running", "went away.*Waiting for it", {"drops_mid_run": 1}, ends_well=True),
    Case("restarted while running", "is back", {"reboots_mid_run": 1}, ends_well=True),
    Case("cable out at every attempt", "went away 3 times at the same place", {"drops_mid_run": 9}),
    Case("cable out while fetching", "went away while copying .*Waiting", {"drops_mid_pull": 1}, ends_well=True),
    Case("gone for good", "did not come back within 120 s. What is finished is kept", {"gone_mid_run": True}),
    Case("gone for good, and the command given again", "is kept.*going on after 1 finished slice of",
         {"gone_mid_run": True, "spared_runs": 2}, goes_on=True, ends_well=True),
    Case("Ctrl-C", r"stopped; of the run nothing is left on the phone", how={"seconds": 20.0}, interrupts=True),
    Case("program hangs", "said nothing for 1 s. It may be asleep", {"hangs": True}),
    Case("program prints rubbish", "", {"garbage": True}, ends_well=True),
    Case("result is rubbish", "is no readable result", how={"rubbish": True}),
    Case("program cannot start", "ended with exit code 126|ended with exit code 127", how={"no_runner": True}),
    Case("program is killed", "ended the runner at .* for want of memory", how={"code": 137}),
    Case("model does not load", "could not run .*: opset 99 is unknown", 
         how={"fails": "opset 99 is unknown", "code": 2}),
    Case("no space while it runs", "could not run .*: cannot write 'outputs.bin': No space left on device",
         how={"fails": "cannot write 'outputs.bin': No space left on device.", "code": 2}),
    Case("an emulator", "", props={"ro.kernel.qemu": "1"}, how={"source": "qemu"}, ends_well=True),
)  # fmt: skip


@contextmanager
def quick(seconds: float = 1.0) -> Iterator[None]:
    """Shorter waits."""
    before = workplace.SILENCE_SECONDS
    workplace.SILENCE_SECONDS = seconds
    try:
        yield
    finally:
        workplace.SILENCE_SECONDS = before


def make_program(folder: Path, **how: Any) -> Program:
    """A bundle with the stub runner."""
    folder.mkdir(exist_ok=True)
    if not how.get("no_runner"):
        shutil.copy(STUB, folder / "runner")
        (folder / "runner").chmod(0o755)
    (folder / "how.json").write_text(json.dumps({"ms": 25.0, "logits": [0.0, 1.0], **how}))
    return Program(folder, ("./runner",), {"onnx": "how.json", "tflite": "how.json"})


class FastTicks(Ticks):
    """Time of which every sleep is over at once, but for a moment to let the device act."""

    def __init__(self, pause: float = 0.05) -> None:
        self.now, self._pause = 0.0, pause
        super().__init__(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, self._pause))
        self.now += seconds


@dataclass(frozen=True)
class Ending:
    """What came of a fault.

    Attributes:
        words: what the user reads.
        report: none where the bench ended without one.
        exit_code: what the command line ends with.
    """

    words: str
    report: BenchReport | None
    exit_code: int

    @property
    def end(self) -> str:
        """In the table's words."""
        if self.report is None:
            return "Ctrl-C" if self.exit_code == INTERRUPTED else f"exit code {self.exit_code}"
        return f"{len(self.report.rows)} row{'' if len(self.report.rows) == 1 else 's'}"


def run(case: Case, folder: Path) -> Ending:
    """Make a fault happen."""
    said: list[str] = []
    faults = Faults(**{"away_seconds": 0.5, **case.faults})
    say = driver.say
    driver.say = said.append  # type: ignore[assignment]
    try:
        with ExitStack() as stack:
            stack.enter_context(quick(1.0 if faults.hangs else 60.0))
            made = [FakeDevice(folder / f"device{n}", faults, case.props) for n in range(case.devices)]
            for device in made:
                stack.enter_context(device)
                case.change(device)
                subprocess.run(["adb", "connect", device.serial], check=False, capture_output=True)
            stack.callback(subprocess.run, ["adb", "disconnect"], check=False, capture_output=True)
            serial = made[0].serial if case.serial == "SELF" else case.serial
            if case.interrupts:
                threading.Thread(target=_press_ctrl_c, args=(made[0],), daemon=True).start()
            try:
                report = _bench(case, folder, serial)
            except EdgeDistillError as error:
                if not case.goes_on:
                    raise
                said.append(f"Error: {error}")
                made[0].plug_in_again()
                report = _bench(case, folder, serial)
            return Ending("\n".join(said), report, 0)
    except EdgeDistillError as error:
        return Ending("\n".join([*said, f"Error: {error}"]), None, error.exit_code)
    except KeyboardInterrupt:
        left = [*folder.glob("device*/data/local/tmp/edgedistill/r-*")]
        words = f"(stopped; of the run {'something' if left else 'nothing'} is left on the phone)"
        return Ending(words, None, INTERRUPTED)
    finally:
        driver.say = say  # type: ignore[assignment]


def _bench(case: Case, folder: Path, serial: str | None) -> BenchReport:
    artifact = write_artifact(folder / "artifact")
    return bench_on_phone(
        [artifact], make_program(folder / "bundle", **case.how), serial=serial, mode="rapid", threads=[1], lengths=[8],
        ticks=FastTicks(),
    )  # fmt: skip


def _press_ctrl_c(device: FakeDevice) -> None:
    """Once the second program runs, which is the first that is timed."""
    end = time.monotonic() + 60
    while sum("exec" in script for script in device.scripts) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def private_adb(home: Path) -> Iterator[None]:
    """An adb server on a free port with a home of its own: nobody's phones are seen, nobody's keys are made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    private = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(home), "ADB_MDNS": "0"}
    before = {name: os.environ.get(name) for name in private}
    os.environ.update(private)
    subprocess.run(["adb", "start-server"], check=False, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


HEAD = """# What can go wrong between a computer and a phone

Every fault was made with the device double and the real adb client (`python -m tests.phones.fault_table`).
No phone was there.

| fault | ends with | what is read |
|---|---|---|
"""


def shown(words: str, folder: Path) -> str:
    """Words as a cell of the table: ports, folders and random names left out."""
    words = re.sub(r"127\.0\.0\.1:\d+", "PHONE", words.replace(str(folder), "..."))
    words = re.sub(r"\b[br]-[0-9a-f]{16}", "...", re.sub(r"[0-9a-f]{64}", "...", words))
    return words.replace("|", r"\|").replace("\n", "<br>") or "(nothing: it goes on)"


def main() -> None:
    """Print the page."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would not hear it
    sys.stdout.write(HEAD)
    with tempfile.TemporaryDirectory() as home, private_adb(Path(home)):
        for number, case in enumerate(CASES):
            (place := Path(home) / str(number)).mkdir()
            found = run(case, place)
            sys.stdout.write(f"| {case.name} | {found.end} | {shown(found.words, Path(home))} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
