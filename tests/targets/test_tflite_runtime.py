"""LiteRT artifacts in tflite-runtime, LiteRT's predecessor: chosen where there is no LiteRT, and right there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from edgedistill.artifacts import Buckets, Graph, Tensor
from tests.made import write_artifact

ROOT = Path(__file__).parents[2]

_FAKE = """
import sys, types
import numpy as np

sys.modules["ai_edge_litert"] = None  # as if it were not installed

class Interpreter:
    def __init__(self, model_path, num_threads):
        self.threads = num_threads

    def get_signature_runner(self, name):
        return lambda input_ids: {"logits": np.full((1, 2), input_ids.shape[1] * self.threads, np.float32)}

if IS_THERE:
    package, module = types.ModuleType("tflite_runtime"), types.ModuleType("tflite_runtime.interpreter")
    module.Interpreter = Interpreter
    sys.modules.update({"tflite_runtime": package, "tflite_runtime.interpreter": module})
"""
_OPEN = """
import json
from pathlib import Path
from edgedistill.artifacts import read_manifest
from edgedistill.targets import tflite
folder = Path(sys.argv[1])
runner = tflite.runner(folder, read_manifest(folder), threads=3)
ids = np.ones((1, 5), np.int64)
found = runner({"input_ids": ids, "attention_mask": ids, "token_type_ids": ids})
from edgedistill.targets.tflite import runtime
print(json.dumps([runtime.RUNTIME, found["logits"].tolist()]))
"""
_ANSWER = """
import json, sys
from pathlib import Path
import numpy as np
from edgedistill.artifacts import read_manifest
from edgedistill.targets import tflite
from edgedistill.targets.tflite import runtime
folder = Path(sys.argv[1])
runner = tflite.runner(folder, read_manifest(folder))
worst, lengths = 0.0, set()
for line in (folder / "golden.jsonl").open(encoding="utf-8"):
    golden = json.loads(line)
    ids, types = np.array([golden["input_ids"]]), np.array([golden["token_type_ids"]])
    lengths.add(ids.shape[1])
    found = runner({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types})
    for name, expected in golden["artifact"].items():
        off = np.abs(found[name].ravel() - np.array(expected)).max() / golden["tolerance"][name]
        worst = max(worst, float(off))
print(json.dumps([runtime.RUNTIME, worst, min(lengths), max(lengths)]))
"""


def program(code: str, folder: Path, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run it with this checkout, and with nothing else of this environment."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**own, "PYTHONPATH": str(ROOT)}
    command = [str(python), "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact of one bucket whose model is just bytes."""
    ids = Tensor(name="input_ids", dtype="int32", shape=(1, 8))
    logits = Tensor(name="logits", dtype="float32", shape=(1, 2))
    graph = Graph(name="length_8", file="model.onnx", signature="length_8", length=8, inputs=(ids,), outputs=(logits,))
    return write_artifact(tmp_path / "a", target="tflite", graphs=(graph,), driver=Buckets(graphs=("length_8",)))


def test_the_predecessor_runs_what_litert_would(folder: Path) -> None:
    done = program(f"IS_THERE = True\n{_FAKE}\n{_OPEN}", folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["tflite-runtime", [[24.0, 24.0]]]


def test_without_either_the_extra_is_named(folder: Path) -> None:
    blocked = "import sys\nsys.modules['tflite_runtime'] = None\nIS_THERE = False\n"
    done = program(f"{blocked}{_FAKE}\n{_OPEN}", folder)
    assert "MissingExtraError" in done.stderr
    assert "edgedistill[tflite]" in done.stderr


@pytest.fixture(scope="module")
def predecessor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with tflite-runtime and what reading a manifest needs; no LiteRT, no torch."""
    place = tmp_path_factory.mktemp("predecessor")
    venv.create(place, with_pip=True)
    wanted = ["tflite-runtime==2.14.0", "numpy<2", "click", "filelock", "packaging", "pydantic", "pyyaml", "rich"]
    install = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", *wanted]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a package index with tflite-runtime 2.14.0 for this Python: {done.stderr.strip()[-200:]}")
    return place / "bin" / "python"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["fp32", "int8_weight"])
def test_it_answers_the_goldens(predecessor: Path, tiny_bert: Path, tmp_path: Path, scheme: str) -> None:
    pytest.importorskip("litert_torch", reason="the extra tflite is not installed")
    from edgedistill.pipeline.export import export

    made = export(
        tiny_bert,
        target="tflite",
        scheme=scheme,
        out=tmp_path / "artifact",
        settings=["max_length=64", "lengths=[16,32,64]"],
    )
    done = program(_ANSWER, made, predecessor)
    assert done.returncode == 0, done.stderr
    runtime, worst, shortest, longest = json.loads(done.stdout)
    assert runtime == "tflite-runtime"
    assert shortest <= 16
    assert longest > 32, "every bucket is used"
    assert worst <= 1.0, "in units of what a device may be off"
