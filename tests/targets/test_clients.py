"""Other people's loaders read our folders as they are, each in an environment of its own: same ids, same answers.

The same judge as `benchmarks/clients.py`, which measures a real student: here a tiny one, whose ids and labels count.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgedistill import export
from edgedistill.clients import CLIENTS
from tests.support import save_checkpoint, tiny_model

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import clients as benchmark

pytestmark = [pytest.mark.clients, pytest.mark.long]

EXPORTED = {
    # As long as the tiny model reads: transformers.js cuts a text's last token where ours keeps it.
    "onnx": [("fp32", ["max_length=128"]), ("int8_dynamic", ["max_length=128"])],
    "tflite": [(scheme, ["max_length=32", "lengths=[32]"]) for scheme in ("fp32", "int8_weight", "int8_dynamic")],
    "executorch": [("fp32", ["max_length=32"])],
}


@pytest.fixture(scope="session")
def artifacts(tiny_task_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A tiny classifier for every target and scheme a client is tried on; those whose extra is missing are left out.

    It has one layer, of a seed whose 8-bit weights decide every golden alike: random layers in a row blow rounding up,
    and near-ties are no client's fault. With a task's rows among the goldens there are 50 plain texts for the clients
    that show no ids.
    """
    student = save_checkpoint(tmp_path_factory.mktemp("student"), tiny_model(layers=1, seed=3))
    task = {"task": str(tiny_task_dir / "task.yaml"), "data": tiny_task_dir}
    made, out = {}, tmp_path_factory.mktemp("artifacts")
    packages = {"onnx": "onnx", "tflite": "litert_torch", "executorch": "executorch"}
    for target, schemes in EXPORTED.items():
        for scheme, settings in schemes:
            if find_spec(packages[target]):
                folder = out / f"{target}-{scheme}"
                made[target, scheme] = export(
                    student, target=target, scheme=scheme, out=folder, settings=settings, **task
                )
    return made


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_reads_the_folder_unmodified(name: str, artifacts: dict[tuple[str, str], Path]) -> None:
    folders = {key: folder for key, folder in artifacts.items() if key[0] in CLIENTS[name].targets}
    if not folders:
        pytest.skip(f"no target of {name} is installed")
    try:
        benchmark.client_home(name)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"needs a package index: {str(getattr(error, 'stderr', error))[-300:]}")
    for (_, scheme), folder in folders.items():
        found = benchmark.tried(name, folder)
        assert found["works"] is (scheme not in CLIENTS[name].fails), found
