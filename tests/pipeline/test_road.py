"""run: every step once, finished ones kept, a failed gate told at the end, nothing replaced unasked.

The steps themselves are stood in for here: what is tested is which are called, with what, and when not.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgedistill import plugins, reports
from edgedistill.config import Settings
from edgedistill.errors import (
    ConfigError,
    DataError,
    ExportError,
    MissingExtraError,
    StorageError,
    TakenError,
    TrainingError,
    UnknownNameError,
)
from edgedistill.pipeline.road import run
from edgedistill.pipeline.walk import RoadResult
from edgedistill.reports import Verdict
from tests.made import write_artifact, write_verdict


class RecipeSettings(Settings):
    seed: int = 0
    """A seed."""


class TargetSettings(Settings):
    target: str
    """A target."""
    scheme: str = "fp32"
    """A scheme."""
    max_length: int = 128
    """A length."""


@dataclass
class Steps:
    """Stands for the verbs: notes the calls, makes what each would make."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def note(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if name in self.errors:
            raise self.errors[name]

    def distill(self, recipe: str, *, out: Path, **others: Any) -> Path:
        self.note(f"distill {recipe}", out=out, **others)
        student = out / "student"
        student.mkdir(parents=True, exist_ok=True)
        (student / "model.safetensors").write_text(f"{recipe} {others['config']}", encoding="utf-8")
        return student

    def export(self, student: Path, *, out: Path, **others: Any) -> Path:
        self.note(f"export {out.name}", student=student, **others)
        return write_artifact(out, command=(student / "model.safetensors").read_text(encoding="utf-8"))

    def check(self, artifact: Path, *, settings: Any) -> Verdict:
        self.note(f"check {artifact.name}", settings=settings)
        return write_verdict(artifact, self.verdicts.get(artifact.name, "passed"))

    def bench(self, artifacts: list[Path], **others: Any) -> None:
        self.note("bench", artifacts=artifacts, **others)
        for artifact in artifacts:
            (artifact / "bench.json").write_text("{}", encoding="utf-8")

    def report(self, folder: Path) -> Path:
        self.note("report", folder=folder)
        return folder / "index.html"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    for verb in ("distill", "export", "check", "bench", "report"):
        module = ModuleType(f"edgedistill.pipeline.{verb}")
        setattr(module, verb, getattr(steps, verb))
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def load(kind: str, name: str) -> Any:
        if name not in {"finetune", "mobilebert", "onnx", "tflite"}:
            raise UnknownNameError(kind[:-1], name, ["finetune", "mobilebert", "onnx", "tflite"])
        module = ModuleType(name)
        module.Config = RecipeSettings if kind == "recipes" else TargetSettings  # type: ignore[attr-defined]
        module.SCHEMES = ("fp32", "int8_dynamic")  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(plugins, "load", load)
    return steps


@pytest.fixture
def road(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "model.safetensors").write_text("weights", encoding="utf-8")
    return write_road(tmp_path)


def write_road(folder: Path, **changes: Any) -> Path:
    values = {
        "out": str(folder / "out"),
        "task": "sst2",
        "data": "data",
        "teacher": {"checkpoint": "teacher", "finetune": True, "settings": {"seed": 1}},
        "exports": [{"target": "onnx", "scheme": "fp32"}, {"target": "onnx", "scheme": "int8_dynamic"}],
        **changes,
    }
    path = folder / "road.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


FP32, INT8 = "mobilebert-sst2-onnx-fp32", "mobilebert-sst2-onnx-int8_dynamic"
WHOLE = ["distill finetune", "distill mobilebert", f"export {FP32}", f"check {FP32}", f"export {INT8}",
         f"check {INT8}", "bench", "report"]  # fmt: skip


def by_status(result: RoadResult) -> dict[str, str]:
    return {step.name: step.status for step in result.steps}


def test_the_whole_road_in_order(steps: Steps, road: Path, tmp_path: Path) -> None:
    result = run(road)
    assert steps.names() == WHOLE
    assert result.exit_code == 0
    assert [verdict.status for verdict in result.verdicts] == ["passed", "passed"]
    calls = dict(steps.calls)
    assert calls["distill finetune"]["student"] == str(tmp_path / "teacher"), "paths are found beside the road's file"
    assert calls["distill finetune"]["config"] == {"seed": 1}
    assert calls["distill finetune"]["data"] == tmp_path / "data"
    assert calls["distill mobilebert"]["teacher"] == (str(tmp_path / "out" / "teacher" / "student"),)
    assert calls["report"]["folder"] == tmp_path / "out" / "mobilebert"
    assert result.page == str(tmp_path / "out" / "mobilebert" / "index.html")


