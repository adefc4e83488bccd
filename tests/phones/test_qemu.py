"""The qemu lane: what it refuses to say, its gates, the instructions it tells apart, and one real emulated run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgedistill import files, reports, resources
from edgedistill.artifacts import Golden, TaskCard, environment, file_entry, now, read_manifest
from edgedistill.cli import main
from edgedistill.errors import ArtifactError, ConfigError, DeviceError, StorageError, UnknownNameError
from edgedistill.gate.ladder import elsewhere
from edgedistill.phones import arm64, bundle, qemu, requests
from edgedistill.phones.emulation import ARCHITECTURE, EMULATION, EmulationReport, EmulationRow
from edgedistill.pipeline import emulate
from edgedistill.pipeline.elsewhere import with_elsewhere
from edgedistill.pipeline.runners import asked_for_all, open_runner
from edgedistill.reports import BenchRow, Rung
from tests.made import write_artifact
from tests.phones.runner_models import NAMES, texts, write_cascade
from tests.tools import needs

KINDS = resources.folder("android_bench") / "qemu" / "kinds.inc"
ROW: dict[str, Any] = {
    "artifact": "a", "manifest_sha256": "0" * 64, "target": "onnx", "runtime_version": "1", "scheme": "fp32",
    "profile": "a76", "cpu": "cortex-a76", "length": 8, "instructions": 1000, "kinds": {}, "counted": [1000],
    "rungs": [],
}  # fmt: skip


def report_of(*rows: dict[str, Any], emulator: str = "7.2.22") -> EmulationReport:
    built = tuple(EmulationRow.model_validate(ROW | row) for row in rows)
    return EmulationReport(created=now(), command="x", environment=environment(), emulator=emulator, rows=built)


@pytest.mark.parametrize("field", ["latency", "p50_ms", "samples_ms", "load_ms", "peak_rss_bytes"])
def test_a_row_of_qemu_holds_no_time(field: str) -> None:
    assert EmulationRow.model_validate(ROW).source == "qemu"
    with pytest.raises(ValidationError, match="extra_forbidden"):
        EmulationRow.model_validate(ROW | {field: 1.0})
    assert not [name for name in EmulationRow.model_fields if name.endswith(("_ms", "_ns", "_s", "seconds"))]


def test_a_row_with_times_knows_no_qemu() -> None:
    with pytest.raises(ValidationError) as refused:
        BenchRow.model_validate({"source": "qemu"})
    assert "source" in {error["loc"][0] for error in refused.value.errors() if error["type"] == "literal_error"}
    with pytest.raises(ValidationError, match="literal_error"):
        EmulationRow.model_validate(ROW | {"source": "phone"})


def test_the_processors_are_named_and_their_files_whole() -> None:
    assert set(qemu.profiles()) == {"a53", "a76", "max"}
    assert "sme=off" in qemu.find_profile("max").cpu
    assert "asimddp" not in qemu.find_profile("a53").cpuinfo
    assert "asimddp" in qemu.find_profile("a76").cpuinfo
    with pytest.raises(UnknownNameError, match="no qemu profile named 'a77'"):
        qemu.find_profile("a77")


def test_devices_by_their_words() -> None:
    assert emulate.device_profiles("qemu") == []
    assert emulate.device_profiles("qemu:a53,a76") == ["a53", "a76"]
    assert emulate.device_profiles("adb:qemu") is None


def goldens(scheme_noise: float) -> list[Golden]:
    student = [[1.0, -1.0], [-2.0, 2.0], [0.5, 0.1]]
    return [
        Golden(
            text="t", input_ids=(1,), token_type_ids=(0,), student={"logits": row},
            artifact={"logits": [value + scheme_noise for value in row]}, tolerance={},
        )
        for row in student
    ]  # fmt: skip


def judged(folder: Path, scheme: str, rows: list[Golden], found: list[dict[str, Any]], kind: str = "single") -> Rung:
    task = TaskCard.model_validate({"name": None, "kind": kind})
    part = read_manifest(write_artifact(folder, scheme=scheme, task=task))
    return emulate.judge([emulate.Asked(part, rows, found)], "arm64")


def answered(rows: list[Golden], away: float) -> list[dict[str, Any]]:
    return [{"logits": np.asarray([row.artifact["logits"]]) + away} for row in rows]


@pytest.mark.parametrize(
    ("scheme", "noise", "away", "status"),
    [
        ("fp32", 0.0, 1e-6, "passed"),
        ("fp32", 0.0, 1e-3, "failed"),
        ("int8_dynamic", 0.1, 0.05, "passed"),
        ("int8_dynamic", 0.1, 0.2, "failed"),
        ("fp16", 1e-4, 1e-3, "passed"),
        ("fp16", 1e-4, 0.1, "failed"),
    ],
)
def test_parity_fails_where_it_must(tmp_path: Path, scheme: str, noise: float, away: float, status: str) -> None:
    rows = goldens(noise)
    rung = judged(tmp_path, scheme, rows, answered(rows, away))
    assert rung.status == status, rung
    assert rung.rows == 3


def test_other_answers_fail_int8_whatever_the_noise(tmp_path: Path) -> None:
    rows = goldens(5.0)
    flipped = [{"logits": np.asarray(row.artifact["logits"])[::-1]} for row in rows]
    rung = judged(tmp_path, "int8_dynamic", rows, flipped)
    assert rung.status == "failed"
    assert "agreement" in rung.reason
    broken = [{"logits": np.full(2, np.nan)} for _ in rows]
    assert judged(tmp_path, "fp32", rows, broken).status == "failed"
    assert judged(tmp_path, "fp32", rows, [{} for _ in rows]).status == "failed"
    swapped = [{"logits": np.asarray(row.artifact["logits"])[::-1]} for row in goldens(5.0)]
    assert "agreement" not in {
        one.name.split()[-1] for one in judged(tmp_path, "int8_dynamic", rows, swapped, "embedding").measures
    }


@pytest.mark.parametrize(
    ("instructions", "status"), [(1009, "passed"), (991, "passed"), (1011, "failed"), (989, "failed")]
)
def test_a_count_that_moves_by_more_than_a_hundredth_fails(instructions: int, status: str) -> None:
    row = EmulationRow.model_validate(ROW | {"instructions": instructions})
    assert emulate.against_stored(row, report_of({}), "7.2.22").status == status


@pytest.mark.parametrize(
    "other", [{"profile": "a53"}, {"length": 16}, {"manifest_sha256": "1" * 64}, {"runtime_version": "2"}]
)
def test_counts_of_something_else_are_no_limit(other: dict[str, Any]) -> None:
    row = EmulationRow.model_validate(ROW | {"instructions": 5000})
    assert emulate.against_stored(row, report_of(other), "7.2.22").status == "not_run"
    assert emulate.against_stored(row, report_of({}), "10.0.0").status == "not_run"
    assert emulate.against_stored(row, None, "7.2.22").status == "not_run"


def test_the_gate_repeats_what_was_seen_of_the_same_bytes(tmp_path: Path) -> None:
    ladder = elsewhere()
    good = judged(tmp_path, "fp32", goldens(0.0), answered(goldens(0.0), 0.0)).model_dump()
    bad = judged(tmp_path, "fp32", goldens(0.0), answered(goldens(0.0), 0.1)).model_dump()

    def rung_of(*rows: dict[str, Any]) -> Rung:
        reports.save(report_of(*rows), tmp_path / EMULATION)
        return next(rung for rung in with_elsewhere(ladder, tmp_path, "0" * 64) if rung.name == ARCHITECTURE)

    assert with_elsewhere(ladder, tmp_path, "0" * 64) == ladder
    assert rung_of({"rungs": [good]}).status == "passed"
    assert rung_of({"rungs": [good]}).measures[0].name == "a76: logits relative"
    failed = rung_of({"rungs": [good]}, {"profile": "max", "rungs": [bad]})
    assert failed.status == "failed"
    assert failed.reason.startswith("max: ")
    assert rung_of({"rungs": [good], "manifest_sha256": "1" * 64}).status == "not_run"


def test_what_the_plugin_wrote_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.jsonl"
    path.write_text('{"instructions": 12, "fmla": 3}\n{"instructions": 13, "fmla": 3}\n')
    assert list(qemu.read_counts(path)) == [qemu.Counts(12, {"fmla": 3}), qemu.Counts(13, {"fmla": 3})]
    for text in ("{", "[]", '{"fmla": 1}', '{"instructions": "x"}'):
        path.write_text(text)
        with pytest.raises(DeviceError, match="cannot be read"):
            list(qemu.read_counts(path))


def test_what_cannot_end_well_is_said_before_anything_is_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two artifacts the second is at fault: minutes of the first one must not be spent before that is said."""
    monkeypatch.setattr(qemu, "emulator_version", lambda: "7.2.22")
    monkeypatch.setattr(emulate, "_row", lambda *words: pytest.fail("something was emulated"))
    good, bad = write_artifact(tmp_path / "good"), write_artifact(tmp_path / "bad")

    def refused(error: type[Exception], reason: str, **more: Any) -> None:
        with pytest.raises(error, match=reason):
            emulate.emulate([good, bad], ["a76"], **{"length": 4, **more})

    (bad / EMULATION).write_text("{")
    refused(ArtifactError, "not a readable EmulationReport")
    (bad / EMULATION).unlink()
    (tmp_path / "file").write_text("")
    refused(StorageError, "file", out=tmp_path / "file" / "out.json")
    refused(ConfigError, "tokens, not 100000", length=100_000)
    write_artifact(bad, target="executorch")
    refused(ArtifactError, "the runner runs onnx and tflite")
    (bad / "model.onnx").write_bytes(b"changed")
    refused(ArtifactError, "is not the file that was exported")


