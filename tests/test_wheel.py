"""The built wheel works where there is no checkout: in an empty environment, from another folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
HEAVY = frozenset({"torch", "transformers", "accelerate", "datasets", "tensorboard", "scipy", "scikit-learn",
                   "safetensors"})  # fmt: skip
"""Requirements left out of the light environment, so that a hidden import of them is seen."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout so that nothing is left in it."""
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "runs", "artifacts", "dist", "build", "*.egg-info")
    shutil.copytree(ROOT, place / "checkout", ignore=ignored)
    shutil.copy(ROOT / ".gitignore", place / "checkout")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(place),
        str(place / "checkout"),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = place.glob("*.whl")
    return made


def requirements(wheel: Path, leaves_out: frozenset[str] = frozenset()) -> list[str]:
    """What the wheel itself says it needs, extras aside."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    plain = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert leaves_out <= {one.name for one in plain}
    return [str(one) for one in plain if one.name not in leaves_out]


def installed_in(place: Path, *whats: list[str]) -> Path:
    """The command in a fresh environment; skips where there is no index to install from."""
    venv.create(place, with_pip=True)
    for what in whats:
        command = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--constraint", str(CONSTRAINTS), *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
        if done.returncode and any(
            word in done.stderr for word in ("No matching distribution", "onnection", "retries")
        ):
            pytest.skip(f"needs a package index: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
    return place / "bin" / "edgedistill"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a fresh environment that holds the wheel and its light requirements only."""
    place = tmp_path_factory.mktemp("environment")
    return installed_in(place, requirements(wheel, leaves_out=HEAVY), ["--no-deps", str(wheel)])


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([str(command), *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=clean)


def test_the_wheel_holds_what_travels_along(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {"edgedistill/py.typed", "edgedistill/_data/android_bench/README.md"}
    wanted |= {f"edgedistill/_data/schemas/{path.name}" for path in (ROOT / "docs" / "schemas").glob("*.json")}
    wanted |= {f"edgedistill/_data/export_configs/{path.name}" for path in (ROOT / "export_configs").glob("*.yaml")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "edgedistill").rglob("*.yaml")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "edgedistill").rglob("*.py")}
    assert sorted(wanted - set(names)) == []
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "Exit codes"),
        (["--version"], "edgedistill "),
        (["ls"], "int8_dynamic"),
        (["config", "task"], "# What the user types."),
        (["config", "road"], "out:    # required"),
        (["config", "sst2"], "nyu-mll/glue"),
    ],
)
def test_the_light_verbs_run_without_torch(installed: Path, tmp_path: Path, arguments: list[str], shown: str) -> None:
    done = run(installed, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_what_travels_along_is_found(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edgedistill import resources\n"
        "found = [resources.folder(n) for n in ('export_configs', 'android_bench', 'schemas')]\n"
        "found.append(resources.export_config(Path('export_configs/onnx-fp32.yaml')))\n"
        "sys.stdout.write(repr([path.exists() and '_data' in path.parts for path in found]))"
    )
    done = run(installed.parent / "python", "-c", code, cwd=tmp_path)
    assert done.stdout == "[True, True, True, True]", done.stderr


def test_a_verb_that_needs_more_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "distill", "mobilebert", "--task", "sst2", "--out", "x", cwd=tmp_path)
    assert done.returncode == 3
    assert "which is not installed. Run: pip install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_wheel_with_its_onnx_extra_exports_checks_and_benches(
    wheel: Path, tmp_path: Path, tiny_bert: Path, tiny_task_dir: Path
) -> None:
    """In an empty environment, outside the checkout: what somebody who only installs it has."""
    command = installed_in(tmp_path / "environment", [f"edgedistill[onnx] @ {wheel.as_uri()}"])
    shutil.copytree(tiny_bert, tmp_path / "model")
    shutil.copytree(tiny_task_dir, tmp_path / "task")
    task = ["--task", "task/task.yaml", "--data", "task"]
    artifact = ["--target", "onnx", "--set", "max_length=32", "--out", "artifact"]
    done = run(command, "export", "model", *task, *artifact, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run(command, "check", "artifact", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr  # random weights answer no better than chance, and the gate says so
    statuses = {rung["name"]: rung["status"] for rung in json.loads(done.stdout)["rungs"]}
    assert {name for name, status in statuses.items() if status == "failed"} == {"reference"}, statuses
    assert "passed" in statuses.values()
    done = run(command, "bench", "artifact", "--mode", "rapid", "--threads", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["target"] for row in json.loads(done.stdout)["rows"]] == ["onnx", "pytorch"]
