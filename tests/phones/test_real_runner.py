"""The native runner, built for this machine, behind the device double: every kind of answer, through adb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from android_bench.fake_device.device import FakeDevice
from edgedistill.artifacts import GOLDENS, Heads, Manifest, TaskCard, goldens_of
from edgedistill.graphs import Head
from edgedistill.phones import adb
from edgedistill.phones.workplace import Program, Workplace
from edgedistill.pipeline.phone_answers import self_tests
from edgedistill.pipeline.runners import asked_for_all, open_runner
from edgedistill.pipeline.subjects import artifact_subjects
from edgedistill.reports import SelfTest
from tests.phones.fault_table import FastTicks, private_adb
from tests.phones.runner_models import write_cascade, write_goldens, write_sealed, write_words
from tests.phones.test_runner import built, library
from tests.tools import needs

__all__ = ["built"]
pytestmark = [pytest.mark.long, needs("adb", "g++", "make")]


@pytest.fixture(scope="module")
def phone(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeDevice, Program]]:
    home = tmp_path_factory.mktemp("home")
    program = Program(built, ("./runner",), {"onnx": "libonnxruntime.so"})
    (built / "libonnxruntime.so").symlink_to(library("onnxruntime", "capi/libonnxruntime.so.*"))
    with private_adb(home), FakeDevice(home / "phone") as device:
        yield device, program


def answered(phone: tuple[FakeDevice, Program], artifact: Path) -> list[SelfTest]:
    device, program = phone
    work = Workplace(adb.choose(adb.find_adb(), device.serial), program, "phone")
    (subject,) = artifact_subjects([artifact], None)
    return self_tests(work, subject, FastTicks())


def spoiled(artifact: Path, manifest: Manifest, name: str, output: str) -> None:
    """One number of the last golden changed: the gate must see it."""
    *others, last = [json.loads(line) for line in (artifact / name).read_text().splitlines()]
    last["artifact"][output][0] += 0.5
    (artifact / name).write_text("\n".join(json.dumps(one) for one in [*others, last]))
    write_sealed(artifact, manifest)


def card(kind: str, name: str | None = None) -> TaskCard:
    return TaskCard.model_validate({"name": name, "kind": kind})


SEVERAL = Heads(graphs=("main_sequence",), heads=(
    Head(name="sst2", output="logits_sst2", kind="single"), Head(name="rte", output="logits_rte", kind="pair"),
))  # fmt: skip
KINDS = {
    "span": ("start_logits", "end_logits"), "tokens": ("logits",), "embedding": ("last_hidden_state",),
    "pair": ("logits_pair",),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer(kind: str, phone: tuple[FakeDevice, Program], tmp_path: Path) -> None:
    manifest = write_words(tmp_path, KINDS[kind], task=card(kind))
    write_goldens(tmp_path, open_runner(tmp_path, manifest))
    write_sealed(tmp_path, manifest)
    (test,) = answered(phone, tmp_path)
    assert (test.status, test.goldens, test.within, test.task) == ("passed", 3, 3, None), test
    assert test.agreement == (None if kind == "embedding" else 1.0)
    spoiled(tmp_path, manifest, GOLDENS, KINDS[kind][-1])
    (test,) = answered(phone, tmp_path)
    assert (test.status, test.within) == ("failed", 2)
    assert f"1 beyond their tolerance, first of all {KINDS[kind][-1]}" in test.reason


def test_every_head_answers_its_own_goldens(phone: tuple[FakeDevice, Program], tmp_path: Path) -> None:
    manifest = write_words(tmp_path, ("logits_sst2", "logits_rte"), task=card("single", "sst2"), driver=SEVERAL)
    run = open_runner(tmp_path, manifest)
    for name in ("sst2", "rte"):
        write_goldens(tmp_path, run, GOLDENS if name == "sst2" else goldens_of(name), f"logits_{name}")
    write_sealed(tmp_path, manifest)
    tests = answered(phone, tmp_path)
    assert [(one.task, one.status, one.within, one.agreement) for one in tests] == [
        ("sst2", "passed", 3, 1.0), ("rte", "passed", 3, 1.0),
    ]  # fmt: skip
    spoiled(tmp_path, manifest, goldens_of("rte"), "logits_rte")
    assert [(one.name, one.status) for one in answered(phone, tmp_path)] == [
        (f"{tmp_path.name}, sst2", "passed"), (f"{tmp_path.name}, rte", "failed"),
    ]  # fmt: skip


def test_exits_as_an_app_takes_them_and_those_it_does_not(phone: tuple[FakeDevice, Program], tmp_path: Path) -> None:
    manifest = write_cascade(tmp_path, threshold=2.0)  # every text leaves at once: the last exit is never taken
    write_goldens(tmp_path, open_runner(tmp_path, asked_for_all(manifest)))
    (tmp_path / "model.onnx").unlink()
    write_sealed(tmp_path, manifest)
    (test,) = answered(phone, tmp_path)
    assert (test.status, test.within, test.agreement) == ("passed", 3, 1.0)
    spoiled(tmp_path, manifest, GOLDENS, "exit_2")
    (test,) = answered(phone, tmp_path)
    assert test.status == "failed"
    assert "exit_2" in test.reason


def test_weights_beside_their_models_get_there(phone: tuple[FakeDevice, Program], tmp_path: Path) -> None:
    """Three lengths over one file of weights: found there by its name, and copied again where it was damaged."""
    device, _ = phone
    device.pushed.clear()
    manifest = write_words(tmp_path, ("logits_pair",), lengths=(4, 8, 16), task=card("pair"))
    assert manifest.driver.kind == "buckets"
    write_goldens(tmp_path, open_runner(tmp_path, manifest))
    write_sealed(tmp_path, manifest)
    (test,) = answered(phone, tmp_path)
    assert (test.status, test.within) == ("passed", 3), test
    assert test.reason == "no golden takes the length 16."
    own = [name for name in device.pushed if "/w-" in name]
    assert sorted(Path(name).name[:2] for name in own) == ["m-", "m-", "m-", "we"]
    (there,) = (device.root / "data/local/tmp/edgedistill").glob("w-*/weights.bin")
    answered(phone, tmp_path)
    assert len([name for name in device.pushed if "/w-" in name]) == 4, "what is there is not copied"
    whole = there.read_bytes()
    there.write_bytes(whole[:-1] + b"x")
    assert answered(phone, tmp_path)[0].status == "passed"
    assert there.read_bytes() == whole
