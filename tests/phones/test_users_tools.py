"""A bench by a tool of the user's own on the device double: what it is fed, told and believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from android_bench.fake_device.device import FakeDevice
from edgedistill.artifacts import Graph, Tensor
from edgedistill.cli import show_bench
from edgedistill.errors import ArtifactError, ConfigError, DeviceError
from edgedistill.measure.modes import find_mode
from edgedistill.phones import adb, preflight, tools
from edgedistill.phones.workplace import Workplace
from edgedistill.pipeline.phone_bench import JOURNAL
from edgedistill.pipeline.phone_tools import times_by_tools
from edgedistill.pipeline.subjects import artifact_subjects
from tests.made import write_artifact
from tests.phones.benches import bench, left
from tests.phones.fault_table import FastTicks, make_program
from tests.tools import needs

pytestmark = [needs("adb"), pytest.mark.usefixtures("own_adb")]

TOOL = """#!/bin/sh
for word in "$@"; do case "$word" in --input_layer_value_files=*) files=${word#*=};; esac; done
case "$files" in input_ids:input_0.bin) ;; *) echo "no real input: $files" >&2; exit 1;; esac
test "$(od -An -tu8 -N8 input_0.bin | tr -d ' ')" = 5 || exit 3
echo "Graph: [model.tflite]"
echo "count=50 first=4100 curr=4000 min=3900 max=4200 avg=4010 std=20 p5=3950 median=4000 p95=4100"
echo "Inference timings in us: Init: 31000, First inference: 4300, Warmup (avg): 4100, Inference (avg): 4010"
"""
EXECUTOR = """#!/bin/sh
test "$3 $4" = "--inputs input_0.bin" || { echo "not asked as it wants to be: $*" >&2; exit 1; }
for n in 1 2 3; do echo "I 00:00:00.1 executorch:executor_runner.cpp:690] Iteration $n of 3: 8.500000 ms"; done
echo "I 00:00:00.1 executorch:executor_runner.cpp:700] Model executed successfully 3 time(s) in 25.500000 ms."
"""


@pytest.mark.slow
def test_a_users_own_tool_is_fed_real_inputs(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    write_artifact(tmp_path / "artifact", target="tflite")
    tool = tmp_path / "my benchmark"
    tool.write_text(TOOL)
    report = bench(phone, tmp_path, tools=[f"benchmark_model={tool}"])
    (row,) = report.stated
    assert (row.tool, row.model, row.source, row.length, row.threads) == ("benchmark_model", "artifact", "phone", 8, 1)
    assert (row.latency.p50_ms, row.latency.p90_ms) == (4.0, None)
    assert [name[:2] for name in left(phone)] == ["b-", "m-", "t-"]
    assert report.command.endswith(f"--tool 'benchmark_model={tool}'")
    tool.write_text("#!/bin/sh\necho cannot open model >&2; exit 1")
    with pytest.raises(DeviceError, match=r"exit code 1 .*: cannot open model. What was measured before is kept"):
        bench(phone, tmp_path, tools=[f"benchmark_model={tool}"])
    began = len([script for script in phone.scripts if " ./runner " in script])
    tool.write_text(TOOL)
    again = bench(phone, tmp_path, tools=[f"benchmark_model={tool}"])
    assert len([script for script in phone.scripts if " ./runner " in script]) - began == 1, "the goldens alone"
    assert (len(again.rows), len(again.stated)) == (1, 1)
    assert not (tmp_path / "artifact" / JOURNAL).exists()


@pytest.mark.slow
def test_what_a_users_tool_alone_runs(
    device: Callable[..., FakeDevice], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ExecuTorch's artifacts, which our runner does not open, through their own runner; on an emulator not even so."""
    write_artifact(tmp_path / "artifact", target="executorch")
    tool = tmp_path / "executor_runner"
    tool.write_text(EXECUTOR)
    phone, asked = device(), [f"executor_runner={tool}"]
    with pytest.raises(ArtifactError, match="the runner runs onnx and tflite artifacts, not 'executorch'"):
        bench(phone, tmp_path)
    report = bench(phone, tmp_path, tools=asked)
    (row,) = report.stated
    assert (row.tool, row.source, row.latency.p50_ms, report.rows, report.self_tests) == (
        "executor_runner", "phone", 8.5, (), (),
    )  # fmt: skip
    assert "artifact was run by executor_runner alone: its answers on the phone were not compared." in report.notes
    show_bench.bench(report, as_json=False)
    assert "this is an emulator" not in capsys.readouterr().out
    report = bench(device(props={"ro.boot.qemu": "1"}), tmp_path, tools=asked)
    assert (report.stated, report.rows) == ((), ())


