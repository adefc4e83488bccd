"""The whole flow: the real adb client, the device double, the real bundle, its arm64 runner under qemu."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from android_bench.fake_device.device import FakeDevice
from edgedistill import reports
from edgedistill.artifacts import file_entry
from edgedistill.phones import bundle, qemu
from edgedistill.pipeline.bench_anywhere import bench_anywhere
from edgedistill.pipeline.doctor import doctor
from edgedistill.pipeline.runners import open_runner
from tests.phones.fault_table import private_adb
from tests.phones.runner_models import NAMES, texts, write_cascade
from tests.tools import needs


@pytest.mark.long
@needs("adb", "qemu-aarch64", "aarch64-linux-gnu-g++", "make")
def test_an_arm64_runner_answers_through_adb(tmp_path: Path) -> None:
    """The same logits as here, no times though the device calls itself a phone, and a golden that is wrong fails."""
    artifact = tmp_path / "toy"
    manifest = write_cascade(artifact, threshold=0.1)
    run = open_runner(artifact, manifest)
    lines = []
    for one in texts():
        found = {name: [float(value) for value in np.ravel(array)] for name, array in run(one).items()}
        ids = [int(token) for token in one[NAMES[0]][0]]
        golden = {"text": "t", "input_ids": ids, "token_type_ids": [0] * len(ids), "student": found, "artifact": found}
        lines.append(json.dumps(golden | {"tolerance": {"logits": 1e-5}}))
    (artifact / "golden.jsonl").write_text("\n".join(lines))
    roles = {"first.onnx": "model", "second.onnx": "model", "golden.jsonl": "golden", "reference.jsonl": "reference",
             "tokenizer.json": "tokenizer"}  # fmt: skip
    entries = tuple(file_entry(artifact, artifact / name, role) for name, role in roles.items())
    reports.save(manifest.model_copy(update={"files": entries}), artifact / "manifest.json")

    place = bundle.cached_bundle()  # before adb gets a home of its own: the cache lies in this one
    profile = qemu.find_profile("a76")
    root = qemu.root_of(profile, tmp_path / "soc")
    emulator = (qemu.EMULATOR, "-L", str(root), "-cpu", profile.cpu)
    with private_adb(tmp_path), FakeDevice(tmp_path / "phone", emulator=emulator) as device:
        where = f"adb:{device.serial}"
        report = bench_anywhere([artifact], device=where, bundle=place, mode="rapid", threads=[1])
        assert report.self_tests[0].model_dump(include={"status", "source", "goldens", "within"}) == {
            "status": "passed", "source": "qemu", "goldens": 3, "within": 3,
        }  # fmt: skip
        assert report.rows == ()
        signs = {sign.name: sign.status for sign in doctor(device=where, bundle=place).signs}
        assert [signs[name] for name in ("probe", "runner", "onnx", "tflite")] == ["ok"] * 4

        changed = [json.loads(line) for line in lines]
        for golden in changed:
            golden["artifact"]["logits"][0] += 0.5
        (artifact / "golden.jsonl").write_text("\n".join(map(json.dumps, changed)))
        entries = tuple(file_entry(artifact, artifact / name, role) for name, role in roles.items())
        reports.save(manifest.model_copy(update={"files": entries}), artifact / "manifest.json")
        assert bench_anywhere([artifact], device=where, bundle=place, threads=[1]).self_tests[0].status == "failed"
        names = sorted(path.name[:2] for path in (device.root / "data/local/tmp/edgedistill").iterdir())
        assert names == ["b-", "m-", "m-"]
    assert bundle.read_bundle(place).hardware.startswith("Not yet run on hardware")
    assert subprocess.run(["pgrep", "-f", str(tmp_path / "phone")], check=False, capture_output=True).stdout == b""
