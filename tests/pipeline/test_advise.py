"""`plan`: what is listed, what is timed, which shape is best, and what cannot be asked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from transformers import GPT2Config, GPT2ForSequenceClassification

from edgedistill import plan, plugins
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import CheckpointError, ConfigError, DeviceError, ExportError, UnknownNameError
from edgedistill.measure.inputs import inputs_of
from edgedistill.models.loading import load
from edgedistill.pipeline import bench as bench_module
from edgedistill.pipeline import trials
from edgedistill.pipeline.runners import open_runner
from edgedistill.pipeline.shape_plan import ShapePlan, bytes_of
from edgedistill.pipeline.shape_search import next_shape, scaled, widest
from edgedistill.pipeline.shapes import Candidate, candidates
from edgedistill.reports import BenchReport, BenchRow, Latency
from tests.made import HERE
from tests.support import save_checkpoint, tiny_model

MADE: list[str] = []


def milliseconds_of(name: str) -> float:
    """Of the fakes: 1 ms, and more with wider and with more networks."""
    intra, ffn, *_ = (int("".join(filter(str.isdigit, part))) for part in name.split("-"))
    return 1.0 + intra * (1 + 0.5 * ffn)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No conversion and no clock: sizes are what was computed, times what `milliseconds_of` says."""

    def write(folder: Path, teacher: Any, candidate: Candidate, cfg: Any) -> int:
        MADE.append(candidate.name)
        return candidate.sizes[cfg.scheme]

    def bench(folders: Sequence[Path], **options: Any) -> BenchReport:
        rows = tuple(_bench_row(folder.name) for folder in folders)
        return BenchReport(created="", command="", environment=HERE, mode="rapid", seed=0, rows=rows)

    MADE.clear()
    monkeypatch.setattr(trials, "write", write)
    monkeypatch.setattr(trials, "glance", lambda folder, *others: milliseconds_of(folder.name))
    monkeypatch.setattr(bench_module, "bench", bench)


def _bench_row(name: str) -> BenchRow:
    ms = milliseconds_of(name)
    times = dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms", "min_ms", "max_ms", "mean_ms"), ms)
    return BenchRow(
        artifact=name, manifest_sha256=None, target="onnx", scheme="int8_weight", source="host", device="cpu",
        threads=1, affinity="0", length=128, latency=Latency(runs=64, std_ms=0, first_ms=ms, load_ms=1, **times),
        peak_rss_bytes=5, size_bytes=7, validity="valid", is_throttled=False, samples_ms=(ms,),
    )  # fmt: skip


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgedistill, ["plan", *map(str, arguments)], prog_name="edgedistill")


