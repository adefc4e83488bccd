"""package: only what passed, only what ships, always the same bytes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgedistill import files, plugins
from edgedistill.apps import Built, GoldenCheck
from edgedistill.artifacts import read_manifest
from edgedistill.errors import ArtifactError, ConfigError, StorageError, UnknownNameError, UnprovenError
from edgedistill.gate.ladder import APP_TOKENIZER, elsewhere
from edgedistill.pipeline.elsewhere import with_elsewhere
from edgedistill.pipeline.package import package
from edgedistill.reports import Rung
from tests.made import write_artifact, write_verdict


@pytest.fixture
def passed(tmp_path: Path) -> Path:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder)
    return folder


def test_the_bundle_holds_what_ships_and_the_proof(passed: Path, tmp_path: Path) -> None:
    out = package(passed, out=tmp_path / "dist")
    proofs = {"PROOF.json", "PROOF.md"}
    names = {path.name for path in out.iterdir()}
    assert names == {"model.onnx", "labels.txt", "golden.jsonl", "tokenizer.json", "manifest.json"} | proofs
    manifest = read_manifest(out)
    assert {entry.path for entry in manifest.files} == names - proofs - {"manifest.json"}
    for entry in manifest.files:
        assert files.sha256_of(out / entry.path) == entry.sha256
    proof = json.loads((out / "PROOF.json").read_text(encoding="utf-8"))
    assert proof["judged_manifest_sha256"] == files.sha256_of(passed / "manifest.json")
    assert proof["packaged_manifest_sha256"] == files.sha256_of(out / "manifest.json")
    assert proof["left_out"] == ["reference.jsonl"]
    assert proof["verdict"]["status"] == "passed"
    assert proof["student_sha256"] == "0" * 64
    assert [check["status"] for check in proof["checks"]] == ["not_run"]
    page = (out / "PROOF.md").read_text(encoding="utf-8")
    assert proof["judged_manifest_sha256"] in page
    assert "not\\_run: a bundle of files has no code" in page


def test_the_same_artifact_gives_the_same_bytes_wherever_it_is_packaged(
    passed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = package(passed, out=tmp_path / "one")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    before = os.umask(0o077)
    try:
        two = package(passed, out=tmp_path / "two")
    finally:
        os.umask(before)
    assert files.sha256_of_folder(one) == files.sha256_of_folder(two)


def test_an_unchecked_artifact_is_refused(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    with pytest.raises(UnprovenError, match=r"has not been checked\. Run: edgedistill check"):
        package(folder, out=tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("status", ["failed", "inconclusive"])
def test_an_artifact_that_did_not_pass_is_refused_with_the_reason(tmp_path: Path, status: str) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder, status)
    with pytest.raises(UnprovenError, match=f"{status}: student -> artifact: agreement too low"):
        package(folder, out=tmp_path / "dist")


def test_a_verdict_on_another_manifest_proves_nothing(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "artifact")
    write_verdict(folder, manifest_sha256="0" * 64)
    with pytest.raises(UnprovenError, match="about another manifest"):
        package(folder, out=tmp_path / "dist")


def test_a_changed_file_is_named(passed: Path, tmp_path: Path) -> None:
    path = passed / "model.onnx"
    path.write_bytes(b"b" * path.stat().st_size)
    with pytest.raises(ArtifactError, match=r"stale_manifest: 'model\.onnx' was changed"):
        package(passed, out=tmp_path / "dist")


def test_a_cut_file_is_named(passed: Path, tmp_path: Path) -> None:
    (passed / "model.onnx").write_bytes(b"a")
    with pytest.raises(ArtifactError, match=r"truncated_file: 'model\.onnx'"):
        package(passed, out=tmp_path / "dist")


def stand_in(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    """A platform 'files' with other parts."""
    real = plugins.load("apps", "files")
    monkeypatch.setattr(plugins, "load", lambda kind, name: SimpleNamespace(**{**vars(real), **parts}))


def test_an_artifact_of_another_runtime_is_refused(
    passed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, TARGETS=("tflite",))
    with pytest.raises(ConfigError, match=r"takes artifacts of the target tflite, and this one is of 'onnx'\. Run: "):
        package(passed, out=tmp_path / "dist")


def test_a_package_that_answers_otherwise_is_not_made(
    passed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = GoldenCheck(name="answers", where="here", status="failed", reason="1 of 2 differ", goldens=2, differ=(2,))
    stand_in(monkeypatch, build=lambda *_: Built(Path("manifest.json"), (check,)))
    with pytest.raises(
        UnprovenError, match=r"not give the goldens' answers and was not made\. answers in here: 1 of 2"
    ):
        package(passed, out=tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_what_the_apps_tokenizer_answered_becomes_a_rung(
    passed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good or bad, of this manifest only, and `not_run` where it was asked nowhere."""

    def packaged(*checks: GoldenCheck) -> list[Rung]:
        stand_in(monkeypatch, build=lambda *_: Built(Path("golden.jsonl"), checks))
        with suppress(ArtifactError, UnprovenError):
            package(passed, out=tmp_path / "dist", overwrite=True)
        return [rung for rung in with_elsewhere(elsewhere(), passed, sha256) if rung.name == APP_TOKENIZER]

    sha256 = files.sha256_of(passed / "manifest.json")
    good = GoldenCheck(name="tokenizer", where="Java", status="passed", goldens=7)
    bad = GoldenCheck(name="tokenizer", where="Node", status="failed", reason="1 of 7 differ.", goldens=7, differ=(2,))
    (asked,) = packaged(good, GoldenCheck(name="answers", where="Java", status="failed"))
    assert (asked.status, asked.rows, asked.measures[0].name) == ("passed", 7, "files, Java, golden.jsonl: equal ids")
    (asked,) = packaged(good, bad)
    assert (asked.status, asked.findings[0].name) == ("failed", "wrong_in_app")
    assert asked.findings[0].message == "files, Node, golden.jsonl: 1 of 7 differ."
    assert with_elsewhere(elsewhere(), passed, "0" * 64)[-1].status == "not_run", "another manifest"
    (asked,) = packaged(good.model_copy(update={"status": "not_run"}))
    assert asked.status == "not_run"


