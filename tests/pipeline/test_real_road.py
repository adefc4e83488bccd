"""The gate, the bench and the page on real files: a student trained here, exported to both runtimes, then broken.

The student is a MobileBERT whose row of PAD is 1: a convolution over neighbours reads it, which every export has to
hide. The faults are those of an exporter (another model in the file) and of a careless hand (another file).
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from edgedistill import distill, export, reports
from edgedistill.artifacts import MANIFEST, read_manifest
from edgedistill.cli.verbs import edgedistill
from edgedistill.files import sha256_of
from edgedistill.models import views
from edgedistill.models.views import ExportView, view_of
from edgedistill.pages.content import Content
from edgedistill.pipeline.check import check
from edgedistill.reports import BENCH, VERDICT, BenchReport, Rung, Verdict
from tests.gate.planted import Planted
from tests.support import save_checkpoint, tiny_model, tiny_tokenizer, vocabulary, write_task

pytestmark = pytest.mark.slow

LENGTH = 32
PAIRS = [(target, scheme) for target in ("onnx", "tflite") for scheme in ("fp32", "int8_dynamic")]
NAMES = [f"mobilebert-sst2-{target}-{scheme}" for target, scheme in PAIRS]
TIMED = [NAMES[0], NAMES[3]]
NOT_HERE = {"other_architecture", "phone", "app_tokenizer"}


@dataclass(frozen=True)
class Road:
    """A run folder whose student knows its task, with its artifacts."""

    run: Path
    artifacts: dict[str, Path]


def optim(epochs: float) -> dict[str, Any]:
    return {"lr": 3e-3, "epochs": epochs, "batch_size": 16, "mixed_precision": "no"}


def train(folder: Path) -> Path:
    """A teacher, and a MobileBERT of two layers that learns from it, in seconds."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = write_task(folder / "data", train=512, judged=400)
    start = tiny_model(hidden=32, layers=2)
    with torch.no_grad():
        for weight in (w for w in start.parameters() if w.ndim == 2):
            weight.mul_(0.2)
    given = {"task": "sst2", "data": data}
    start_folder = save_checkpoint(folder / "start", start)
    config = {"max_length": LENGTH, "optim": optim(3)}
    teacher = distill("finetune", student=start_folder, out=folder / "teacher", config=config, **given)
    config = {"max_length": LENGTH, "strategy": "auxiliary", "distill_optim": optim(4), "polish_optim": None}
    return distill("mobilebert", teacher=teacher, out=folder / "run", config=config, **given)


