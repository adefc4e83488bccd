"""A disk that is really full and a folder that is really read-only, under every verb that writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.on_a_small_disk import FREE_BYTES

pytestmark = pytest.mark.long

VERBS = tuple(FREE_BYTES)
GATE_FAILED = 1  # a tiny student on 32 rows proves nothing, and the gate says so
KEPT = (".lock", "config.yaml", "run.json", "road.json", "log.jsonl", "scores.jsonl", "model.safetensors",
        "optimizer.safetensors", "position.json", "scaffold.safetensors")  # fmt: skip
"""What a run that stopped keeps to go on with; each but the logs is written whole."""


@pytest.fixture(scope="module")
def found(tiny_bert: Path, tiny_task_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every verb said and left, on a small disk that only the program sees."""
    own_mounts = ["unshare", "--mount", "--map-root-user"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*own_mounts, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets no user mount a disk of their own (unshare --mount --map-root-user)")
    place = tmp_path_factory.mktemp("disk") / "small"
    command = [sys.executable, "-m", "tests.on_a_small_disk", str(tiny_bert), str(tiny_task_dir), str(place)]
    done = subprocess.run(
        [*own_mounts, *command], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr
    runs: list[dict[str, Any]] = json.loads(done.stdout)
    return runs


@pytest.mark.parametrize("verb", VERBS)
def test_a_read_only_folder_is_said_and_left_as_it_was(found: list[dict[str, Any]], verb: str) -> None:
    (run,) = (run for run in found if run["verb"] == verb and run["harm"] == "read-only")
    assert run["code"] == 2, run
    assert "read-only file system" in run["said"].lower() or "the file system is read-only" in run["said"]
    assert "Traceback" not in run["said"]
    assert run["after"] == run["before"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_said_and_nothing_half_written_stays(found: list[dict[str, Any]], verb: str) -> None:
    runs = [run for run in found if run["verb"] == verb and run["harm"] != "read-only"]
    assert len(runs) == len(FREE_BYTES[verb])
    for run in runs:
        assert run["code"] == 2, run
        assert "no space left on" in run["said"].lower(), run
        assert "Traceback" not in run["said"]
        new = {path for path in run["after"] if path not in run["before"] and path != "filler"}
        assert {path for path in run["before"] if run["after"].get(path) != run["before"][path]} == set(), run
        left = {path for path in new if not path.endswith(KEPT) and "tensorboard" not in path}
        assert left == set(), run
        assert verb in {"distill", "run"} or not new, run
        if verb not in {"check", "bench"}:
            assert run["again"] == (GATE_FAILED if verb == "run" else 0), run
            assert not [path for path in run["at_last"] if ".part" in path or ".old" in path]
