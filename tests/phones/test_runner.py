"""The native runner, built for this machine, against the same models in the Python runtimes."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import resources
from edgedistill.artifacts import Manifest
from edgedistill.config import build
from edgedistill.phones.protocol import Probe, Progress, RunResult
from edgedistill.phones.requests import REQUEST, RESULT, Plan, read_outputs, read_result, write_request
from edgedistill.pipeline.runners import asked_for_all, open_runner
from edgedistill.runner import LAYERS
from tests.phones.runner_models import texts, write_buckets, write_cascade
from tests.tools import needs

SOURCES = resources.folder("android_bench") / "runner"
pytestmark = [pytest.mark.slow, needs("g++", "make")]


def library(package: str, pattern: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob(pattern))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runner")
    subprocess.run(["make", "-s", "-C", str(SOURCES), f"OUT={out}", "CXXFLAGS=-O0"], check=True)
    return out


@pytest.fixture(scope="session")
def onnx_library() -> str:
    return str(library("onnxruntime", "capi/libonnxruntime.so.*"))


@pytest.fixture(scope="session")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("cascade")
    return folder, write_cascade(folder, threshold=0.1)


def run(built: Path, folder: Path, words: tuple[str, ...] = (REQUEST, RESULT)) -> subprocess.CompletedProcess[str]:
    return subprocess.run([built / "runner", *words], cwd=folder, capture_output=True, text=True, timeout=60)


def agree(built: Path, folder: Path, artifact: Path, manifest: Manifest, plan: Plan, exact: float) -> RunResult:
    write_request(folder, artifact, manifest, texts(), plan)
    done = run(built, folder)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [build(Progress, line, "a line").phase for line in lines][-1] == "measure"
    result = read_result(folder)
    reference = open_runner(artifact, manifest)
    for found, inputs in zip(read_outputs(folder, result), texts(), strict=True):
        wanted = reference(inputs)
        assert set(found) == set(wanted)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, atol=exact, rtol=0, err_msg=name)
    return result


def test_a_cascade_in_onnx(built: Path, onnx_library: str, cascade: tuple[Path, Manifest], tmp_path: Path) -> None:
    plan = Plan(source="host", library=onnx_library, cores=(0,), warm_up_runs=2, min_runs=7, sensor_seconds=0.001)
    result = agree(built, tmp_path, *cascade, plan, exact=1e-6)
    assert result.runs == len(result.samples_ns) == 7
    assert result.warm_up_runs == 2
    assert result.cores == (0,)
    assert result.load_ns
    assert result.first_ns
    assert result.peak_rss_bytes
    assert result.runtime_version.count(".") == 2
    answers = read_outputs(tmp_path, result)
    assert result.layers == tuple(int(one[LAYERS][0, 0]) for one in answers)
    assert set(result.layers) == {1, 2}, "the texts must show both ways out"
    agree(built, tmp_path, cascade[0], asked_for_all(cascade[1]), plan, exact=1e-6)


def test_lengths_in_litert(built: Path, tmp_path: Path) -> None:
    manifest = write_buckets(tmp_path / "artifact")
    plan = Plan(source="host", library=str(library("ai_edge_litert", "libLiteRt.so")), min_runs=2, threads=2)
    result = agree(built, tmp_path / "run", tmp_path / "artifact", manifest, plan, exact=1e-6)
    assert [one.shape for one in result.outputs if one.name == "last_hidden_state"] == [(1, 3, 4), (1, 5, 4), (1, 8, 4)]
    write_request(tmp_path / "run", tmp_path / "artifact", manifest, texts((9,)), plan)
    done = run(built, tmp_path / "run")
    assert done.returncode == 2
    assert "a text has 9 tokens; the model takes 8" in done.stderr


def test_a_result_of_an_emulator_has_no_times(
    built: Path, onnx_library: str, cascade: tuple[Path, Manifest], tmp_path: Path
) -> None:
    write_request(tmp_path, *cascade, texts(), Plan(source="qemu", library=onnx_library, min_runs=3))
    assert run(built, tmp_path).returncode == 0
    told = json.loads((tmp_path / RESULT).read_text())
    assert told["source"] == "qemu"
    assert told["runs"] == 3
    assert not {"samples_ns", "load_ns", "first_ns", "peak_rss_bytes", "readings"} & set(told)
    assert read_result(tmp_path).samples_ns == ()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no library": ({"library": "/no/such.so"}, "cannot load the runtime's library"),
    "no model": ({"graphs.0.file": "absent.onnx"}, "absent.onnx"),
    "outside": ({"graphs.0.file": "../x.onnx"}, "'../x.onnx' is not a path below the request's folder"),
    "no inputs' file": ({"inputs.0.arrays.0.file": "absent.bin"}, "cannot read 'absent.bin'"),
    "too short": ({"inputs.0.arrays.0.offset": 10**6}, "'inputs.bin' is too short"),
    "huge": ({"inputs.0.arrays.0.shape": [10**9, 10**9]}, "more than 2 GB"),
    "wrong type": ({"inputs.0.arrays.0.dtype": "int32"}, "takes 'input_ids' as int64, not int32"),
    "unknown type": ({"inputs.0.arrays.0.dtype": "complex"}, "'complex' is no type of an array"),
    "unknown runtime": ({"runtime": "tensorrt"}, "'tensorrt' is not one of: onnx, tflite"),
    "no such graph": ({"driver": {"kind": "single", "graph": "third"}}, "names a graph 'third'"),
    "negative": ({"threads": 0}, "'threads' must be at least 1"),
    "a number": ({"id": 3}, "'id' must be a text"),
    "missing": ({"min_runs": None}, "'min_runs' is required"),
    "another schema": ({"schema_version": 2}, "schema version 2; this runner reads 1"),
    "another shape": ({"inputs.0.arrays.1.shape": [1, 2]}, "'attention_mask' has 2 tokens, another array 3"),
    "no axis": ({"inputs.0.arrays.1.shape": [3]}, "'attention_mask' is not of the shape (1, tokens)"),
    "a batch": ({"inputs.0.arrays.1.shape": [0, 3]}, "'attention_mask' is not of the shape (1, tokens)"),
    "no core": ({"cores": [1000]}, "cannot run on cores 1000"),
}


def changed(request: Any, changes: dict[str, Any]) -> Any:
    for key, value in changes.items():
        *parents, last = (int(word) if word.isdigit() else word for word in key.split("."))
        place = request
        for parent in parents:
            place = place[parent]
        place[last] = value
    return request


def test_what_cannot_be_run_is_one_clear_error(
    built: Path, onnx_library: str, cascade: tuple[Path, Manifest], tmp_path: Path
) -> None:
    write_request(tmp_path, *cascade, texts(), Plan(source="host", library=onnx_library, min_runs=1))
    good = (tmp_path / REQUEST).read_text()
    for name, (changes, message) in BAD.items():
        (tmp_path / REQUEST).write_text(json.dumps(changed(json.loads(good), changes)))
        done = run(built, tmp_path)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert done.returncode == 2, f"{name}: {done.stderr}"
        assert len(errors) == 1, f"{name}: {done.stderr}"
        assert message in errors[0], f"{name}: {errors[0]}"
    for text in ("", "{", "[1, 2", '{"id": "\\x"}', "{" * 500, '{"id": "a"} more', "nul"):
        (tmp_path / REQUEST).write_text(text)
        done = run(built, tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "error: " in done.stderr
    assert run(built, tmp_path, ("absent.json", RESULT)).returncode == 2
    assert "usage" in run(built, tmp_path, ()).stderr


def test_a_failure_is_told_in_the_result_too(
    built: Path, onnx_library: str, cascade: tuple[Path, Manifest], tmp_path: Path
) -> None:
    write_request(tmp_path, *cascade, texts(), Plan(source="host", library=onnx_library))
    (tmp_path / "second.onnx").unlink()
    assert run(built, tmp_path).returncode == 2
    told = RunResult.model_validate_json((tmp_path / RESULT).read_text())
    assert told.status == "failed"
    assert "second.onnx" in told.error


def test_the_probe_says_what_the_machine_is(built: Path) -> None:
    done = subprocess.run([built / "probe"], capture_output=True, text=True, check=True)
    probe = Probe.model_validate_json(done.stdout)
    assert probe.page_bytes in {4096, 16384, 65536}
    assert probe.cores
    assert not probe.emulated


SENSORS = """#include "machine.hpp"
#include <cstdio>
int main() {
  const Reading reading = read_sensors(0);
  for (const auto& [name, value] : reading.zones) std::printf("%s=%g\\n", name.c_str(), value);
  for (const auto& [name, value] : reading.clocks) std::printf("cpu%s=%g\\n", name.c_str(), value);
}
"""


def test_sensors_as_phones_lay_them_out(tmp_path: Path) -> None:
    """Thousandths of a degree and degrees, zones that nobody may read, twins, and names that are no text."""
    files = {
        "class/thermal/thermal_zone0/type": b"cpu-0-0\n", "class/thermal/thermal_zone0/temp": b"41500\n",
        "class/thermal/thermal_zone1/type": b"skin\n", "class/thermal/thermal_zone1/temp": b"36\n",
        "class/thermal/thermal_zone2/type": b"modem\n",
        "class/thermal/thermal_zone3/type": b"cpu-0-0\n", "class/thermal/thermal_zone3/temp": b"-2000\n",
        "class/thermal/thermal_zone4/type": b"\xff\x01x\n", "class/thermal/thermal_zone4/temp": b"50000\n",
        "class/thermal/thermal_zone5/type": b"bad\n", "class/thermal/thermal_zone5/temp": b"nan\n",
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": b"1804800\n",
        "devices/system/cpu/cpufreq/policy0/x": b"", "devices/system/cpu/cpu1/online": b"0\n",
    }  # fmt: skip
    for name, content in files.items():
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "main.cpp").write_text(SENSORS)
    words = ["g++", "-std=c++17", f'-DSYSTEM_ROOT="{tmp_path}"', f"-I{SOURCES}", "-o", "sensors", "main.cpp"]
    subprocess.run([*words, str(SOURCES / "machine.cpp")], cwd=tmp_path, check=True)
    told = subprocess.run([tmp_path / "sensors"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == ["??x=50", "cpu-0-0=41.5", "cpu-0-0 3=-2", "skin=36", "cpu0=1804.8"]


SLOT = re.compile(r"X\((\w+), (\d+),")


def test_the_slots_are_those_of_the_real_library(onnx_library: str, cascade: tuple[Path, Manifest]) -> None:
    """Each slot is called through the number that the runner has for it, and must do what its name says."""
    slots = {name: int(number) for name, number in SLOT.findall((SOURCES / "onnx_api.hpp").read_text())}
    base = ctypes.CDLL(onnx_library).OrtGetApiBase
    base.restype = ctypes.POINTER(ctypes.c_void_p)
    table = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint32)(base()[0])(16)

    def call(name: str, *arguments: Any, returns: Any = ctypes.c_void_p) -> Any:
        return ctypes.CFUNCTYPE(returns, *(ctypes.c_void_p for _ in arguments))(table[slots.pop(name)])(*arguments)

    def made(name: str, *arguments: Any, kind: Any = ctypes.c_void_p) -> Any:
        value = kind()
        assert call(name, *arguments, ctypes.addressof(value)) is None, name
        return value.value

    def text(value: bytes) -> Any:
        return ctypes.cast(ctypes.c_char_p(value), ctypes.c_void_p)

    env = made("CreateEnv", 3, text(b"test"))
    options = made("CreateSessionOptions")
    for name, number in (("SetIntraOpNumThreads", 1), ("SetInterOpNumThreads", 1), ("SetSessionLogSeverityLevel", 3)):
        assert call(name, options, number) is None
    kept = dict(slots)
    status = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * 4)(table[slots["CreateSession"]])(
        env, text(b"/no/such.onnx"), options, ctypes.addressof(ctypes.c_void_p())
    )
    assert b"such.onnx" in call("GetErrorMessage", status, returns=ctypes.c_char_p)
    call("ReleaseStatus", status, returns=None)
    session = made("CreateSession", env, text(str(cascade[0] / "first.onnx").encode()), options)
    assert made("SessionGetInputCount", session, kind=ctypes.c_size_t) == 2
    assert made("SessionGetOutputCount", session, kind=ctypes.c_size_t) == 2
    allocator = made("GetAllocatorWithDefaultOptions")
    name = made("SessionGetInputName", session, 1, allocator)
    assert ctypes.string_at(name) == b"attention_mask"
    assert call("AllocatorFree", allocator, name) is None
    assert ctypes.string_at(made("SessionGetOutputName", session, 0, allocator)) == b"logits"
    info = made("SessionGetInputTypeInfo", session, 0)
    tensor = made("CastTypeInfoToTensorInfo", info)
    slots["GetElementTypeAgain"] = kept["GetTensorElementType"]
    assert made("GetTensorElementType", tensor, kind=ctypes.c_int) == 7, "int64"
    call("ReleaseTypeInfo", info, returns=None)
    memory = made("CreateCpuMemoryInfo", 1, 0)
    data, shape = (ctypes.c_int64 * 3)(1, 2, 3), (ctypes.c_int64 * 2)(1, 3)
    make = kept["CreateTensorWithDataAsOrtValue"]
    slots.pop("CreateTensorWithDataAsOrtValue")
    value, words = ctypes.c_void_p(), (ctypes.addressof(data), 24, ctypes.addressof(shape), 2, 7)
    create = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * 7)(table[make])
    assert create(memory, *words, ctypes.addressof(value)) is None
    assert made("GetTensorMutableData", value) == ctypes.addressof(data)
    described = made("GetTensorTypeAndShape", value)
    assert made("GetElementTypeAgain", described, kind=ctypes.c_int) == 7
    assert made("GetDimensionsCount", described, kind=ctypes.c_size_t) == 2
    found = (ctypes.c_int64 * 2)()
    assert call("GetDimensions", described, ctypes.addressof(found), 2) is None
    assert list(found) == [1, 3]
    names, values = (ctypes.c_char_p * 2)(b"input_ids", b"attention_mask"), (ctypes.c_void_p * 2)(value, value)
    wanted, answers = (ctypes.c_char_p * 1)(b"logits"), (ctypes.c_void_p * 1)()
    given = (ctypes.addressof(names), ctypes.addressof(values), 2, ctypes.addressof(wanted), 1)
    assert call("Run", session, None, *given, ctypes.addressof(answers)) is None
    assert answers[0]
    for release, what in (
        ("ReleaseValue", answers[0]), ("ReleaseTensorTypeAndShapeInfo", described), ("ReleaseSession", session),
        ("ReleaseSessionOptions", options),
    ):  # fmt: skip
        call(release, what, returns=None)
    assert not slots, f"declared and never tried: {slots}"
