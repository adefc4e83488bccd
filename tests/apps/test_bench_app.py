"""The in-app benchmark: the runner's requests and results, its plain Java on a Java machine, its resources by aapt2."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import reports, resources
from edgedistill.apps import android
from edgedistill.apps.android import skeleton
from edgedistill.graphs import Buckets, Graph, Tensor
from edgedistill.phones.protocol import Array, InputSet, RunRequest, RunResult
from tests.tools import needs

APP = resources.folder("android_bench") / "app" / "bench"
PROJECT = Path(android.__file__).parent / "project"
TEXTS = ((2, 5, 3), (2, 5, 6, 7, 8, 3))


def compiled(classes: Path, runtime: Path | None = None) -> Path:
    """The app's plain Java with what it takes from the library."""
    own = [path for path in APP.rglob("*.java") if path.parent.name != "android"]
    left_out = set(re.findall(r'"edgedistill/app/(\w+\.java)"', (APP / "build.gradle").read_text(encoding="utf-8")))
    library = [
        path for path in (PROJECT / "library/src/main/java/edgedistill/app").glob("*.java") if path.name not in left_out
    ]
    library += [PROJECT / "runtime/src/onnx/java/edgedistill/app/OnnxRuntime.java"] if runtime else []
    flags = ["--release", "8", "-Xlint:all", "-Xlint:-options", "-Werror", "-d", str(classes)]
    paths = ["-cp", str(runtime)] if runtime else []
    subprocess.run(["javac", *flags, *paths, *map(str, [*own, *library])], check=True)
    return classes


def write_request(folder: Path, **changes: Any) -> RunRequest:
    """Two texts for a model of two lengths; the second text only fits the longer one."""
    folder.mkdir()
    tensors = tuple(Tensor(name=n, dtype="int64", shape=(1, 4)) for n in ("input_ids", "attention_mask"))
    graphs = tuple(
        Graph(name=f"length_{n}", file="model.bin", length=n, inputs=tensors, outputs=()) for n in (4, 8)
    )  # fmt: skip
    (folder / "model.bin").write_bytes(b"a model")
    raw, inputs = b"", []
    for ids in TEXTS:
        arrays = []
        for name, values in (("input_ids", ids), ("attention_mask", (1,) * len(ids)), ("unread", ids)):
            shape = (1, len(ids))
            arrays.append(Array(name=name, dtype="int64", shape=shape, file="inputs.bin", offset=len(raw)))
            raw += struct.pack(f"<{len(values)}q", *values)
        inputs.append(InputSet(arrays=tuple(arrays)))
    (folder / "inputs.bin").write_bytes(raw)
    request = RunRequest(
        id="one", source="host", runtime="onnx", runtime_build="aar", graphs=graphs, inputs=tuple(inputs),
        driver=Buckets(graphs=("length_4", "length_8")), threads=1, warm_up_runs=3, warm_up_seconds=0.0, min_runs=5,
        min_seconds=0.0, max_seconds=5.0, outputs="outputs.bin",
    )  # fmt: skip
    (folder / "request.json").write_text(request.model_copy(update=changes).model_dump_json(), encoding="utf-8")
    return request


def run(classes: Path, folder: Path) -> tuple[int, RunResult]:
    arguments = [str(folder / "request.json"), str(folder / "result.json"), "edgedistill.bench.SumRuntime"]
    main = ["java", "-cp", str(classes), "edgedistill.bench.BenchOnJvm"]
    done = subprocess.run([*main, *arguments], capture_output=True, text=True, check=False)
    assert (folder / "result.json").is_file(), done.stderr
    return done.returncode, reports.read(RunResult, folder / "result.json")


@pytest.mark.slow
@needs("javac")
def test_a_request_is_answered_as_the_runner_would(tmp_path: Path) -> None:
    classes = compiled(tmp_path / "classes")
    write_request(tmp_path / "good")
    code, found = run(classes, tmp_path / "good")
    assert (code, found.status, found.id, found.source) == (0, "done", "one", "host")
    assert (found.runtime_version, found.runtime_build, found.warm_up_runs) == ("sums", "aar", 3)
    assert len(found.samples_ns) == found.runs == 5
    assert min(found.samples_ns) > 0
    assert found.load_ns is not None
    assert found.peak_rss_bytes is not None
    assert found.peak_rss_bytes > 1_000_000
    assert len(found.readings) == 2
    raw = (tmp_path / "good" / "outputs.bin").read_bytes()
    answers = [np.frombuffer(raw, "<f4", 2, one.offset).tolist() for one in found.outputs]
    assert answers == [[10.0, 3.0], [31.0, 6.0]], "padding is masked, and the ids are the text's"
    for number, (changes, message) in enumerate(
        (
            ({"cores": (1,)}, "cannot bind itself to cores"),
            ({"outputs": "../x"}, "no path below the request's folder"),
            ({"inputs": (InputSet(arrays=(array(dtype="int32"),)),)}, "'input_ids' is int32; the graph takes int64"),
            ({"inputs": (InputSet(arrays=(array(shape=(1, 9)),)),)}, "the text has 9 tokens; the model takes 8"),
            ({"inputs": (InputSet(arrays=(array(offset=10**6),)),)}, "cannot read"),
            ({"schema_version": 2}, "schema version 2; this app reads 1"),
        )
    ):
        write_request(tmp_path / str(number), **changes)
        code, found = run(classes, tmp_path / str(number))
        assert (code, found.status) == (2, "failed")
        assert message in found.error
    write_request(tmp_path / "unlimited", max_seconds=0.0)
    assert run(classes, tmp_path / "unlimited")[1].runs == 5
    for word in ("no library", "no memory"):  # a phone's own words where the runtime cannot be loaded
        write_request(tmp_path / word)
        (tmp_path / word / "model.bin").write_text(word)
        code, found = run(classes, tmp_path / word)
        assert (code, found.status, found.error) == (2, "failed", word)
    write_request(tmp_path / "qemu", source="qemu")
    code, found = run(classes, tmp_path / "qemu")
    assert (code, found.source, found.runs) == (0, "qemu", 5), "counted, and no times are told"
    assert found.samples_ns == ()


def array(**changes: Any) -> Array:
    values = {"name": "input_ids", "dtype": "int64", "shape": (1, 3), "file": "inputs.bin"}
    return Array.model_validate(values | changes)


@pytest.mark.slow
@needs("aapt2", str(skeleton.FRAMEWORK))
def test_manifest_and_resources_are_what_android_reads(tmp_path: Path) -> None:
    resources_zip, manifest = tmp_path / "resources.zip", tmp_path / "AndroidManifest.xml"
    subprocess.run(["aapt2", "compile", "--dir", str(APP / "src/main/res"), "-o", str(resources_zip)], check=True)
    text = (APP / "src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    manifest.write_text(text.replace("<manifest ", '<manifest package="edgedistill.bench" ', 1), encoding="utf-8")
    apk = ["-o", str(tmp_path / "x.apk"), "--manifest", str(manifest), "-I", str(skeleton.FRAMEWORK)]
    subprocess.run(["aapt2", "link", *apk, str(resources_zip)], check=True)
    told = subprocess.run(
        ["aapt2", "dump", "badging", str(tmp_path / "x.apk")], capture_output=True, text=True, check=True
    )
    assert "launchable-activity: name='edgedistill.bench.android.BenchActivity'" in told.stdout
