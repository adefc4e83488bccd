"""Numbers that other tools state: read as they are, in the units they have here, and nothing made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill import importers, plugins
from edgedistill.errors import DataError
from edgedistill.reports import StatedLatency, StatedRow

FILES = Path(__file__).parent / "files"
NAMES = sorted(path.name for path in FILES.iterdir())


def read(name: str) -> StatedRow:
    (row,) = importers.read(FILES / name)
    return row


def stated(row: StatedRow) -> dict[str, float]:
    return row.latency.model_dump(exclude_none=True)


def test_there_is_a_file_for_every_importer() -> None:
    tools = {row.tool for name in NAMES for row in importers.read(FILES / name)}
    assert tools == set(plugins.names("importers"))


@pytest.mark.parametrize("name", NAMES)
def test_a_tools_output_is_recognised_by_its_own_importer_alone(name: str) -> None:
    text = (FILES / name).read_text(encoding="utf-8")
    taken = [tool for tool in plugins.names("importers") if plugins.load("importers", tool).recognises(text)]
    assert len(taken) == 1
    assert name.startswith(taken[0]) or taken == ["mlperf"]


def test_benchmark_model() -> None:
    row = read("benchmark_model.txt")
    assert stated(row) == {
        "runs": 50, "p5_ms": 77.31, "p50_ms": 78.85, "p95_ms": 82.001, "min_ms": 77.102, "max_ms": 1234.57,
        "mean_ms": 79.0104, "std_ms": 1.65, "first_ms": 83.235, "load_ms": 38.467,
    }  # fmt: skip
    assert (row.model, row.backend, row.threads, row.source) == ("student.tflite", "XNNPACK", 4, "unstated")
    assert (row.peak_memory_bytes, row.size_bytes) == (130_200_000, 5_840_000)
    assert row.latency.headline == ("p50", 78.85)


def test_older_builds_of_benchmark_model_state_less() -> None:
    row = read("benchmark_model_old.txt")
    assert (row.latency.p50_ms, row.latency.max_ms, row.latency.std_ms) == (42.0, 42.0, 0.0)
    assert stated(read("benchmark_model_logcat.txt")) == {"mean_ms": 1.68792, "first_ms": 4.098, "load_ms": 1007.529}
    assert "does not print p5, median, p95" in read("benchmark_model_logcat.txt").notes[1]


def test_two_runs_of_benchmark_model_in_one_file(tmp_path: Path) -> None:
    both = tmp_path / "both.txt"
    both.write_text("".join((FILES / name).read_text() for name in ("benchmark_model.txt", "benchmark_model_old.txt")))
    first, second = importers.read(both)
    assert (first.model, second.model) == ("student.tflite", "model.tflite")
    assert (first.peak_memory_bytes, second.peak_memory_bytes) == (130_200_000, None)


def test_benchmark_litert_model() -> None:
    text, json = read("benchmark_litert_model.txt"), read("benchmark_litert_model.json")
    assert stated(text) == {
        "runs": 162, "min_ms": 5.9, "max_ms": 7.81, "mean_ms": 6.2, "std_ms": 0.21, "first_ms": 9.1, "load_ms": 21.5,
    }  # fmt: skip
    assert text.peak_memory_bytes == 61_250_000
    assert (json.latency.p50_ms, json.latency.runs, json.threads, json.backend) == (6.2, 50, 2, "npu, cpu")
    assert json.fallback_share == 0.0


def test_onnxruntime_perf_test() -> None:
    new, old, single = (read(f"onnxruntime_perf_test{end}") for end in (".txt", "_old.txt", ".csv"))
    assert (new.latency.p90_ms, new.latency.mean_ms, new.latency.load_ms) == (1.87012, 1.85739, 10.2016)
    assert (old.latency.min_ms, old.latency.p99_ms, old.latency.runs) == (55.9777, 60.1, 1000)
    assert (single.latency.p50_ms, single.latency.p90_ms, len(single.samples_ms)) == (11.45, 12.61, 30)
    assert single.is_throttled is True
    assert new.peak_memory_bytes == single.peak_memory_bytes == 36_696_064


def test_executor_runner_is_warmed_up_here() -> None:
    row, old = read("executor_runner.txt"), read("executor_runner_old.txt")
    assert (row.latency.runs, row.latency.first_ms, row.latency.max_ms, row.is_throttled) == (15, 30.0, 12.0, True)
    assert row.notes == ("The first 5 of 20 runs were left out as warm-up.",)
    assert stated(old) == {"runs": 10, "mean_ms": 8.25}
    assert "prints no single runs" in old.notes[0]


def test_minibench() -> None:
    row = read("minibench.json")
    assert stated(row) == {"mean_ms": 7.5, "trimmed_mean_ms": 7.25, "load_ms": 31.0}
    assert (row.source, row.device, row.backend) == ("phone", "Pixel 8, Android 14", "executorch xnnpack q8")


def test_mlperf_summary(tmp_path: Path) -> None:
    row = read("mlperf_log_summary.txt")
    assert (row.latency.p90_ms, row.latency.p50_ms, row.latency.runs, row.validity) == (
        2.307969, 2.299323, 26083, "valid",
    )  # fmt: skip
    text = (FILES / "mlperf_log_summary.txt").read_text()
    for words, validity in (("queries", "semi"), ("duration", "invalid"), ("both", "invalid")):
        path, changed = tmp_path / "s.txt", text
        for name in ("duration", "queries") if words == "both" else (words,):
            changed = changed.replace(f"Min {name} satisfied : Yes", f"Min {name} satisfied : NO")
        path.write_text(changed)
        assert importers.read(path)[0].validity == validity


def test_ai_hub_is_published_and_says_what_fell_back() -> None:
    row, old = read("ai_hub.yaml"), read("ai_hub_old.yaml")
    assert (row.latency.mean_ms, row.fallback_share, row.peak_memory_bytes) == (1.5, 0.08, 127_000_000)
    assert (row.source, row.backend, row.device) == ("published", "tflite float on NPU", "Phone One")
    assert row.citation == "Qualcomm AI Hub Models, perf.yaml, job job-a"
    assert (old.latency.mean_ms, old.fallback_share, old.peak_memory_bytes) == (1.834, 0.0, 2_048_000)


def test_what_a_user_knows_is_added_but_never_changed() -> None:
    (row,) = importers.read(FILES / "benchmark_model.txt", source="phone", device="Pixel 4")
    assert (row.source, row.device) == ("phone", "Pixel 4")
    (row,) = importers.read(FILES / "ai_hub.yaml", source="phone", device="Pixel 4")
    assert (row.source, row.device) == ("published", "Phone One")


CUT = {
    "benchmark_model.txt": "cut off or failed",
    "benchmark_model_old.txt": "cut off or failed",
    "benchmark_litert_model.txt": r"'Inference \(avg\)' is missing",
    "benchmark_litert_model.json": "not whole JSON",
    "onnxruntime_perf_test.txt": "'Average inference time cost' is missing",
    "executor_runner.txt": "cut off or failed",
    "minibench.json": "not whole JSON",
    "mlperf_log_summary.txt": "'Mode' is missing",
}


@pytest.mark.parametrize(("name", "reason"), CUT.items())
def test_a_truncated_file_is_one_clear_error(name: str, reason: str, tmp_path: Path) -> None:
    text = (FILES / name).read_text()
    end = {
        "benchmark_model.txt": "INFO: Inference timings", "benchmark_model_old.txt": "Inference timings",
        "benchmark_litert_model.txt": "Inference (avg)", "onnxruntime_perf_test.txt": "Average",
        "executor_runner.txt": "Iteration 9 ", "mlperf_log_summary.txt": "Mode",
    }.get(name)  # fmt: skip
    (tmp_path / name).write_text(text[: text.index(end) if end else len(text) // 2])
    with pytest.raises(DataError, match=f"looks like .* output, but .*{reason}.*Run the tool again"):
        importers.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("executor_runner.txt", "Iteration 3 of", "Lost 3 of", "19 of 20 iterations"),
        ("executor_runner_old.txt", "successfully 10 time", "successfully 0 time", "measured nothing"),
        ("mlperf_log_summary.txt", "SingleStream", "Offline", "scenario is 'Offline'"),
        ("mlperf_log_summary.txt", "PerformanceOnly", "AccuracyOnly", "measures no time"),
        ("minibench.json", '"load_status", "actualValue": 0', '"load_status", "actualValue": 3', "did not load"),
        ("ai_hub.yaml", "inference_time_milliseconds: 1.5", "inference_time_milliseconds: null", "no job in it"),
        ("ai_hub.yaml", "precisions:", "precisions: [", "not valid YAML"),
        ("benchmark_model_old.txt", "Inference (avg): 42000", "Inference (avg): -1", "below zero"),
        ("benchmark_model_old.txt", "count=50 curr=42000(all same)", "count=0", "measured nothing"),
        ("benchmark_litert_model.json", '"avg_ms": 6.25', '"avg_ms": NaN', "no 'avg_ms'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(name: str, old: str, new: str, reason: str, tmp_path: Path) -> None:
    text = (FILES / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=reason):
        importers.read(tmp_path / name)


def test_a_summary_without_what_was_satisfied_has_no_validity(tmp_path: Path) -> None:
    text = (FILES / "mlperf_log_summary.txt").read_text()
    for end in ("  Min duration satisfied", "  Min queries satisfied"):
        (tmp_path / "s.txt").write_text(text[: text.index(end)])
        with pytest.raises(DataError, match="what was satisfied are missing: the summary is cut off"):
            importers.read(tmp_path / "s.txt")


def test_a_block_may_end_with_its_title(tmp_path: Path) -> None:
    text = (FILES / "benchmark_litert_model.txt").read_text()
    (tmp_path / "b.txt").write_text(f"{text}========== BENCHMARK RESULTS ==========\n")
    assert importers.read(tmp_path / "b.txt") == importers.read(FILES / "benchmark_litert_model.txt")


def test_names_do_not_speak_to_a_terminal(tmp_path: Path) -> None:
    text = (FILES / "minibench.json").read_text()
    (tmp_path / "x").write_text(text.replace("student", "\\u001b]0;x\\u0007stu<b>").replace("Pixel 8", "Pixel\\n8"))
    (row,) = importers.read(tmp_path / "x")
    assert (row.model, row.device) == ("?]0;x?stu<b>", "Pixel?8, Android 14")


def test_json_that_is_too_deep_or_of_other_types(tmp_path: Path) -> None:
    for name, begin in (
        ("benchmark_litert_model", '{"model_size_mb": 1, "accelerators": '),
        ("minibench", '[{"benchmarkModel":'),
    ):
        (tmp_path / "x").write_text(begin + "[" * 100_000)
        with pytest.raises(DataError, match=f"looks like {name}'s output, but it is nested too deeply"):
            importers.read(tmp_path / "x")
    text = (FILES / "benchmark_litert_model.json").read_text()
    (tmp_path / "x").write_text(text.replace('"num_threads": 2', '"num_threads": true').replace("50\n", "50.0\n"))
    (row,) = importers.read(tmp_path / "x")
    assert (row.threads, row.latency.runs) == (None, 50)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["benchmark_model.txt", "minibench.json"])
def test_what_a_windows_shell_saved(name: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes((FILES / name).read_text().replace("\n", "\r\n").encode(encoding))
    assert importers.read(tmp_path / name) == importers.read(FILES / name)


@pytest.mark.parametrize("text", ["hello\n", "\x00\xff\x00", "[]", "{}", "a,b,c\n", "p90 ms: 12"])
def test_garbage_is_no_tools_output(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(DataError, match="not the output of a known tool"):
        importers.read(tmp_path / "x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "large").write_bytes(b"x" * (importers.LARGEST_BYTES + 1))
    for name, reason in (("none", "no file"), ("empty", "is empty"), ("large", "largest file"), ("", "cannot read")):
        with pytest.raises(DataError, match=reason):
            importers.read(tmp_path / name)


def test_a_row_states_a_time() -> None:
    with pytest.raises(ValueError, match="no time of an inference"):
        StatedLatency(load_ms=1.0, first_ms=2.0)
