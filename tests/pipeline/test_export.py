"""export: the artifact folder, its manifest and goldens; and every way it can be refused, leaving nothing behind."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoConfig, AutoTokenizer

from edgedistill import files, plugins, reports
from edgedistill.artifacts import REFERENCE, Environment, ReferenceRow, Source, TaskCard, read_manifest
from edgedistill.config import build, read_yaml
from edgedistill.data.encoding import encode, load_tokenizer, pad
from edgedistill.data.probes import ADVERSARIAL, PLAIN
from edgedistill.errors import (
    BudgetError,
    CheckpointError,
    ConfigError,
    DataError,
    ExportError,
    StorageError,
    UnknownNameError,
)
from edgedistill.models import loading
from edgedistill.models.answers import torch_runner
from edgedistill.pipeline.export import export
from edgedistill.pipeline.runners import open_runner
from edgedistill.reports import STUDENT_CARD, StudentCard
from edgedistill.targets import onnx
from tests.support import save_checkpoint, tiny_model

CONFIGS = sorted((Path(__file__).parents[2] / "export_configs").glob("*.yaml"))
HERE = Environment(python="3.11", system="Linux", cpu="a processor", packages={})
ROWS = [
    ReferenceRow(row_id="test-0", text="the film was lovely", label=1, teacher=[-1.0, 1.0], student=[-0.5, 0.5]),
    ReferenceRow(row_id="test-1", text="the plot was dull", label=0, teacher=[1.0, -1.0], student=[0.5, -0.5]),
]


def write_student(folder: Path) -> Path:
    """A student folder as training leaves it: checkpoint, card, answers on the judged split."""
    save_checkpoint(folder, tiny_model(layers=1, hidden=32))
    teacher = Source(path="teacher", sha256="0" * 64, family="bert", parameters=99)
    card = StudentCard(
        created="2026-01-01T00:00:00+00:00", command="edgedistill distill", environment=HERE, recipe="mobilebert",
        task=TaskCard(name="sst2", kind="single", metric="accuracy", max_length=48), labels=("negative", "positive"),
        student=teacher, teacher=teacher, licence="apache-2.0",
    )  # fmt: skip
    reports.save(card, folder / STUDENT_CARD)
    lines = [json.dumps(row.model_dump(mode="json")) for row in ROWS]
    (folder / REFERENCE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A student exported with all defaults but the scheme."""
    student = write_student(tmp_path_factory.mktemp("run") / "student")
    return student, export(student, scheme="int8_dynamic")


@pytest.fixture
def failing(monkeypatch):
    """Make the ONNX target write half of its file and then fail in the given way."""

    def fail_with(error):
        def half(_view, _cfg, folder, _calibration=None):
            (folder / "model.onnx").write_bytes(b"half")
            raise error

        monkeypatch.setattr(onnx, "export", half)

    return fail_with


def test_lands_beside_the_student_under_a_name_that_says_what_it_is(made):
    student, folder = made
    assert folder == student.parent / "artifacts" / "mobilebert-sst2-onnx-int8_dynamic"


def test_manifest_ties_everything_to_the_bytes(made):
    student, folder = made
    manifest = read_manifest(folder)
    listed = {entry.path: entry for entry in manifest.files}
    present = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert set(listed) == present
    for name, entry in listed.items():
        assert (files.sha256_of(folder / name), (folder / name).stat().st_size) == (entry.sha256, entry.size_bytes)
    roles = {name: entry.role for name, entry in listed.items()}
    assert roles["model.onnx"] == "model"
    assert roles["tokenizer.json"] == roles["vocab.txt"] == "tokenizer"
    assert roles["labels.txt"] == "labels"
    assert roles["golden.jsonl"] == "golden"
    assert roles["reference.jsonl"] == "reference"
    assert roles["config.json"] == "config"
    assert manifest.source.sha256 == files.sha256_of(student / "model.safetensors")
    assert (manifest.target, manifest.scheme, manifest.opset) == ("onnx", "int8_dynamic", 20)
    assert (manifest.recipe, manifest.licence, manifest.labels) == (
        "mobilebert",
        "apache-2.0",
        ("negative", "positive"),
    )
    assert manifest.task == TaskCard(name="sst2", kind="single", metric="accuracy", max_length=48)
    assert [parent.path for parent in manifest.parents] == ["teacher"]
    assert manifest.quantization is not None
    assert manifest.quantization.kept_float
    assert manifest.quantization.calibration == "128 texts: built-in requests to an assistant, seed 0"
    assert manifest.quantization.calibration_sha256 == listed["calibration.jsonl"].sha256
    assert roles["calibration.jsonl"] == "calibration"
    assert manifest.command == f"edgedistill export {student} --scheme int8_dynamic"