def set_pad_row(student: Path) -> None:
    """Make the row of PAD 1; training leaves it 0."""
    path = student / "model.safetensors"
    weights = load_file(path)
    (name,) = (name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name][0] = 1.0
    save_file(weights, path, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    student = train(tmp_path_factory.mktemp("road"))
    set_pad_row(student)
    made = [export(student, target=target, scheme=scheme) for target, scheme in PAIRS]
    return Road(student.parent, {folder.name: folder for folder in made})


def call(*words: str | Path) -> str:
    result = CliRunner().invoke(edgedistill, [str(word) for word in words], prog_name="edgedistill")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_good_artifacts_pass(road: Road, name: str) -> None:
    folder = road.artifacts[name]
    verdict = Verdict.model_validate(json.loads(call("check", folder, "--json")))
    rungs = {rung.name: rung for rung in verdict.rungs}
    assert verdict.status == "passed", {n: r.reason for n, r in rungs.items() if r.status == "failed"}
    expected = NOT_HERE | ({"padding_and_batch"} if "tflite" in name else set())
    assert {n for n, rung in rungs.items() if rung.status == "not_run"} == expected
    assert rungs["student_to_artifact"].rows > 400
    assert value(rungs["student_to_artifact_metric"], "artifact_accuracy") > 0.95
    assert value(rungs["teacher_to_artifact"], "ratio") > 0.97
    if "fp32" in name:
        assert value(rungs["student_to_artifact"], "max_abs") < 1e-4
    assert verdict == reports.read(Verdict, folder / VERDICT)
    assert verdict.manifest_sha256 == sha256_of(folder / MANIFEST)


def value(rung: Rung, name: str) -> float:
    found = next(measure.value for measure in rung.measures if measure.name == name)
    assert found is not None
    return found


def faults(verdict: Verdict) -> set[str]:
    assert verdict.status == "failed"
    return {fault.name for rung in verdict.rungs for fault in rung.findings}


def reversed_labels(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    labels = manifest["labels"][::-1]
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (folder / MANIFEST).write_text(json.dumps(manifest | {"labels": labels}))
    hide(folder)


def other_vocabulary(folder: Path) -> None:
    words = [*vocabulary()[:5], *reversed(vocabulary()[5:])]
    tiny_tokenizer(words).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    hide(folder)


def cut_short(folder: Path) -> None:
    path = folder / read_manifest(folder).graphs[0].file
    path.write_bytes(path.read_bytes()[:-100])


def changed_since(folder: Path) -> None:
    path = folder / read_manifest(folder).graphs[0].file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def hide(folder: Path) -> None:
    """Make the manifest fit the files again."""
    Planted(folder, folder, None, None).refresh_hashes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (reversed_labels, "swapped_labels"),
        (other_vocabulary, "wrong_vocabulary"),
        (cut_short, "truncated_file"),
        (changed_since, "stale_manifest"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_files_changed_by_hand(
    road: Road, tmp_path: Path, name: str, plant: Callable[[Path], None], fault: str
) -> None:
    folder = shutil.copytree(road.artifacts[name], tmp_path / name)
    plant(folder)
    assert fault in faults(check(folder))


def without_a_layer(model: Any) -> ExportView:
    view = view_of(model)
    del view.body.layers[1]
    return view


def with_random_weights(model: Any) -> ExportView:
    with torch.no_grad():
        for weight in (w for w in model.parameters() if w.ndim == 2):
            weight.copy_(torch.randn_like(weight) * weight.std())
    return view_of(model)


def with_swapped_classes(model: Any) -> ExportView:
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(parameter.flip(0))
    return view_of(model)


class _ReadsPads(nn.Module):
    """Trigrams of the words and of the padding after them, as in the stock forward."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, ids: Tensor) -> Tensor:
        words = self.embeddings(ids)
        following = functional.pad(words[:, 1:], (0, 0, 0, 1))
        return torch.cat([following, words, functional.pad(words[:, :-1], (0, 0, 1, 0))], dim=2)


def with_pads_read(model: Any) -> ExportView:
    view = view_of(model)
    view.body.word_embeddings, view.body.has_trigrams = _ReadsPads(view.body.word_embeddings), False
    return view


@pytest.mark.parametrize(
    ("name", "broken", "fault"),
    [
        ("onnx-fp32", without_a_layer, "layer_dropped"),
        ("tflite-int8_dynamic", without_a_layer, "layer_dropped"),
        ("onnx-int8_dynamic", with_random_weights, "random_weights"),
        ("tflite-fp32", with_random_weights, "random_weights"),
        ("onnx-int8_dynamic", with_swapped_classes, "swapped_labels"),
        ("onnx-fp32", with_pads_read, "padding_row"),
        ("tflite-int8_dynamic", with_pads_read, "padding_row"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_another_model_in_the_file(
    road: Road,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: Callable[[Any], ExportView],
    fault: str,
) -> None:
    monkeypatch.setattr(views, "view_of", lambda model: broken(copy.deepcopy(model)))
    target, scheme = name.split("-")
    verdict = check(export(road.run / "student", target=target, scheme=scheme, out=tmp_path / "out"))
    assert faults(verdict) == {fault}


def test_bench_and_page_of_what_passed(road: Road) -> None:
    for folder in road.artifacts.values():
        check(folder)
    timed = [road.artifacts[name] for name in TIMED]
    words = ["bench", *timed, "--mode", "rapid", "--threads", "1", "--json", "--out", road.run / "times.json"]
    report = BenchReport.model_validate(json.loads(call(*words)))
    assert report == reports.read(BenchReport, road.run / "times.json")
    assert [row.artifact for row in report.rows] == [*TIMED, "pytorch"]
    for row in report.rows:
        assert (row.length, row.threads, row.batch, row.source) == (LENGTH, 1, 1, "host")
        assert 0 < row.latency.p50_ms <= row.latency.p90_ms
        assert len(row.samples_ms) == row.latency.runs >= 64
        assert row.validity == "valid"
        assert row.peak_rss_bytes
    for row, folder in zip(report.rows, timed, strict=False):
        assert row.manifest_sha256 == sha256_of(folder / MANIFEST)
        assert row.size_bytes == read_manifest(folder).model_size_bytes
        assert reports.read(BenchReport, folder / BENCH) == report

    call("report", road.run)
    content = Content.model_validate(json.loads((road.run / "report.json").read_text(encoding="utf-8")))
    assert content.headline.status == "passed"
    assert {artifact.name: artifact.status for artifact in content.artifacts} == dict.fromkeys(NAMES, "passed")
    assert {state.state for artifact in content.artifacts for state in artifact.files} == {"same"}
    assert all(artifact.score and artifact.score.value > 0.95 for artifact in content.artifacts)
    assert content.training is not None
    assert content.training.scores["rows"] == 400
    assert len(content.benches) == 1
    untimed = {reason.partition(":")[0] for reason in content.missing if "not timed" in reason}
    assert untimed == set(NAMES) - set(TIMED)
    assert content.plot is not None
    page = (road.run / "index.html").read_text(encoding="utf-8")
    text = (road.run / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# run: passed")
    for name in NAMES:
        assert name in page
        assert name in text