def test_missing_tools_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match=r"'qemu-aarch64' is not installed. Run: make tools"):
        qemu.emulator_version()
    monkeypatch.setattr(arm64.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"'aarch64-linux-gnu-g\+\+' is not installed.* or: pip install ziglang"):
        arm64.compiler()
    monkeypatch.setattr(arm64, "_SYSROOTS", ())
    with pytest.raises(DeviceError, match=r"there is no 'libc.so.6' for arm64. Run: make tools"):
        arm64.system_library("libc.so.6")


def test_zig_compiles_where_the_cross_compiler_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64.shutil, "which", lambda name: None)
    monkeypatch.setattr(arm64.importlib.util, "find_spec", lambda name: name)
    assert arm64.compiler()[1:] == ("-m", "ziglang", "c++", "-target", "aarch64-linux-gnu.2.34")
    assert arm64.compiler(is_static=True)[-1] == "aarch64-linux-musl"
    monkeypatch.setattr(arm64.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert arm64.compiler(is_static=True) == ("/usr/bin/aarch64-linux-gnu-g++",)


def test_a_wheel_that_is_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def forged(wanted: arm64.Wheel, folder: Path) -> None:
        (folder / "onnxruntime.whl").write_bytes(b"something else")

    monkeypatch.setattr(arm64, "_download", forged)
    with pytest.raises(DeviceError, match="not the pinned"):
        arm64.wheel(arm64.WHEELS["onnx"])
    assert not list(tmp_path.rglob("*.whl")), "nothing of it stays in the cache"


def test_an_android_library_needs_an_ndk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK"):
        monkeypatch.delenv(name, raising=False)
    aar = tmp_path / "a.aar"
    aar.write_bytes(b"no archive")
    with pytest.raises(DeviceError, match="--aar needs a runner built by an Android NDK"):
        bundle.make_bundle(tmp_path / "bundle", aar)
    with pytest.raises(ConfigError, match="no file"):
        bundle.cached_bundle(tmp_path / "absent.aar")
    assert not (tmp_path / "bundle").exists()


ASSEMBLY = {
    "fmla": ("fmla v0.4s, v1.4s, v2.4s", "fmla v0.4s, v1.4s, v2.s[3]", "fmla z0.s, p0/m, z1.s, z2.s",
             "fmla z0.s, z1.s, z2.s[1]"),
    "fmla_fp16": ("fmla v0.8h, v1.8h, v2.8h", "fmla v0.8h, v1.8h, v2.h[7]"),
    "smlal": ("smlal v0.8h, v1.8b, v2.8b", "umlal2 v0.4s, v1.8h, v2.8h", "smull v0.8h, v1.8b, v2.8b",
              "smlal v0.4s, v1.4h, v2.h[1]", "smull2 v0.4s, v1.8h, v2.h[1]"),
    "dotprod": ("sdot v0.4s, v1.16b, v2.16b", "udot v0.2s, v1.8b, v2.8b", "sdot v0.4s, v1.16b, v2.4b[3]",
                "udot v0.4s, v1.16b, v2.4b[1]", "sdot z0.s, z1.b, z2.b"),
    "i8mm": ("smmla v0.4s, v1.16b, v2.16b", "ummla v0.4s, v1.16b, v2.16b", "usmmla v0.4s, v1.16b, v2.16b",
             "usdot v0.4s, v1.16b, v2.16b", "smmla z0.s, z1.b, z2.b"),
    "bf16": ("bfmmla v0.4s, v1.8h, v2.8h",),
    "": ("add v0.4s, v1.4s, v2.4s", "mul v0.4s, v1.4s, v2.4s", "fadd v0.4s, v1.4s, v2.4s", "fmul v0.4s, v1.4s, v2.4s",
         "fmls v0.4s, v1.4s, v2.4s", "add x0, x1, x2", "ldr q0, [x1]", "ret", "b .", "saddl v0.8h, v1.8b, v2.8b"),
}  # fmt: skip
KIND = re.compile(r'\{"(\w+)", (0x[0-9A-F]+), (0x[0-9A-F]+)\}')


@needs("aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy")
def test_instructions_are_told_apart(tmp_path: Path) -> None:
    wanted = [(name, line) for name, lines in ASSEMBLY.items() for line in lines]
    source = ".arch armv8.6-a+sve+i8mm+bf16+fp16\n" + "\n".join(line for _, line in wanted) + "\n"
    (tmp_path / "a.s").write_text(source)
    subprocess.run(["aarch64-linux-gnu-as", "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    subprocess.run(
        ["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"], cwd=tmp_path, check=True
    )
    words = np.frombuffer((tmp_path / "a.bin").read_bytes(), dtype="<u4")
    kinds = [(name, int(mask, 16), int(value, 16)) for name, mask, value in KIND.findall(KINDS.read_text())]
    assert len(kinds) == KINDS.read_text().count('{"')
    for (name, line), word in zip(wanted, words, strict=True):
        found = {kind for kind, mask, value in kinds if int(word) & mask == value}
        assert found == ({name} if name else set()), line


@pytest.mark.long
@needs("qemu-aarch64", "aarch64-linux-gnu-g++", "gcc", "make")
def test_an_early_exit_model_on_emulated_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole lane on a toy: bundle, parity, counts, the command line, and a stored count that fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artifact = tmp_path / "toy"
    manifest = write_cascade(artifact, threshold=0.1)
    run = open_runner(artifact, asked_for_all(manifest))
    with (artifact / "golden.jsonl").open("w") as lines:
        for one in texts():
            found = {name: [float(value) for value in np.ravel(array)] for name, array in run(one).items()}
            ids = [int(token) for token in one[NAMES[0]][0]]
            golden = {
                "text": "t",
                "input_ids": ids,
                "token_type_ids": [0] * len(ids),
                "student": found,
                "artifact": found,
            }
            lines.write(json.dumps(golden | {"tolerance": {}}) + "\n")
    names = {"first.onnx": "model", "second.onnx": "model", "golden.jsonl": "golden", "reference.jsonl": "reference"}
    entries = tuple(file_entry(artifact, artifact / name, role) for name, role in names.items())
    reports.save(manifest.model_copy(update={"files": entries}), artifact / "manifest.json")

    card = bundle.read_bundle(bundle.cached_bundle())
    assert card.hardware.startswith("Not yet run on hardware")
    assert 30e6 < card.size_bytes < 60e6
    assert {Path(file.path).name for file in card.files} >= {"runner", "probe", *arm64.SYSTEM_LIBRARIES}
    assert {file.path.split("/")[-1] for file in card.files if file.path.startswith("licences/")}
    for file in card.files:
        assert files.sha256_of(bundle.cached_bundle() / file.path) == file.sha256

    done = subprocess.run([qemu.EMULATOR, bundle.cached_bundle() / "probe"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["emulated"] is True
    assert json.loads(done.stdout)["machine"] == "aarch64"

    plan = requests.Plan(source="phone", library="lib/libonnxruntime.so.1", min_runs=2)
    folder = tmp_path / "phone"
    requests.write_request(folder, artifact, manifest, texts(), plan)
    (folder / "lib").symlink_to(bundle.cached_bundle() / "lib")
    qemu._emulate(qemu.find_profile("a53"), folder)
    assert requests.read_result(folder).source == "qemu", "a runner that finds itself emulated says so"

    def bench() -> int:
        words = ["edgedistill", "bench", str(artifact), "--device", "qemu:a53,max", "--lengths", "8"]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    assert bench() == 0, capsys.readouterr()
    assert bench() == 0, capsys.readouterr()
    report = reports.read(EmulationReport, artifact / EMULATION)
    assert [(row.profile, *(rung.status for rung in row.rungs)) for row in report.rows] == [
        ("a53", "passed", "passed"), ("max", "passed", "passed"),
    ]  # fmt: skip
    moved = [row.model_copy(update={"instructions": row.instructions * 2}) for row in report.rows]
    reports.save(report.model_copy(update={"rows": tuple(moved)}), artifact / EMULATION)
    assert bench() == 1
    assert "share of change" in capsys.readouterr().out