@pytest.mark.slow
def test_a_tool_that_is_cut_off_does_not_run_on(device: Callable[..., FakeDevice], tmp_path: Path) -> None:
    phone = device()
    write_artifact(tmp_path / "artifact", target="tflite")
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho $$ > here\nexec sleep 60")
    place = Workplace(adb.choose(adb.find_adb(), phone.serial), make_program(tmp_path / "bundle"), "phone")
    shell = adb.Phone.shell

    def stopped(self: adb.Phone, script: str, *words: Any, **more: Any) -> adb.Answer:
        if "/t-" in script and "exec" in script:
            with pytest.raises(DeviceError, match="did not finish"):
                shell(self, script, 1.0)
            raise KeyboardInterrupt
        return shell(self, script, *words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adb.Phone, "shell", stopped)
        with pytest.raises(KeyboardInterrupt):
            times_by_tools(
                place, [tools.Tool("benchmark_model", tool)], artifact_subjects([tmp_path / "artifact"], [8]), [1], (),
                find_mode("rapid"), preflight.look(place.phone).card, 0, FastTicks(),
            )  # fmt: skip
    assert "kill $(cat" in phone.scripts[-1]
    assert [name[:2] for name in left(phone)] == ["t-"]


def test_what_tools_are_told() -> None:
    graph = Graph(name="main", file="m.onnx", outputs=(), inputs=tuple(
        Tensor(name=name, dtype="int64", shape=(1, 3)) for name in ("input_ids", "attention_mask")
    ))  # fmt: skip
    arrays = {"input_ids": np.array([[2, 300, 3]]), "attention_mask": np.ones((1, 3), np.int64)}
    how = tools.Settings(4, 128, 10.0, 60.0, 5, 2.0)
    made = tools.input_files("onnxruntime_perf_test", graph, arrays)
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto.FromString(made["test_data_set_0/input_0.pb"])
    assert (tensor.name, onnx.numpy_helper.to_array(tensor).tolist()) == ("input_ids", [[2, 300, 3]])
    words = tools.command("onnxruntime_perf_test", graph, "m.onnx", list(made), 3, how)
    assert words[:8] == ["-e", "cpu", "-m", "times", "-r", "128", "-x", "4"], "never its default of 600 seconds"
    made = tools.input_files("executor_runner", graph, arrays)
    assert made["input_1.bin"] == np.ones(3, "<i8").tobytes()
    words = tools.command("executor_runner", graph, "m.pte", list(made), 3, how)
    assert words[2:4] == ["--inputs", "input_0.bin,input_1.bin"]
    assert words[words.index("--num_executions") + 1] == "133"
    words = tools.command("benchmark_model", graph, "m.tflite", list(made), 3, how)
    assert "--input_layer_value_files=input_ids:input_0.bin,attention_mask:input_1.bin" in words
    assert "--input_layer_shape=1,3:1,3" in words
    for wrong, reason in (("perf=x", "--tool takes NAME=FILE"), ("benchmark_model=none", "no file 'none'")):
        with pytest.raises(ConfigError, match=reason):
            tools.parse(wrong)
