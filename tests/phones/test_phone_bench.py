"""A bench on the device double through the real adb client: what is copied, run, kept, resumed and reported."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from android_bench.fake_device.device import FakeDevice
from android_bench.fake_device.faults import Faults
from android_bench.fake_device.furniture import BIG_KHZ, set_celsius
from edgedistill import reports
from edgedistill.artifacts import read_manifest
from edgedistill.errors import ConfigError, DeviceError
from edgedistill.gate.case import read_goldens
from edgedistill.phones import adb, driver, heat, preflight, selftest
from edgedistill.phones.bundle import CARD, Bundle
from edgedistill.phones.driver import Journal
from edgedistill.phones.workplace import Workplace
from edgedistill.pipeline import phone_bench
from edgedistill.pipeline.doctor import doctor
from edgedistill.pipeline.phone_bench import JOURNAL, bench_on_phone, name_of
from edgedistill.reports import BenchReport, Heat
from tests.made import write_artifact
from tests.phones.benches import bench, left
from tests.phones.fault_table import CASES, Case, FastTicks, make_program, run
from tests.tools import needs

pytestmark = [needs("adb"), pytest.mark.usefixtures("own_adb")]


@pytest.mark.slow
def test_the_road(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    report = bench(phone, tmp_path, threads=[1, 2], affinity="big", out=tmp_path / "all.json")

    assert [(row.threads, row.source, row.affinity, row.validity) for row in report.rows] == [
        (1, "phone", "f0", "valid"),
        (2, "phone", "f0", "valid"),
    ]
    row = report.rows[0]
    assert (row.device, row.latency.p90_ms, row.latency.load_ms, row.latency.first_ms) == (
        "Acme Double, AC1000", 25.0, 80.0, 9.0,
    )  # fmt: skip
    assert sum(row.samples_ms) >= 6000
    assert row.heat_before == Heat(celsius=40.0, mhz=2100.0, thermal_status=0, battery_celsius=30.0, battery_percent=80)
    assert row.heat_after is not None
    assert row.heat_after.mhz == BIG_KHZ / 1000, "clocks are those of the cores that were used"

    (test,) = report.self_tests
    assert (test.status, test.source, test.goldens, test.within, test.agreement, test.max_abs) == (
        "passed", "phone", 1, 1, 1.0, 0.0,
    )  # fmt: skip
    assert report.phone is not None
    assert (report.phone.android, report.phone.sdk, len(report.phone.cores)) == ("14", 34, 8)
    assert phone.serial not in report.model_dump_json().replace(report.command, ""), "serial numbers stay at home"
    assert [moment.seconds for moment in report.timeline] == sorted(moment.seconds for moment in report.timeline)
    for path in (tmp_path / "all.json", tmp_path / "artifact" / name_of(report.phone)):
        assert reports.read(BenchReport, path) == report

    assert [name[:2] for name in left(phone)] == ["b-", "m-"], "nothing of a run is left"
    copied = [name for name in phone.pushed if "/b-" in name or "/m-" in name]
    assert len(copied) == len(set(copied)) == 3
    bench(phone, tmp_path)
    assert [name for name in phone.pushed if "/b-" in name or "/m-" in name] == copied, "what is there is not copied"


@pytest.mark.long
def test_an_emulator_answers_and_is_not_timed(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    report = bench(device(props={"ro.boot.qemu": "1"}), tmp_path, {"source": "qemu"})
    assert (report.rows, report.self_tests[0].source, report.self_tests[0].status) == ((), "qemu", "passed")
    assert "its times mean nothing" in " ".join(report.notes)


@pytest.mark.long
def test_a_program_that_finds_itself_emulated_gives_no_row(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    assert bench(device(), tmp_path, {"source": "qemu"}).rows == ()


@pytest.mark.parametrize(
    ("answers", "status", "within"),
    [
        ([{"logits": [0.0, 1.00005]}], "passed", 1),
        ([{"logits": [0.0, 1.01]}], "failed", 0),
        ([{"logits": [0.0, float("nan")]}], "failed", 0),
        ([{"logits": [0.0]}], "failed", 0),
        ([{"scores": [0.0, 1.0]}], "failed", 0),
        ([], "failed", 0),
    ],
)
def test_wrong_answers_fail_the_self_test(
    tmp_path: Path, answers: list[dict[str, list[float]]], status: str, within: int
) -> None:
    folder = write_artifact(tmp_path / "artifact")
    goldens, part = read_goldens(folder), read_manifest(folder)
    arrays = [{name: np.array([values], np.float32) for name, values in answer.items()} for answer in answers]
    test = selftest.judge("artifact", "0" * 64, part, goldens, arrays, is_emulated=False)
    assert (test.status, test.within, bool(test.reason)) == (status, within, status == "failed")


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_has_its_message(case: Case, tmp_path: Path) -> None:
    found = run(case, tmp_path)
    assert re.search(case.expects, found.words, re.DOTALL), found.words
    rows = "0 rows" if case.name == "an emulator" else "1 row"
    assert found.end == (rows if case.ends_well else "Ctrl-C" if case.interrupts else "exit code 3")
    for place in tmp_path.glob("device*/data/local/tmp/edgedistill/r-*"):
        assert case.name == "gone for good", f"{place} was left behind"


@pytest.mark.long
def test_a_bench_goes_on_after_its_last_finished_slice(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    plain = bench(phone, tmp_path, threads=[1, 2])
    journal = tmp_path / "artifact" / JOURNAL
    assert not journal.exists()

    phone.faults = Faults()
    runs = [0]
    begin = driver.heat.cool_down

    def stop_at_the_third(*words: Any) -> Any:
        runs[0] += 1
        if runs[0] == 3:
            raise KeyboardInterrupt
        return begin(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver.heat, "cool_down", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            bench(phone, tmp_path, threads=[1, 2])
    kept = Journal.model_validate_json(journal.read_bytes())
    assert len(kept.slices) == 2

    runs[0] = 100
    began = len([script for script in phone.scripts if "exec" in script])
    report = bench(phone, tmp_path, threads=[1, 2])
    ran = len([script for script in phone.scripts if "exec" in script]) - began
    assert ran == 1 + 2, "the goldens, and the two slices of four that were missing"
    assert [row.latency.runs for row in report.rows] == [row.latency.runs for row in plain.rows]
    assert not journal.exists()

    journal.write_text(json.dumps(kept.model_dump(mode="json") | {"key": "another bench"}))
    began = len([script for script in phone.scripts if "exec" in script])
    bench(phone, tmp_path, threads=[1, 2])
    assert len([script for script in phone.scripts if "exec" in script]) - began == 1 + 4


@pytest.mark.long
def test_ctrl_c_ends_what_runs_and_leaves_nothing(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    write_artifact(tmp_path / "artifact")
    program = make_program(tmp_path / "bundle", seconds=30.0)
    code = (
        "import sys; from pathlib import Path; from edgedistill.pipeline.phone_bench import bench_on_phone\n"
        "from edgedistill.phones.workplace import Program\n"
        f"bench_on_phone([{str(tmp_path / 'artifact')!r}], Program(Path({str(program.folder)!r}), ('./runner',), "
        f"{{'onnx': 'how.json'}}), serial={phone.serial!r}, mode='rapid', threads=[1], lengths=[8])"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while sum("exec" in script for script in phone.scripts) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in running.communicate(timeout=30)[1]
    assert [name[:2] for name in left(phone)] == ["b-", "m-"]
    assert "kill $(cat" in phone.scripts[-1]


@pytest.mark.slow
def test_hostile_names_reach_no_shell(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    folder = write_artifact(tmp_path / "$(touch pwned); `touch pwned` '\"\n-rf")
    phone.root.joinpath("bin/getprop").write_text("#!/bin/sh\ncase $1 in *.sdk) echo 34;; *abilist) echo arm64-v8a;; "
                                                  "*) printf '\\033]0;x\\007A';; esac")  # fmt: skip
    report = bench_on_phone(
        [folder], make_program(tmp_path / "bundle", source="qemu"), serial=phone.serial, mode="rapid", lengths=[8],
        threads=[1], ticks=FastTicks(),
    )  # fmt: skip
    assert report.self_tests[0].status == "passed"
    assert not list(tmp_path.rglob("pwned"))
    assert report.phone is not None
    assert report.phone.model == "?]0;x?A ?]0;x?A", "a phone's name does not speak to the terminal"
    assert not [script for script in phone.scripts if "pwned" in script]
    hostile = adb.choose(adb.find_adb(), phone.serial)
    answer = hostile.shell(adb.quoted("printf", "%s", "a b;$(id)`id`'\"\\\n-x"))
    assert answer.out == "a b;$(id)`id`'\"\\\n-x"


@pytest.mark.slow
def test_what_a_shell_answers(device: Callable[..., FakeDevice]) -> None:
    phone = adb.choose(adb.find_adb(), device().serial)
    assert phone.shell("echo out; echo err >&2; exit 7") == adb.Answer(7, "out\n", "err\n")
    with pytest.raises(DeviceError, match="said nothing for 0 s"):
        phone.shell("sleep 5", seconds=9, silence=0.3)
    with pytest.raises(DeviceError, match="did not finish"):
        phone.shell("while true; do echo x; sleep 0.01; done", seconds=0.3)


def test_big_little_and_masks(device: Callable[..., FakeDevice]) -> None:
    one = device()
    facts = preflight.look(adb.choose(adb.find_adb(), one.serial))
    assert preflight.cores_of(facts, None) == ()
    assert preflight.cores_of(facts, "big") == (4, 5, 6, 7)
    assert preflight.cores_of(facts, "little") == (0, 1, 2, 3)
    assert preflight.cores_of(facts, "a1") == (0, 5, 7)
    assert (preflight.mask_of((0, 5, 7)), preflight.mask_of(())) == ("a1", "all")
    for wrong in ("100", "0", "gold", "-1"):
        with pytest.raises(DeviceError, match="is no mask of this phone's cores"):
            preflight.cores_of(facts, wrong)
    alike = preflight.Facts(
        facts.card.model_copy(update={"cores": facts.card.cores[:4]}), facts.abis, None, None, True, False
    )
    with pytest.raises(DeviceError, match="all its cores have the same clock"):
        preflight.cores_of(alike, "big")


@pytest.mark.parametrize(
    ("degrees", "rests", "ends_at"),
    [
        ([41.9], 0, 41.9),
        ([60.0, 55.0, 50.0, 41.0], 3, 41.0),
        ([60.0, 58.0, 55.0, 55.0, 55.0, 55.0], 5, 55.0),
        ([50.0 + n % 2 for n in range(100)], 60, 50.0),
    ],
    ids=["cool", "until within two degrees", "until it settles", "at most five minutes"],
)
def test_cooling_down(degrees: list[float], rests: int, ends_at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(degrees)
    monkeypatch.setattr(heat, "read", lambda phone, cores=(): Heat(celsius=next(told)))
    ticks = FastTicks(pause=0.0)
    last, seconds = heat.cool_down(None, Heat(celsius=40.0), ticks.clock, ticks.sleep)  # type: ignore[arg-type]
    assert (last.celsius, seconds) == (ends_at, 5.0 * rests)


def test_a_phone_without_sensors_does_not_rest(device: Callable[..., FakeDevice]) -> None:
    one = device()
    set_celsius(one.root, [0.0])
    phone = adb.choose(adb.find_adb(), one.serial)
    assert heat.read(phone).celsius is None
    assert heat.hottest([("soc", 80.0), ("SoC 31", 70.0), ("soc_therm", 41.0), ("cpu-0-0", 40.0)]) == 41.0, "a charge"
    assert heat.hottest([("soc", 80.0)]) is None
    (one.root / "sys/class/thermal/thermal_zone0/type").write_text("cpu big\n")
    set_celsius(one.root, [44.0])
    assert heat.read(phone).celsius == 44.0
    assert heat.hottest([("battery", 90.0), ("cpu-1", 50.0), ("cpu-2", 151.0), ("usb", -3.0)]) == 50.0


def test_turns_are_seeded_and_fair() -> None:
    order = driver.in_turns(["a", "b", "c"], 4, seed=1)
    assert order == driver.in_turns(["a", "b", "c"], 4, seed=1) != driver.in_turns(["a", "b", "c"], 4, seed=2)
    for number in range(4):
        assert sorted(name for turn, name in order if turn == number) == ["a", "b", "c"]


@pytest.mark.slow
def test_a_copy_of_many_bytes_is_whole(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    one = device()
    phone = adb.choose(adb.find_adb(), one.serial)
    local, back = tmp_path / "a b;c", tmp_path / "back"
    local.write_bytes(bytes(range(256)) * 4096)
    place = Workplace(phone, make_program(tmp_path / "bundle"), "phone")
    place.place(local, "x y/$z")
    place.look_again()
    place.place(local, "x y/$z")
    assert (place.copied, place.skipped) == (1, 1)
    phone.pull("/data/local/tmp/edgedistill/x y/$z", back)
    assert back.read_bytes() == local.read_bytes()
    with pytest.raises(DeviceError, match=r"refused copying .* No such file"):
        phone.pull("/data/local/tmp/nothing", back)


@pytest.mark.slow
def test_the_doctor_looks_at_a_phone(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    one = device()
    program = make_program(tmp_path / "bundle")
    probe = {"machine": "aarch64", "kernel": "Linux 5.10", "page_bytes": 4096, "memory_bytes": 1, "hwcap": ["asimd"],
             "cores": [], "emulated": False}  # fmt: skip
    for name, script in (("probe", f"echo '{json.dumps(probe)}'"), ("runner", "exit 2")):
        (program.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (program.folder / name).chmod(0o755)
    card = Bundle(
        created="now", runtime_build="glibc-wheel", runtimes={}, libraries={}, command=program.command, files=()
    )
    reports.save(card, program.folder / CARD)
    found = doctor(device=f"adb:{one.serial}", bundle=program.folder)
    assert not found.is_broken
    signs = {sign.name: sign.detail for sign in found.signs}
    assert signs["cores"] == "4 at 1.80 GHz, 4 at 2.40 GHz"
    assert (signs["probe"], signs["battery"]) == ("aarch64, Linux 5.10; asimd", "80 %")

    (program.folder / "runner").write_text("#!/bin/sh\necho 'FATAL: kernel too old' >&2\nexit 127\n")
    found = doctor(device=f"adb:{one.serial}", bundle=program.folder)
    assert "kernel too old. This phone does not start the bundle" in found.signs[-1].detail
    assert found.is_broken
    assert doctor(device="adb:nobody").is_broken
    card = card.model_copy(update={"libraries": {"onnx": "how.json"}})
    reports.save(card, program.folder / CARD)
    for said, status in (
        ("cannot read 'no-such-model'", "ok"),
        ("cannot load the runtime's library: no dlopen", "broken"),
    ):
        (program.folder / "runner").write_text(f'#!/bin/sh\ntest $# = 2 && echo "error: {said}" >&2\nexit 2\n')
        (sign,) = (
            sign for sign in doctor(device=f"adb:{one.serial}", bundle=program.folder).signs if sign.name == "onnx"
        )
        assert sign.status == status
        assert (said in sign.detail) is (status == "broken")
    assert not [name for name in left(one) if name.startswith("r-")]

    (program.folder / CARD).write_text((program.folder / CARD).read_text().replace('"files": []', json.dumps(
        {"files": [{"path": "probe", "sha256": "0" * 64, "size_bytes": 1}]}
    )[1:-1]))  # fmt: skip
    found = doctor(device=f"adb:{one.serial}", bundle=program.folder)
    assert "is damaged: probe missing or changed" in found.signs[-1].detail
    for device_name, path in (("usb", None), ("adb", tmp_path)):
        with pytest.raises(ConfigError, match="doctor looks at one thing"):
            doctor(path, device=device_name)


def test_threads_are_no_more_than_the_cores_they_get(capsys: pytest.CaptureFixture[str]) -> None:
    assert phone_bench._threads(None, 8) == ((1, 2, 4), [])
    assert phone_bench._threads(None, 0) == ((1, 2, 4), []), "a phone that does not say how many"
    assert phone_bench._threads(None, 1) == ((1,), []), "one large core beside three middle ones is common"
    assert phone_bench._threads([4, 1], 1) == (
        (1, 4), ["4 threads were asked for on one core: they get in each other's way."],
    )  # fmt: skip