def test_tokenizer_is_described_and_loads_the_hugging_face_way(made):
    _, folder = made
    spec = read_manifest(folder).tokenizer
    assert (spec.kind, spec.file, spec.lowercase, spec.strip_accents) == ("wordpiece", "vocab.txt", True, None)
    assert (spec.special_ids, spec.max_length) == ({"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, 48)
    assert spec.sha256 == files.sha256_of(folder / "tokenizer.json")
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(vocabulary) == spec.vocab_size
    assert vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    theirs = AutoTokenizer.from_pretrained(folder)
    assert (theirs.model_max_length, theirs.model_input_names) == (
        48,
        ["input_ids", "attention_mask", "token_type_ids"],
    )
    text = "the film was lovely " * 40
    assert theirs(text, truncation=True)["input_ids"] == list(
        encode(load_tokenizer(folder), [text], None, 48)[0].input_ids
    )
    assert AutoConfig.from_pretrained(folder).id2label == {0: "negative", 1: "positive"}


def test_goldens_hold_every_answer_to_every_text(made):
    student, folder = made
    goldens = [json.loads(line) for line in (folder / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(goldens) == len(PLAIN) + len(ADVERSARIAL) + len(ROWS)
    assert max(len(golden["input_ids"]) for golden in goldens) == 48
    torch_answers, artifact_answers = torch_runner(loading.load(student).model), open_runner(folder)
    for golden in goldens[::9]:
        ids = np.array([golden["input_ids"]])
        types = np.array([golden["token_type_ids"]])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        np.testing.assert_allclose(golden["student"]["logits"], torch_answers(inputs)["logits"][0], atol=1e-6)
        np.testing.assert_allclose(golden["artifact"]["logits"], artifact_answers(inputs)["logits"][0], atol=1e-6)
        assert 0 < golden["tolerance"]["logits"] < 1
    assert goldens[-1]["teacher"] == {"logits": [1.0, -1.0]}
    assert goldens[0]["teacher"] is None


def test_judged_split_travels_with_the_artifact(made):
    student, folder = made
    assert (folder / REFERENCE).read_bytes() == (student / REFERENCE).read_bytes()


@pytest.mark.slow
def test_bytes_are_the_same_when_exported_again(made, tmp_path):
    student, folder = made
    again = export(student, scheme="int8_dynamic", out=tmp_path / "again")
    for name in ("model.onnx", "tokenizer.json", "labels.txt"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.slow
def test_checkpoint_from_elsewhere_needs_no_task(tmp_path):
    """Spans, no card, no data: the outputs keep their names and the goldens are pairs."""
    student = save_checkpoint(tmp_path / "found", tiny_model("distilbert", "span", layers=1))
    folder = export(student, out=tmp_path / "out", settings=["max_length=64", "lengths=[16,64]"])
    manifest = read_manifest(folder)
    assert manifest.task == TaskCard(name=None, kind="span", max_length=64)
    assert [output.name for output in manifest.graphs[0].outputs] == ["start_logits", "end_logits"]
    assert [graph.length for graph in manifest.graphs] == [16, 64]
    assert not (folder / REFERENCE).exists()
    assert AutoTokenizer.from_pretrained(folder).model_input_names == ["input_ids", "attention_mask"]
    golden = json.loads((folder / "golden.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert golden["text_pair"]
    assert len(golden["student"]["end_logits"]) == len(golden["input_ids"])


@pytest.mark.slow
def test_task_and_data_give_a_found_checkpoint_its_judged_split(tiny_bert, tiny_task_dir, tmp_path):
    folder = export(tiny_bert, out=tmp_path / "out", task=str(tiny_task_dir / "task.yaml"), data=tiny_task_dir)
    rows = [ReferenceRow.model_validate_json(line) for line in (folder / REFERENCE).read_text("utf-8").splitlines()]
    assert len(rows) == 32
    assert {row.label for row in rows} == {0, 1}
    assert read_manifest(folder).task.name == "tiny"
    found = loading.load(tiny_bert)
    inputs = pad(encode(found.tokenizer.backend_tokenizer, [rows[3].text]))
    np.testing.assert_allclose(rows[3].student, torch_runner(found.model)(inputs)["logits"][0], atol=1e-5)


def test_dry_run_says_what_it_would_do_and_does_nothing(made, tmp_path, capsys):
    student, _ = made
    out = tmp_path / "out"
    assert export(student, target="tflite", scheme="fp16", out=out, dry_run=True) == out
    assert not out.exists()
    assert "tflite fp16" in capsys.readouterr().err


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_names_itself(path):
    values = read_yaml(path)
    cfg = build(plugins.load("targets", values["target"]).Config, values, str(path))
    assert path.stem == f"{cfg.target}-{cfg.scheme}"
    assert cfg.scheme in plugins.load("targets", cfg.target).SCHEMES


def test_a_config_ships_for_every_pair():
    pairs = {
        f"{target}-{s}" for target in ("onnx", "tflite", "executorch") for s in plugins.load("targets", target).SCHEMES
    }
    assert {path.stem for path in CONFIGS} >= pairs


def test_config_file_is_used_and_options_win_over_it(made, tmp_path):
    student, _ = made
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"target": "tflite", "scheme": "fp16", "max_length": 32}), encoding="utf-8")
    assert export(student, config=config, dry_run=True).name == "mobilebert-sst2-tflite-fp16"
    assert export(student, config=config, scheme="fp32", dry_run=True).name == "mobilebert-sst2-tflite-fp32"


def test_unknown_names_are_refused_with_the_nearest(made):
    student, _ = made
    with pytest.raises(UnknownNameError, match=r"no target named 'onxx'\. Did you mean 'onnx'"):
        export(student, target="onxx")
    with pytest.raises(UnknownNameError, match=r"no scheme named 'int8_dynamc'\. Did you mean 'int8_dynamic'"):
        export(student, scheme="int8_dynamc")
    with pytest.raises(UnknownNameError, match="no task named"):
        export(student, task="nothing")
    with pytest.raises(ConfigError, match="unknown key 'opsett'"):
        export(student, settings=["opsett=20"])


def test_scheme_the_target_does_not_do_is_refused_with_its_list(made, monkeypatch):
    student, _ = made
    monkeypatch.setattr(onnx, "SCHEMES", ("fp32", "fp16"))
    with pytest.raises(ExportError, match=r"'onnx' does not do scheme 'int8_weight'\. It does: fp32, fp16"):
        export(student, scheme="int8_weight")


def test_data_without_a_task_is_refused(tiny_bert, tiny_task_dir):
    with pytest.raises(ConfigError, match="--data needs --task"):
        export(tiny_bert, data=tiny_task_dir)


def test_task_of_another_kind_is_refused(tmp_path, tiny_task_dir):
    student = save_checkpoint(tmp_path / "found", tiny_model(head="span", layers=1))
    with pytest.raises(CheckpointError, match="head of kind 'span'; the task 'tiny' is of kind 'single'"):
        export(student, task=str(tiny_task_dir / "task.yaml"), data=tiny_task_dir, out=tmp_path / "out")


@pytest.mark.parametrize("labels", [("positive", "negative"), ("a", "b", "c")])
def test_labels_in_another_order_or_number_are_refused(tmp_path, tiny_task_dir, labels):
    student = save_checkpoint(tmp_path / "found", tiny_model(labels=labels, layers=1))
    with pytest.raises(CheckpointError, match=r"answers with \d labels .* the task 'tiny' has 2"):
        export(student, task=str(tiny_task_dir / "task.yaml"), data=tiny_task_dir, out=tmp_path / "out")


def test_missing_data_is_refused(tiny_bert, tmp_path):
    with pytest.raises(DataError):
        export(tiny_bert, task="sst2", data=tmp_path / "nowhere", out=tmp_path / "out")


def test_masked_word_model_is_refused(tmp_path):
    student = save_checkpoint(tmp_path / "found", tiny_model(head="mlm", layers=1))
    with pytest.raises(ExportError, match="BertForMaskedLM cannot be exported"):
        export(student, out=tmp_path / "out")


def test_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no folder"):
        export(tmp_path / "nowhere", out=tmp_path / "out")


def test_existing_artifact_is_kept_unless_told_otherwise(made, failing):
    student, folder = made
    before = (folder / "model.onnx").read_bytes()
    with pytest.raises(StorageError, match=r"already exists.*--overwrite"):
        export(student, scheme="int8_dynamic")
    failing(ExportError("no"))
    with pytest.raises(ExportError):
        export(student, scheme="int8_dynamic", overwrite=True)
    assert (folder / "model.onnx").read_bytes() == before
    assert (folder / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "no space left on the disk"),
        (OSError(errno.EROFS, "Read-only file system"), StorageError, "read-only"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (ExportError("operator refused"), ExportError, "operator refused"),
    ],
    ids=["disk full", "read-only", "ctrl-c", "converter"],
)
def test_nothing_half_written_is_left(made, tmp_path, failing, error, raised, message):
    student, _ = made
    failing(error)
    with pytest.raises(raised, match=message):
        export(student, out=tmp_path / "artifacts" / "out")
    assert list((tmp_path / "artifacts").iterdir()) == []


@pytest.mark.slow
def test_a_model_that_answers_no_numbers_is_refused(tmp_path):
    model = tiny_model(layers=1)
    with torch.no_grad():
        model.classifier.weight.fill_(3e38)  # finite itself, and its sums are not
    with pytest.raises(CheckpointError, match=r"answers NaN or infinity to '.*Use an earlier checkpoint"):
        export(save_checkpoint(tmp_path / "model", model), out=tmp_path / "artifact", settings=["max_length=32"])
    assert not (tmp_path / "artifact").exists()


@pytest.mark.slow
def test_an_artifact_that_alone_answers_no_numbers_is_refused(made, tmp_path, monkeypatch):
    own = onnx.runner

    def broken(*given):
        run = own(*given)
        return lambda inputs: {name: np.full_like(value, np.nan) for name, value in run(inputs).items()}

    monkeypatch.setattr(onnx, "runner", broken)
    with pytest.raises(ExportError, match=r"onnx fp32 answers NaN or infinity to .*Choose another --scheme"):
        export(made[0], out=tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()


def test_folder_that_cannot_be_made_is_refused(made, tmp_path):
    student, _ = made
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        export(student, out=tmp_path / "file" / "out")


def test_copied_artifact_runs_where_it_lands(made, tmp_path):
    _, folder = made
    moved = shutil.copytree(folder, tmp_path / "moved")
    inputs = {name: np.ones((2, 5), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    np.testing.assert_array_equal(open_runner(moved)(inputs)["logits"], open_runner(folder)(inputs)["logits"])


def test_auto_without_labelled_rows_is_refused(made):
    student, _ = made
    with pytest.raises(ExportError, match=r"labelled rows of the task's train split\. Name the task"):
        export(student, scheme="auto", dry_run=True)
    with pytest.raises(ExportError, match="'squad' is of kind 'span'"):
        export(student, scheme="auto", task="squad", dry_run=True)
    with pytest.raises(ExportError, match="'coreml' does not do scheme 'auto'"):
        export(student, target="coreml", scheme="auto", task="sst2", dry_run=True)


@pytest.mark.slow
def test_auto_searches_on_rows_of_its_own_and_tells_what_it_found(tiny_bert, tiny_task_dir, tmp_path):
    few = ["search_rows=50", "calibration_rows=16", "max_length=32"]
    asked = {"scheme": "auto", "task": str(tiny_task_dir / "task.yaml"), "data": tiny_task_dir}
    manifest = read_manifest(export(tiny_bert, **asked, settings=[*few, "max_drop=20"], out=tmp_path / "auto"))
    search = manifest.quantization.search
    assert (manifest.scheme, search.base, search.rows) == ("auto", "int8_dynamic", 48)
    assert search.chosen.status == "passed"
    assert search.chosen.high <= 20
    assert set(search.recall_change_points) == {"negative", "positive"}
    judged = {row["text"] for row in map(json.loads, (tmp_path / "auto" / REFERENCE).read_text().splitlines())}
    assert judged.isdisjoint(_texts(tmp_path / "auto" / "calibration.jsonl"))
    with pytest.raises(BudgetError, match=r"the budget cannot be met: .* max_bytes is 10\."):
        export(tiny_bert, **asked, settings=[*few, "max_drop=20", "max_bytes=10"], out=tmp_path / "small")
    assert not (tmp_path / "small").exists()


def _texts(path):
    return {json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()}
