import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgedistill import files, reports
from edgedistill.artifacts import MANIFEST, REFERENCE, Source
from edgedistill.errors import ArtifactError, ConfigError, StorageError, UnknownNameError
from edgedistill.measure import timing
from edgedistill.measure.probe import Cold
from edgedistill.pipeline import bench as bench_module
from edgedistill.pipeline import openers, subjects
from edgedistill.pipeline.bench import bench
from edgedistill.reports import BENCH, BenchReport, Heat
from edgedistill.runner import Arrays, Runner
from tests.pages.runs import write_artifact

SECONDS = {"onnx": 0.02, "tflite": 0.01, "pytorch": 0.05}
SEEN: list[tuple[str, int, tuple[int, ...]]] = []
NOW = [0.0]


def fake_artifact(folder: Path, threads: int) -> Callable[[], Runner]:
    target = json.loads((folder / MANIFEST).read_text())["target"]
    return lambda: _runner(folder.name, SECONDS[target] / threads, threads)


def fake_checkpoint(folder: Path, threads: int) -> Callable[[], Runner]:
    return lambda: _runner("pytorch", SECONDS["pytorch"] / threads, threads)


def _runner(name: str, seconds: float, threads: int) -> Runner:
    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        NOW[0] += seconds
        SEEN.append((name, threads, inputs["input_ids"].shape))
        assert np.asarray(inputs["attention_mask"]).all()
        return {"logits": np.zeros((1, 2), np.float32)}

    return run


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models whose time passes on a clock of their own, no second process, and one core."""
    monkeypatch.setattr(bench_module, "cores", lambda: (0,))
    monkeypatch.setattr(bench_module, "heat", lambda: None)
    SEEN.clear()
    NOW[0] = 0.0
    monkeypatch.setattr(openers, "ARTIFACT", f"{__name__}:fake_artifact")
    monkeypatch.setattr(openers, "CHECKPOINT", f"{__name__}:fake_checkpoint")
    monkeypatch.setattr(bench_module, "probe", lambda folder, inputs, threads, opener: Cold(80.0, 9.0, 50_000_000))
    monkeypatch.setattr(timing, "warm_up", partial(timing.warm_up, clock=lambda: NOW[0]))
    monkeypatch.setattr(timing, "interleaved", partial(timing.interleaved, clock=lambda: NOW[0]))


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "artifacts" / "m-onnx-fp32", tmp_path / "artifacts" / "m-tflite-fp32"]
    write_artifact(folders[0], "onnx")
    write_artifact(folders[1], "tflite", lengths=(32, 128))
    return folders


def test_rows_for_every_length_and_thread_count(pair: list[Path]) -> None:
    report = bench(pair, mode="rapid", threads=(1, 2), reference=False)
    shapes = [(row.artifact, row.length, row.threads) for row in report.rows]
    assert shapes == [
        ("m-tflite-fp32", 32, 1),
        ("m-tflite-fp32", 32, 2),
        ("m-onnx-fp32", 128, 1),
        ("m-tflite-fp32", 128, 1),
        ("m-onnx-fp32", 128, 2),
        ("m-tflite-fp32", 128, 2),
    ]
    assert {(threads, shape) for _, threads, shape in SEEN} == {
        (1, (1, 32)),
        (2, (1, 32)),
        (1, (1, 128)),
        (2, (1, 128)),
    }


def test_a_row_says_everything_that_was_measured(pair: list[Path]) -> None:
    row = bench(pair[:1], mode="rapid", reference=False).rows[0]
    assert row.manifest_sha256 == files.sha256_of(pair[0] / MANIFEST)
    assert (row.target, row.scheme, row.batch, row.source, row.size_bytes) == ("onnx", "fp32", 1, "host", 2340)
    assert row.latency.p90_ms == pytest.approx(20.0)
    assert (row.latency.load_ms, row.latency.first_ms, row.peak_rss_bytes) == (80.0, 9.0, 50_000_000)
    assert row.validity == "valid"
    assert not row.is_throttled
    assert row.latency.runs == len(row.samples_ms) >= 64
    assert sum(row.samples_ms) >= 6000
    assert row.affinity
    assert row.device


def test_the_whole_report_lies_in_every_artifact_and_where_out_says(pair: list[Path], tmp_path: Path) -> None:
    report = bench(pair, mode="rapid", reference=False, out=tmp_path / "all.json", seed=3)
    for path in (*(folder / BENCH for folder in pair), tmp_path / "all.json"):
        assert reports.read(BenchReport, path) == report
    assert (report.mode, report.seed) == ("rapid", 3)
    assert report.command.startswith(f"edgedistill bench {pair[0]} {pair[1]} --mode rapid --threads 1")
    assert "--no-reference" in report.command
    assert "--seed 3" in report.command


def test_the_notes_say_how_inputs_were_made(pair: list[Path]) -> None:
    assert "rows of reference.jsonl" in bench(pair[:1], mode="rapid", reference=False).notes[0]
    (pair[1] / REFERENCE).write_text("")
    entry = {"sha256": files.sha256_of(pair[1] / REFERENCE), "size_bytes": 0}
    _change_entry(pair[1], REFERENCE, entry)
    assert "rows of golden.jsonl" in bench(pair[1:], mode="rapid", reference=False, lengths=[32]).notes[0]


def test_one_thread_and_all_usable_cores_when_not_told(pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found = bench(pair[:1], mode="rapid", reference=False)
    assert ([row.threads for row in found.rows], "--threads 1 " in found.command) == ([1], True)
    monkeypatch.setattr(bench_module, "cores", lambda: (0, 2, 5))
    found = bench(pair[:1], mode="rapid", reference=False)
    assert ([row.threads for row in found.rows], "--threads 1,3 " in found.command) == ([1, 3], True)


def test_heat_and_clock_are_kept_or_said_to_be_unknown(pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found = bench(pair[:1], mode="rapid", reference=False)
    assert (found.rows[0].heat_before, found.rows[0].heat_after) == (None, None)
    assert any("not available" in note for note in found.notes)
    monkeypatch.setattr(bench_module, "heat", lambda: Heat(celsius=40.0 + NOW[0], mhz=1800.0))
    found = bench(pair[:1], mode="rapid", reference=False)
    before, after = found.rows[0].heat_before, found.rows[0].heat_after
    assert before is not None
    assert after is not None
    assert (after.celsius or 0) > (before.celsius or 0) + 6, "measured at both ends of the timing"
    assert not any("not available" in note for note in found.notes)


def test_more_threads_than_cores_are_noted(pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "cores", lambda: (0, 1))
    notes = bench(pair[:1], mode="rapid", threads=[4], reference=False).notes
    assert any("4 threads were asked for on 2 cores" in note for note in notes)


def test_pytorch_is_measured_in_the_same_turns(tmp_path: Path, tiny_bert: Path) -> None:
    from edgedistill.models import loading

    source = loading.load(tiny_bert).source
    write_artifact(tmp_path / "a", "onnx", source=source)
    report = bench([tmp_path / "a"], mode="rapid", lengths=[16])
    _, torch = report.rows
    assert (torch.artifact, torch.target, torch.scheme, torch.manifest_sha256) == ("pytorch", "pytorch", "fp32", None)
    assert torch.latency.p50_ms == pytest.approx(50.0)
    assert torch.size_bytes == (tiny_bert / "model.safetensors").stat().st_size
    names = [name for name, _, _ in SEEN]
    assert names.index("pytorch") < len(names) - names[::-1].index("a"), "turns alternate"


def test_a_student_in_the_run_folder_is_found_from_anywhere(tmp_path: Path, tiny_bert: Path) -> None:
    from edgedistill.models import loading

    source = loading.load(tiny_bert).source.model_copy(update={"path": "runs/elsewhere/student"})
    (tmp_path / "student").symlink_to(tiny_bert)
    write_artifact(tmp_path / "artifacts" / "a", source=source)
    assert [row.artifact for row in bench([tmp_path / "artifacts" / "a"], mode="rapid", lengths=[8]).rows] == [
        "a",
        "pytorch",
    ]


def test_a_checkpoint_that_is_gone_leaves_a_note_instead_of_a_row(
    pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # the manifest's path is relative
    report = bench(pair[:1], mode="rapid")
    assert [row.target for row in report.rows] == ["onnx"]
    assert any("No pytorch row: the checkpoint 'runs/sst2/student'" in note for note in report.notes)
    assert "warning: No pytorch row" in capsys.readouterr().err


def test_other_weights_than_the_exported_ones_are_no_reference(tmp_path: Path, tiny_bert: Path) -> None:
    write_artifact(tmp_path / "a", source=Source(path=str(tiny_bert), sha256="0" * 64, family="bert", parameters=1))
    report = bench([tmp_path / "a"], mode="rapid", lengths=[8])
    assert [row.target for row in report.rows] == ["onnx"]
    assert any("are not those that 'a' was exported from" in note for note in report.notes)


def test_every_source_has_a_reference_of_its_own(pair: list[Path]) -> None:
    first, second = subjects.artifact_subjects(pair, [16])
    from dataclasses import replace

    other = replace(second, source=Source(path="m/teacher", sha256="1" * 64, family="bert", parameters=1))
    _, notes = subjects.reference_subjects([first, other])
    assert [note.split(":")[1].split(" ")[0] for note in notes] == ["student", "teacher"]


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_changed_artifact_is_refused_before_anything_is_measured(pair: list[Path], damage: str) -> None:
    path = pair[0] / "model.bin"
    path.write_bytes(b"n" * 2340) if damage == "change" else path.unlink()
    with pytest.raises(ArtifactError, match=r"model\.bin.*Export it again"):
        bench(pair, mode="rapid", reference=False)
    assert not SEEN
    assert not (pair[1] / BENCH).exists()


def test_a_manifest_that_points_outside_is_refused(pair: list[Path], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    _change_entry(pair[0], "labels.txt", {"path": "../../secret"})
    with pytest.raises(ArtifactError, match="outside the folder"):
        bench(pair[:1], mode="rapid", reference=False)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "quik"}, UnknownNameError, "Did you mean 'quick'"),
        ({"threads": [0]}, ConfigError, "threads must be whole numbers of at least 1"),
        ({"threads": []}, ConfigError, "threads must be whole numbers of at least 1"),
        ({"threads": [1, 99_999]}, ConfigError, "threads must be at most"),
        ({"lengths": [4]}, ConfigError, "lengths must be whole numbers of at least 8"),
        ({"lengths": [256]}, ConfigError, "takes at most 128 tokens, not 256"),
    ],
)
def test_bad_options_are_named(
    pair: list[Path], options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        bench(pair, **options)  # type: ignore[arg-type]


def test_a_report_that_cannot_be_kept_is_said_before_anything_is_measured(pair: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write '.*all\.json'"):
        bench(pair, mode="rapid", reference=False, out=tmp_path / "file" / "all.json")
    assert not SEEN
    assert not [path for folder in pair for path in folder.iterdir() if path.name.startswith((".", BENCH))]


def test_nothing_and_twice_the_same_are_refused(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to bench"):
        bench([])
    with pytest.raises(ConfigError, match="named twice"):
        bench([pair[0], pair[0].parent / "." / pair[0].name])
    with pytest.raises(ArtifactError, match="is no artifact"):
        bench([tmp_path])


def test_two_artifacts_of_one_name_keep_apart(tmp_path: Path) -> None:
    folders = [tmp_path / run / "same" for run in ("one", "two")]
    for folder in folders:
        write_artifact(folder)
    names = [row.artifact for row in bench(folders, mode="rapid", reference=False).rows]
    assert names == [folder.as_posix() for folder in folders]


def _change_entry(folder: Path, path: str, values: dict[str, object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    for entry in manifest["files"]:
        if entry["path"] == path:
            entry.update(values)
    (folder / MANIFEST).write_text(json.dumps(manifest))