def test_a_second_time_nothing_is_done_again_but_the_page(steps: Steps, road: Path) -> None:
    run(road)
    steps.calls.clear()
    result = run(road)
    assert steps.names() == ["report"]
    assert set(by_status(result).values()) == {"skipped", "done"}
    assert len(result.verdicts) == 2


def test_a_failed_gate_does_not_stop_the_rest_but_is_told(steps: Steps, road: Path) -> None:
    steps.verdicts[FP32] = "failed"
    for _ in range(2):  # skipping a finished check does not forget what it said
        result = run(road)
        assert by_status(result)[f"check {FP32}"] == "failed"
        assert result.exit_code == 1
        assert result.page
    assert steps.names()[:8] == WHOLE


@pytest.mark.parametrize(
    ("error", "code"), [(ExportError("no such operator"), 2), (MissingExtraError("target 'onnx'", "onnx", "onnx"), 3)]
)
def test_an_artifact_that_cannot_be_made_does_not_stop_the_others(
    steps: Steps, road: Path, error: Exception, code: int
) -> None:
    steps.errors[f"export {FP32}"] = error
    result = run(road)
    assert by_status(result)[f"export {FP32}"] == "stopped"
    assert by_status(result)[f"check {INT8}"] == "done"
    assert f"check {FP32}" not in by_status(result)
    assert result.exit_code == code


def test_training_that_fails_ends_the_road(steps: Steps, road: Path) -> None:
    steps.errors["distill mobilebert"] = TrainingError("the loss is NaN")
    with pytest.raises(TrainingError):
        run(road)


def test_an_interrupted_training_goes_on(steps: Steps, road: Path, tmp_path: Path) -> None:
    steps.errors["distill mobilebert"] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run(road)
    (tmp_path / "out" / "mobilebert").mkdir()
    steps.errors.clear()
    steps.calls.clear()
    run(road)
    assert steps.names() == WHOLE[1:]
    assert steps.calls[0][1]["resume"] is True
    assert steps.calls[0][1]["overwrite"] is False


def test_an_output_that_was_taken_is_not_taken_for_begun(steps: Steps, road: Path, tmp_path: Path) -> None:
    steps.errors["distill mobilebert"] = TakenError("already exists")
    (tmp_path / "out" / "mobilebert").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(StorageError, match="already exists"):
            run(road)
        assert steps.calls[-1][1]["resume"] is False


def test_a_step_that_ran_out_of_space_is_gone_on_with(steps: Steps, road: Path, tmp_path: Path) -> None:
    steps.errors["distill mobilebert"] = StorageError("no space left on the disk")
    (tmp_path / "out" / "mobilebert").mkdir(parents=True)
    resumed = []
    for _ in range(2):
        with pytest.raises(StorageError, match="no space left"):
            run(road)
        resumed.append(steps.calls[-1][1]["resume"])
    assert resumed == [False, True]


def test_other_settings_do_not_replace_a_student_unasked(steps: Steps, road: Path, tmp_path: Path) -> None:
    run(road)
    steps.calls.clear()
    other = write_road(tmp_path, distill={"settings": {"seed": 7}})
    with pytest.raises(StorageError, match=r"'distill' was made with other settings or inputs.*--overwrite"):
        run(other)
    assert steps.names() == []
    run(other, overwrite=True)
    assert steps.names() == WHOLE[1:], "the teacher is as it was; all that follows the student is made again"
    assert steps.calls[0][1]["overwrite"] is True