def test_an_unknown_setting_is_refused(passed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="package --for files: unknown key 'size'"):
        package(passed, out=tmp_path / "dist", settings=["size=2"])


def test_missing_goldens_are_named(passed: Path, tmp_path: Path) -> None:
    (passed / "golden.jsonl").unlink()
    with pytest.raises(ArtifactError, match=r"missing_file: 'golden\.jsonl' is in the manifest but not in the folder"):
        package(passed, out=tmp_path / "dist")


def test_another_schema_version_is_refused(passed: Path, tmp_path: Path) -> None:
    path = passed / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"schema_version": 1', '"schema_version": 7', 1))
    with pytest.raises(ArtifactError, match="has schema version 7; this edgedistill reads 1"):
        package(passed, out=tmp_path / "dist")


def test_names_from_files_are_escaped_on_the_page(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "<script>", licence="[x](javascript:1)", command="`rm` | sh")
    write_verdict(folder)
    page = (package(folder, out=tmp_path / "dist") / "PROOF.md").read_text(encoding="utf-8")
    assert "<script>" not in page.replace("\\<script\\>", "")
    assert "\\[x\\](javascript:1)" in page
    assert "`` `rm` | sh ``" in page


def test_an_unknown_platform_is_refused(passed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no platform named 'file'\. Did you mean 'files'"):
        package(passed, out=tmp_path / "dist", platform="file")


def test_what_is_there_is_replaced_only_when_told(passed: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "mine").touch()
    with pytest.raises(StorageError, match="already exists"):
        package(passed, out=tmp_path / "dist")
    package(passed, out=tmp_path / "dist", overwrite=True)
    assert not (tmp_path / "dist" / "mine").exists()


def test_the_bundle_may_not_lie_in_the_artifact(passed: Path) -> None:
    with pytest.raises(ConfigError, match="lies inside the artifact"):
        package(passed, out=passed / "dist")
