"""bench --device app: what the in-app benchmark is asked, the commands to type, and its answer as a report's row."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgedistill import reports, resources
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import DataError, TakenError
from edgedistill.importers import read
from edgedistill.phones.protocol import RunRequest, RunResult
from edgedistill.pipeline.app_requests import APP, write_app_requests
from edgedistill.pipeline.bench_anywhere import IMPORTED
from edgedistill.reports import BenchReport
from tests.made import write_artifact

ANSWER = Path(__file__).parents[1] / "importers" / "files" / "bench_app.json"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "mood; rm -rf $HOME")


def test_requests_hold_all_that_the_app_needs(artifact: Path, tmp_path: Path) -> None:
    found = write_app_requests([artifact], tmp_path / "out", mode="rapid", threads=[1, 2], lengths=[8])
    assert [one.name.rpartition(", ")[2] for one in found] == ["1 thread", "2 threads"]
    for one, threads in zip(found, (1, 2), strict=True):
        request = RunRequest.model_validate_json((one.folder / "request.json").read_text())
        assert (request.id, request.threads, request.runtime_build, request.library) == (one.name, threads, "aar", None)
        assert (request.source, request.min_runs, request.outputs) == ("phone", 64, None)
        named = {graph.file for graph in request.graphs} | {
            array.file for row in request.inputs for array in row.arrays
        }
        assert named <= {path.name for path in one.folder.iterdir()}
    with pytest.raises(TakenError, match="already exists"):
        write_app_requests([artifact], tmp_path / "out")


def test_commands_give_names_to_no_shell(artifact: Path, tmp_path: Path) -> None:
    (one,) = write_app_requests([artifact], tmp_path / "out", mode="rapid", lengths=[8])
    make, push, start, wait, pull, report = (shlex.split(command) for command in one.commands)
    assert push[:2] == ["adb", "push"]
    assert Path(push[2]) == one.folder
    assert make[:2] == start[:2] == ["adb", "shell"]
    for script in (make[2], start[2]):
        assert re.fullmatch(r"[\w ./&-]+", script), "the phone's shell reads this"
    assert "am start -S " in start[2], "an app that still runs would not see the next request"
    assert wait[-1] == "^(done|failed)"
    assert pull[2].endswith(f"/{one.folder.name}/result.json")
    assert report == ["edgedistill", "bench", str(artifact), "--import", pull[3]]


def test_a_report_of_several_rows_holds_them_all(artifact: Path, tmp_path: Path) -> None:
    """Each row's last command is typed in turn, and the last one must not leave only its own row."""
    other = write_artifact(tmp_path / "other")
    found = write_app_requests([artifact, other], tmp_path / "out", mode="rapid", threads=[1, 2], lengths=[8])
    for number, one in enumerate(found):
        answer = json.loads(ANSWER.read_text()) | {"id": one.name, "threads": 1 + number % 2}
        (one.folder / "result.json").write_text(json.dumps(answer))
        done = CliRunner().invoke(edgedistill, shlex.split(one.commands[-1])[1:])
        assert done.exit_code == 0, done.output
    for folder in (artifact, other):
        own = [one.name for one in found if one.name.startswith(folder.name)]
        stated = reports.read(BenchReport, folder / IMPORTED).stated
        assert [(row.model, row.threads) for row in stated] == list(zip(own, (1, 2), strict=True))


def test_the_app_is_called_as_its_project_says() -> None:
    gradle = (resources.folder("android_bench") / "app" / "bench" / "build.gradle").read_text()
    assert f'applicationId "{APP}"' in gradle


def test_the_command_line_says_what_to_type(artifact: Path, tmp_path: Path) -> None:
    asked = ["bench", str(artifact), "--device", "app", "--lengths", "8", "--out"]
    said = CliRunner().invoke(edgedistill, [*asked, str(tmp_path / "a")])
    assert said.exit_code == 0, said.output
    assert "am start -S -W -n edgedistill.bench/.android.BenchActivity" in said.stdout
    machine = json.loads(CliRunner().invoke(edgedistill, [*asked, str(tmp_path / "b"), "--json"]).stdout)
    assert [Path(row["folder"]).parent for row in machine] == [tmp_path / "b"]
    wrong = CliRunner().invoke(edgedistill, [*asked, str(tmp_path / "c"), "--affinity", "big"])
    assert wrong.exit_code == 2
    assert "'--affinity' means nothing to the app" in wrong.stderr


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed", "error": "no such file", "samples_ns": []}, "it failed there: no such file"),
        ({"samples_ns": []}, "it holds no times"),
        ({"source": "qemu"}, "a result from qemu holds no times"),
        ({"threads": "many"}, "make no sense: Input should be a valid integer"),
    ],
)
def test_results_that_say_nothing_are_refused(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    good = json.loads(ANSWER.read_text())
    assert RunResult.model_validate(good).samples_ns
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**good, **changes}))
    with pytest.raises(DataError, match=reason):
        read(path)