def test_other_data_are_noticed(steps: Steps, road: Path, tmp_path: Path) -> None:
    run(road)
    (tmp_path / "data" / "train.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    with pytest.raises(StorageError, match="'teacher' was made with other settings or inputs"):
        run(road)


def test_a_changed_result_is_noticed(steps: Steps, road: Path, tmp_path: Path) -> None:
    run(road)
    (tmp_path / "out" / "mobilebert" / "student" / "model.safetensors").write_text("other", encoding="utf-8")
    with pytest.raises(StorageError, match="'distill' was changed since it was made"):
        run(road)


def test_tolerances_are_judged_again_without_asking(steps: Steps, road: Path, tmp_path: Path) -> None:
    run(road)
    steps.calls.clear()
    run(write_road(tmp_path, check={"settings": {"int8_agreement": 0.9}}))
    assert steps.names() == [f"check {FP32}", f"check {INT8}", "report"]
    assert steps.calls[0][1]["settings"] == ["int8_agreement=0.9"]


def test_set_and_out_change_the_road(steps: Steps, road: Path, tmp_path: Path) -> None:
    run(road, out=tmp_path / "else", settings=["bench.mode=rapid", "report=false", "teacher.finetune=false",
                                               "teacher.settings={}"])  # fmt: skip
    assert steps.names() == WHOLE[1:-1]
    assert dict(steps.calls)["bench"]["mode"] == "rapid"
    assert dict(steps.calls)["distill mobilebert"]["teacher"] == (str(tmp_path / "teacher"),)
    assert (tmp_path / "else" / "road.json").is_file()


def test_teachers_that_answer_as_one_and_a_cache(steps: Steps, tmp_path: Path) -> None:
    for name in ("teacher", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name, encoding="utf-8")
    teacher = {"checkpoint": "teacher", "beside": ["second", "hub/third"]}
    (tmp_path / "data").mkdir(exist_ok=True)
    path = write_road(tmp_path, teacher=teacher, distill={"teacher_cache": "auto"})
    run(path)
    given = dict(steps.calls)["distill mobilebert"]
    assert given["teacher"] == (str(tmp_path / "teacher"), str(tmp_path / "second"), "hub/third")
    assert given["teacher_cache"] == Path("auto")
    (tmp_path / "second" / "config.json").write_text("another one", encoding="utf-8")
    with pytest.raises(StorageError, match="'distill' was made with other settings or inputs"):
        run(path)


def test_dry_run_lists_the_steps_and_writes_nothing(steps: Steps, road: Path, tmp_path: Path) -> None:
    result = run(road, dry_run=True)
    assert not (tmp_path / "out").exists()
    assert set(by_status(result).values()) == {"planned"}
    assert [step.name for step in result.steps] == ["teacher", "distill", *WHOLE[2:]]
    assert [step.name for step in run(road).steps] == [step.name for step in result.steps]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"distill": {"recipe": "mobilbert"}}, UnknownNameError, "Did you mean 'mobilebert'"),
        ({"exports": [{"target": "onxx"}]}, UnknownNameError, "Did you mean 'onnx'"),
        ({"exports": [{"scheme": "int8"}]}, UnknownNameError, "There are: fp32, int8_dynamic"),
        ({"exports": [{"settings": {"opset": 17}}]}, ConfigError, r"exports\.0\.settings: unknown key 'opset'"),
        ({"exports": [{}, {}]}, ConfigError, "two exports would be called"),
        ({"distill": {"settings": {"sed": 1}}}, ConfigError, r"distill\.settings: unknown key 'sed'"),
        ({"teacher": {"settings": {"seed": 1}}}, ConfigError, "of no use without teacher.finetune"),
        ({"check": {"settings": {"agreement": 1}}}, ConfigError, "no tolerance named 'agreement'"),
        ({"task": "sst3"}, UnknownNameError, "Did you mean 'sst2'"),
        ({"data": "nowhere"}, DataError, "there is no 'nowhere'"),
        ({"distill": {"corpus": "nowhere.txt"}}, DataError, r"distill\.corpus: there is no"),
        ({"surprise": 1}, ConfigError, "unknown key 'surprise'"),
        ({"bench": {"mode": "fast"}}, ConfigError, "submission"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_trained(
    steps: Steps, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(error, match=message):
        run(write_road(tmp_path, **changes))
    assert steps.names() == []
    assert not (tmp_path / "out").exists()


def test_a_road_that_is_no_file_offers_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no road named 'dem'"):
        run("dem")
    with pytest.raises(ConfigError, match="no file"):
        run(tmp_path / "none.yaml")


def test_a_broken_ledger_is_named(steps: Steps, road: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "road.json").write_text("{", encoding="utf-8")
    with pytest.raises(StorageError, match="Delete it to go the road anew"):
        run(road)


def test_the_result_is_json(steps: Steps, road: Path, tmp_path: Path) -> None:
    result = run(road)
    reports.save(result, tmp_path / "result.json")
    assert reports.read(RoadResult, tmp_path / "result.json") == result
