"""plan --device adb on the device double through the real adb client: what is timed there, scaled, and refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from android_bench.fake_device.device import FakeDevice
from edgedistill import reports
from edgedistill.cli.verbs import edgedistill
from edgedistill.phones import adb
from edgedistill.phones.bundle import CARD, Bundle
from edgedistill.phones.driver import Ticks
from edgedistill.pipeline import shape_clocks, trials
from edgedistill.pipeline.shape_plan import ShapePlan
from tests.made import write_artifact
from tests.phones.fault_table import FastTicks, make_program, private_adb, quick
from tests.support import save_checkpoint, tiny_model
from tests.tools import needs

pytestmark = [pytest.mark.long, needs("adb")]
LENGTH = 8


@pytest.fixture(scope="module", autouse=True)
def _adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with private_adb(tmp_path_factory.mktemp("home")), quick(20.0):
        yield


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No conversion: shapes are bytes, for the stub runner says made-up times of whatever it is given. No rests."""

    def write(folder: Path, teacher: Any, candidate: Any, cfg: Any) -> int:
        write_artifact(folder)
        return int(candidate.sizes[cfg.scheme])

    def clock(*given: Any, ticks: Ticks | None = None, **named: Any) -> shape_clocks.PhoneClock:
        return phone_clock(*given, ticks=FastTicks(), **named)

    phone_clock = shape_clocks.phone_clock
    monkeypatch.setattr(trials, "write", write)
    monkeypatch.setattr(shape_clocks, "phone_clock", clock)


def bundle_of(folder: Path, **how: Any) -> Path:
    """A bundle of the stub runner with its card."""
    program = make_program(folder, **how)
    card = Bundle(
        created="now", runtime_build="glibc-wheel", runtimes={}, libraries={"onnx": "how.json"},
        command=program.command, files=(),
    )  # fmt: skip
    reports.save(card, folder / CARD)
    return folder


def plan_on(device: FakeDevice, tmp_path: Path, *more: str, target: str = "onnx", **how: Any) -> Result:
    subprocess.run(["adb", "connect", device.serial], check=False, capture_output=True)
    teacher = tmp_path / "teacher"
    if not teacher.is_dir():
        save_checkpoint(teacher, tiny_model())
    words = ["plan", "--teacher", teacher, "--target", target, "--length", LENGTH, "--device", f"adb:{device.serial}"]
    bundle = bundle_of(tmp_path / "bundle", **how)
    return CliRunner().invoke(edgedistill, [*map(str, words), "--bundle", str(bundle), *more])


def test_shapes_are_timed_there_and_the_others_scaled(tmp_path: Path) -> None:
    with FakeDevice(tmp_path / "device") as device:
        done = plan_on(device, tmp_path, "--p90-ms", "30", "--shapes", "2", "--affinity", "big", "--json")
        assert done.exit_code == 0, done.output
        made = ShapePlan.model_validate(json.loads(done.stdout))
        timed = [row for row in made.rows if row.latency]
        assert [row.latency.p90_ms for row in timed if row.latency] == [25.0, 25.0], "the stub says 25 ms of everything"
        assert {row.validity for row in timed} == {"valid"}
        assert all(row.scaled and set(row.scaled.anchors) <= {one.name for one in timed} for row in made.rows[2:])
        assert (made.device, made.phone and made.phone.model) == ("phone", "Acme Double")
        assert made.best == made.rows[0].name
        assert "--affinity big" in made.command
        assert device.serial not in done.stdout.replace(made.command, "")
        assert "Acme Double, run by adb shell" in " ".join(made.notes)
        names = [path.name[:2] for path in (device.root / "data/local/tmp/edgedistill").iterdir()]
        assert sorted(set(names)) == ["b-", "m-"], "nothing of a run is left"

        slow = plan_on(device, tmp_path, "--p90-ms", "10", "--shapes", "2")
        assert slow.exit_code == 1, "the gate of time can fail on a phone too"
        assert "on Acme Double (phone)" in unwrapped(slow.stdout)
        assert "nothing timed meets the budget" in unwrapped(slow.stdout)


def test_what_is_no_phones_time_is_refused(tmp_path: Path) -> None:
    with FakeDevice(tmp_path / "device") as device:
        other = plan_on(device, tmp_path, target="coreml") if _has_coreml() else None
        assert other is None or (other.exit_code, "plan times onnx, not 'coreml'" in unwrapped(other.stderr)) == (
            3,
            True,
        )
        emulated = plan_on(device, tmp_path, source="qemu")
        assert (emulated.exit_code, "would be the emulator's" in unwrapped(emulated.stderr)) == (3, True)
    with FakeDevice(tmp_path / "emulator", props={"ro.kernel.qemu": "1"}) as emulator:
        refused = plan_on(emulator, tmp_path)
        assert (refused.exit_code, "is an emulator, whose times mean nothing" in unwrapped(refused.stderr)) == (3, True)
        nobody = CliRunner().invoke(edgedistill, ["plan", "--teacher", "t", "--target", "onnx", "--device", "adb:no"])
        assert (nobody.exit_code, "no phone 'no'" in unwrapped(nobody.stderr)) == (3, True)
        assert adb.find_adb()


def unwrapped(text: str) -> str:
    """Without the breaks that a narrow terminal makes."""
    return " ".join(text.split())


def _has_coreml() -> bool:
    from importlib.util import find_spec

    return find_spec("coremltools") is not None
