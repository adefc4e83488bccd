"""The arm64 Linux package: what it refuses, and its own programs under emulation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from edgedistill.apps import linux_arm64
from edgedistill.apps.linux_arm64 import proof
from edgedistill.artifacts import Golden
from edgedistill.errors import ConfigError, UnknownNameError
from edgedistill.phones import qemu
from edgedistill.pipeline.package import package
from tests.apps.kits import VARIANTS, artifact_of
from tests.gate.planted import plant
from tests.made import write_verdict
from tests.tools import needs

GOLDEN = Golden(
    text="a", input_ids=(2, 5, 3), token_type_ids=(0, 0, 0), student={"logits": [0.0, 1.0]},
    artifact={"logits": [0.0, 1.0]}, tolerance={"logits": 0.01},
)  # fmt: skip
SAID = {"ids": [2, 5, 3], "type_ids": [0, 0, 0], "outputs": {"logits": [0.001, 1.0]}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"ids": [2, 6, 3]}, "other token numbers"),
        ({"outputs": {"logits": [0.5, 1.0]}}, "logits 0.5 apart, 0.01 allowed"),
        ({"outputs": {"logits": [0.0]}}, "logits inf apart"),
        ({"outputs": {}}, "logits inf apart"),
        ({"outputs": {"logits": [0.0, float("nan")]}}, "logits nan apart"),
    ],
)
def test_another_answer_is_noticed(change: dict[str, object], why: str | None) -> None:
    found = list(proof._differences([GOLDEN], [{**SAID, **change}]))
    assert [number for number, _ in found] == ([] if why is None else [1])
    assert why is None or found[0][1].startswith(why)


def test_what_the_program_cannot_run_is_refused(tmp_path: Path) -> None:
    artifact, manifest = artifact_of(tmp_path / "artifact", has_letters=False, **VARIANTS["uncased"])
    spec = manifest.tokenizer.model_copy(update={"special_ids": {"pad": 7, "cls": 2, "sep": 3}})
    other = manifest.model_copy(update={"tokenizer": spec})
    with pytest.raises(ConfigError, match=r"this tokenizer's \[PAD\] is another number"):
        linux_arm64.build(artifact, other, tmp_path, linux_arm64.Config())
    with pytest.raises(UnknownNameError, match="no qemu profile named 'a99'"):
        linux_arm64.build(artifact, manifest, tmp_path, linux_arm64.Config(cpu="a99"))


@needs("aarch64-linux-gnu-g++", "qemu-aarch64")
@pytest.mark.long
def test_the_goldens_pass_under_emulation_and_a_text_is_answered(tmp_path: Path) -> None:
    from edgedistill.pipeline.export import export

    student = plant(tmp_path / "planted").student_folder
    export(str(student), target="onnx", scheme="fp32", out=tmp_path / "artifact")
    write_verdict(tmp_path / "artifact")
    out = package(tmp_path / "artifact", platform="linux-arm64", out=tmp_path / "dist", settings=["goldens=1000"])
    checks = json.loads((out / "PROOF.json").read_text(encoding="utf-8"))["checks"]
    assert [check["status"] for check in checks] == ["passed", "passed", "not_run", "not_run"]
    profile = qemu.find_profile("a53")
    root = qemu.root_of(profile, tmp_path / "work")
    done = subprocess.run(
        [qemu.EMULATOR, "-L", root, "-cpu", profile.cpu, out / "lib" / "ld-linux-aarch64.so.1", "--library-path",
         out / "lib", out / "classify", out],
        input='{"text": "a great film"}\n', capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    assert sum(answer["scores"].values()) == pytest.approx(1.0)