@pytest.mark.parametrize(
    ("text", "size"),
    [("6MB", 6_000_000), ("6 mb", 6_000_000), ("5.5MiB", 5_767_168), ("800kB", 800_000), ("12", 12), (" 1GB ", 10**9)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["6 apples", "", "MB", "-6MB", "0", "0.1", "1e6", "6MBMB", "nan", "6,5MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no size in bytes.*6MB"):
        bytes_of(text)


def test_the_best_meets_the_budget_and_is_the_largest_of_all(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", p90_ms=9.5, shapes=4)
    all_fast = [row for row in made.rows if milliseconds_of(row.name) <= 9.5]
    largest = max(all_fast, key=lambda row: row.block_parameters)
    assert made.best == largest.name
    assert made.rows[0].name == made.best
    assert made.rows[0].status == "fits"
    assert len(MADE) <= 4
    assert made.nearest is None
    timed = {row.name for row in made.rows if row.latency}
    assert timed == set(MADE) == {row.name for row in made.rows if row.measured_bytes}


def test_parameters_and_settings_are_the_students(tiny_bert: Path, fakes: None) -> None:
    from edgedistill.models.loading import load
    from edgedistill.models.mobilebert import Shape, mobilebert_for

    row = plan(tiny_bert, target="onnx", shapes=1).rows[0]
    shape = Shape(
        layers=4,
        intra=row.settings["intra_size"],
        num_ffn=row.settings["num_ffn"],
        embedding=row.settings["embedding_size"],
    )
    student = mobilebert_for(load(tiny_bert).model, "single", shape)
    assert row.parameters == student.num_parameters()
    assert row.block_parameters == sum(value.numel() for value in student.base_model.encoder.parameters())


@pytest.mark.slow
def test_what_is_too_large_is_never_converted(tiny_bert: Path, fakes: None) -> None:
    sizes = sorted(row.computed_bytes["fp16"] for row in plan(tiny_bert, target="onnx", shapes=1).rows)
    MADE.clear()
    made = plan(tiny_bert, target="onnx", scheme="fp16", size=sizes[3], shapes=9)
    too_large = {row.name for row in made.rows if row.computed_bytes["fp16"] > sizes[3]}
    assert too_large == {row.name for row in made.rows if row.status == "too_large"}
    assert too_large
    assert not too_large & set(MADE)


def test_nothing_small_enough_says_what_comes_nearest_without_timing(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", size=10)
    assert MADE == []
    assert made.best is None
    assert made.next_commands == ()
    assert made.nearest == min(made.rows, key=lambda row: row.computed_bytes["int8_weight"]).name


def test_nothing_fast_enough_stops_at_the_least_work(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", p90_ms=0.5)
    assert len(MADE) == 1
    assert made.best is None
    assert made.nearest == MADE[0]
    assert made.row(MADE[0]).status == "too_slow"


def test_nothing_that_fits_says_what_else_to_ask(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", p90_ms=0.5)
    assert made.notes[-1].endswith(
        "ask again with --set num_layers=2, or --set attention=narrow, or --task NAME --data DIR (or --corpus FILE) "
        "for vocabularies cut to your text, or --scheme int8_dynamic."
    )
    set_already = ("num_layers=1", "attention=narrow")
    less = plan(tiny_bert, target="onnx", scheme="int8_dynamic", p90_ms=0.5, settings=set_already)
    assert less.notes[-1].endswith(
        "ask again with --task NAME --data DIR (or --corpus FILE) for vocabularies cut to your text."
    )
    assert "ask again" not in plan(tiny_bert, target="onnx").notes[-1]


def test_what_was_set_is_kept_and_travels_into_the_command(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", length=32, shapes=1, settings=("num_layers=2", "intra_size=4"))
    assert {row.settings["intra_size"] for row in made.rows} == {4}
    assert len(made.rows) == 3
    train, export = made.next_commands
    assert train.startswith(f"edgedistill distill mobilebert --teacher {tiny_bert} --task TASK --out RUN --set ")
    for setting in ("max_length=32", "num_layers=2", "intra_size=4", "embedding_size=16"):
        assert f"--set {setting}" in train
    assert export == "edgedistill export RUN/student --target onnx --scheme int8_weight --length 32"


def test_the_command_is_taken_by_the_recipe(tiny_bert: Path, tiny_task_dir: Path, fakes: None, tmp_path: Path) -> None:
    (train, _) = plan(tiny_bert, target="onnx", shapes=1).next_commands
    words = train.replace("TASK", "sst2").replace("RUN", str(tmp_path / "run")).split()[1:]
    done = CliRunner().invoke(edgedistill, [*words, "--data", str(tiny_task_dir), "--dry-run"])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_vocabularies_cut_to_a_text_are_listed(
    tiny_bert: Path, tiny_task_dir: Path, fakes: None, tmp_path: Path
) -> None:
    whole = plan(tiny_bert, target="onnx", shapes=1)
    made = plan(tiny_bert, target="onnx", shapes=2, task="sst2", data=tiny_task_dir)
    sizes = sorted({row.settings.get("vocabulary.size", 0) for row in made.rows})
    assert len(sizes) == 3
    assert len(made.rows) == 3 * len(whole.rows)
    assert {row.name for row in whole.rows} < {row.name for row in made.rows}
    by_size = {row.settings.get("vocabulary.size", 0): row for row in made.rows if row.name.startswith("intra4-ffn1")}
    assert by_size[sizes[1]].parameters < by_size[sizes[2]].parameters < by_size[0].parameters
    assert by_size[sizes[1]].block_parameters == by_size[0].block_parameters
    # A budget that the whole vocabulary does not meet is met by a cut one of the same blocks.
    least = min(row.computed_bytes["int8_weight"] for row in whole.rows)
    small = plan(tiny_bert, target="onnx", size=least - 1, shapes=1, task="sst2", data=tiny_task_dir)
    best = small.row(str(small.best))
    assert best.settings["vocabulary.size"] in sizes
    command = small.next_commands[0]
    assert f"--task sst2 --data {tiny_task_dir}" in command
    assert f"--set vocabulary.size={best.settings['vocabulary.size']}" in command
    told = shlex.split(command.replace("RUN", str(tmp_path / "run")))
    result = CliRunner().invoke(edgedistill, [*told[1:], "--dry-run"])
    assert result.exit_code == 0, result.stderr
    assert f"student: mobilebert, {best.parameters:,} parameters" in result.stderr


def test_one_way_to_cut_is_taken_as_said(tiny_bert: Path, fakes: None, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the film was great\n" * 5, encoding="utf-8")
    made = plan(tiny_bert, target="onnx", shapes=1, corpus=text, settings=["vocabulary.characters=seen"])
    assert len({row.settings["vocabulary.size"] for row in made.rows}) == 1
    with pytest.raises(ConfigError, match="no text to cut it to"):
        plan(tiny_bert, target="onnx", settings=["vocabulary.coverage=0.9"])


@pytest.mark.parametrize("kind", ["mlm", "bare"])
def test_a_teacher_without_a_head_gets_a_classifier_and_that_is_said(kind: str, tmp_path: Path, fakes: None) -> None:
    made = plan(save_checkpoint(tmp_path, tiny_model(head=kind)), target="onnx", shapes=1)
    assert "a classifier of two classes is timed" in made.notes[-1]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"target": "tflight"}, UnknownNameError, "no target named 'tflight'. Did you mean 'tflite'"),
        ({"scheme": "int8_weigth"}, UnknownNameError, "Did you mean 'int8_weight'"),
        ({"size": "6 apples"}, ConfigError, "'6 apples' is no size in bytes"),
        ({"size": -1}, ConfigError, "'-1' is no size in bytes"),
        ({"p90_ms": 0.0}, ConfigError, "p90_ms: Input should be greater than 0"),
        ({"p90_ms": float("nan")}, ConfigError, "p90_ms"),
        ({"threads": 0}, ConfigError, "threads must be at least 1"),
        ({"threads": 99_999}, ConfigError, "threads must be at most"),
        ({"scheme": "auto"}, ExportError, "nothing is trained yet. Plan with int8_dynamic"),
        ({"shapes": 0}, ConfigError, "shapes must be at least 1"),
        ({"length": 4}, ConfigError, "max_length"),
        ({"length": 256}, ConfigError, "has only 128 positions"),
        ({"device": "hots"}, UnknownNameError, "Did you mean 'host'"),
        ({"device": "host:1"}, UnknownNameError, "no device named 'host:1'"),
        ({"affinity": "big"}, ConfigError, "--affinity goes with --device adb"),
        ({"bundle": Path("here")}, ConfigError, "--bundle goes with --device adb"),
        ({"settings": ("intra=4",)}, ConfigError, "unknown key 'intra'"),
        ({"settings": ("num_layers=9",)}, ConfigError, "deeper than its teacher of 4"),
        ({"settings": ("intra_size=5",)}, ConfigError, "cannot be cut into the teacher's 2 heads"),
    ],
)
def test_what_cannot_be_is_named(
    options: dict[str, Any], error: type[Exception], words: str, tiny_bert: Path, fakes: None
) -> None:
    with pytest.raises(error, match=words):
        plan(tiny_bert, **{"target": "onnx", **options})
    assert MADE == []


def test_without_adb_nothing_is_converted(tiny_bert: Path, fakes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError, match="adb"):
        plan(tiny_bert, target="onnx", device="adb")
    assert MADE == []
    assert call("--teacher", tiny_bert, "--target", "onnx", "--device", "adb").exit_code == 3


def test_what_was_not_timed_is_scaled_from_what_was(tiny_bert: Path, fakes: None) -> None:
    made = plan(tiny_bert, target="onnx", p90_ms=9.5, shapes=3)
    timed = {row.name for row in made.rows if row.latency}
    assert all((row.scaled is None) == (row.name in timed) for row in made.rows)
    for row in made.rows:
        if row.scaled:
            assert row.status == "not_timed"
            assert len(row.scaled.anchors) == 2
            assert timed.issuperset(row.scaled.anchors)
    (note,) = (note for note in made.notes if "was not measured" in note)
    assert all(name in note for name in timed)
    shown = call("--teacher", tiny_bert, "--target", "onnx", "--p90-ms", "9.5", "--shapes", "3").stdout
    for row in made.rows:
        (line,) = (line for line in shown.splitlines() if line.startswith(row.name))
        if row.scaled:
            assert line.split()[-2:] == [f"~{row.scaled.p90_ms:.1f}", "not_timed"]
    assert all(row.scaled is None for row in plan(tiny_bert, target="onnx", size=10).rows), "nothing was timed"


def test_a_scheme_of_another_target_is_refused(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgedistill.targets import onnx

    monkeypatch.setattr(onnx, "SCHEMES", ("fp32",))
    with pytest.raises(ExportError, match=r"'onnx' does not do scheme 'int8_weight'\. It does: fp32"):
        plan(tiny_bert, target="onnx")


def test_a_teacher_of_another_family_is_refused(tmp_path: Path, fakes: None) -> None:
    config = GPT2Config(vocab_size=150, n_positions=128, n_embd=16, n_layer=2, n_head=2, pad_token_id=0)
    save_checkpoint(tmp_path, GPT2ForSequenceClassification(config))
    with pytest.raises(CheckpointError, match=r"'gpt2' teacher.*There are: bert"):
        plan(tmp_path, target="onnx")


def test_the_command_line_marks_the_best_and_says_what_to_type(tiny_bert: Path, fakes: None) -> None:
    result = call("--teacher", tiny_bert, "--target", "onnx", "--p90-ms", "9.5", "--bytes", "1MB")
    assert result.exit_code == 0
    (marked,) = [line for line in result.stdout.splitlines() if line.endswith("fits <- best")]
    name = marked.split()[0]
    intra, ffn, width = (part.lstrip("abcdefghijklmnopqrstuvwxyz") for part in name.split("-"))
    next_line = next(line for line in result.stdout.splitlines() if line.startswith("next: edgedistill distill"))
    assert next_line.endswith(f"--set intra_size={intra} --set num_ffn={ffn} --set embedding_size={width}")
    assert "converting and timing 4 of 9 shapes" in result.stderr


def test_the_command_line_fails_where_nothing_fits(tiny_bert: Path, fakes: None) -> None:
    result = call("--teacher", tiny_bert, "--target", "onnx", "--bytes", "1kB")
    assert result.exit_code == 1
    assert "nothing timed meets the budget; nearest is intra2-ffn1-emb16: ~" in result.stdout
    assert "next:" not in result.stdout


def test_the_command_line_exits_by_the_kind_of_mistake(tiny_bert: Path) -> None:
    codes = {"--bytes=6 apples": 2, "--scheme=fp99": 2, "--device=phone": 2}
    for option, code in codes.items():
        result = call("--teacher", tiny_bert, "--target", "onnx", option)
        assert (result.exit_code, result.stdout) == (code, ""), option


def test_json_is_the_plan(tiny_bert: Path, fakes: None) -> None:
    result = call("--teacher", tiny_bert, "--target", "onnx", "--json")
    made = ShapePlan.model_validate(json.loads(result.stdout))
    assert made.row(str(made.best)).status == "fits"
    assert made.command.startswith(f"edgedistill plan --teacher {tiny_bert} --target onnx --scheme int8_weight")


def candidate(work: int, blocks: int | None = None, intra: int | None = None, embedding: int = 8) -> Candidate:
    settings = {"intra_size": intra or work, "num_ffn": 1, "embedding_size": embedding}
    return Candidate(settings, None, 0, blocks or work, work, {})


def searched(shapes: list[Candidate], budget: float | None, most: int, ms: Any) -> list[int]:
    seen: list[tuple[Candidate, float]] = []
    while len(seen) < most and (found := next_shape(shapes, seen, budget, most)) is not None:
        seen.append((found, ms(found.work)))
    return [one.work for one, _ in seen]


def test_the_search_finds_the_largest_on_a_line_with_an_offset() -> None:
    shapes = [candidate(work) for work in range(1, 13)]
    order = searched(shapes, 10.0, 4, lambda work: 3 + work)
    assert order[0] == 1
    assert 7 in order, "3 + 7 = 10 ms"
    assert max(order) <= 9, "nothing far beyond the budget is timed"


def test_the_search_never_repeats_a_shape_and_may_end_early() -> None:
    shapes = [candidate(work) for work in (1, 2, 3)]
    assert sorted(searched(shapes, 100.0, 9, float)) == [1, 3]
    assert searched(shapes, 0.5, 9, float) == [1]


def test_scaled_by_hand() -> None:
    seen = [(candidate(10), 5.0), (candidate(20), 9.0), (candidate(40), 17.0)]
    ms, anchors = scaled(candidate(30), seen)
    assert ms == pytest.approx(13.0)
    assert anchors == ("intra20-ffn1-emb8", "intra40-ffn1-emb8")
    assert scaled(candidate(30), seen[:1]) == (pytest.approx(15.0), ("intra10-ffn1-emb8",))


def test_without_a_budget_of_time_the_search_spreads_out() -> None:
    shapes = [candidate(work) for work in range(1, 12)]
    assert searched(shapes, None, 3, float) == [1, 6, 11]
    assert searched(shapes, None, 1, float) == [1]


def test_of_the_same_blocks_the_widest_embeddings_are_timed() -> None:
    wide, narrow, other = candidate(2, intra=2, embedding=16), candidate(2, intra=2), candidate(3)
    assert widest([wide, narrow, other]) == [wide, other]


@pytest.mark.parametrize("scheme", ["int8_static", "w8a16", "int8_dynamic", "int4_weight"])
def test_schemes_that_watch_text_are_converted_too(scheme: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    teacher = load(save_checkpoint(tmp_path / "teacher", tiny_model(layers=1)))
    (one, *_) = candidates({None: teacher.model}, "single", (), "onnx", (scheme,), 32)
    length = {"max_length": 32, "lengths": (32,)}
    cfg = plugins.load("targets", "onnx").Config(target="onnx", scheme=scheme, **length)
    size = trials.write(tmp_path / "shape", teacher, one, cfg)
    assert size > 0
    (inputs,) = inputs_of(tmp_path / "shape", 32, seed=0)[:1]
    assert all(np.isfinite(answer).all() for answer in open_runner(tmp_path / "shape")(inputs).values())


@pytest.mark.slow
@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_a_real_plan_agrees_with_its_files(target: str, tmp_path: Path) -> None:
    """The whole way: convert, time, and compare every computed size with the file."""
    pytest.importorskip({"onnx": "onnxruntime", "tflite": "litert_torch"}[target])
    teacher = save_checkpoint(tmp_path, tiny_model(layers=2, hidden=64))
    result = call(
        "--teacher", teacher, "--target", target, "--length", "32", "--p90-ms", "1000", "--shapes", "2", "--json"
    )
    assert result.exit_code == 0, result.stderr
    made = ShapePlan.model_validate(json.loads(result.stdout))
    timed = [row for row in made.rows if row.latency]
    assert len(timed) == 2
    for row in timed:
        assert row.measured_bytes == pytest.approx(row.computed_bytes["int8_weight"], rel=0.05)
        assert row.validity == "valid"
        assert row.peak_rss_bytes is None or row.peak_rss_bytes > 10_000_000
    assert made.best == max(timed, key=lambda row: row.block_parameters).name
