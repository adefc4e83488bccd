import errno
import json
import os
import shutil

import pytest
from click.testing import CliRunner

from edgedistill import reports
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import ArtifactError, UnknownNameError, UnwrittenError
from edgedistill.pipeline import check as module
from edgedistill.pipeline import subjects
from edgedistill.pipeline.check import check
from edgedistill.reports import VERDICT, Verdict
from tests.gate.planted import plant, tiny_student
from tests.support import save_checkpoint


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A good artifact, whose pretended runtime `check` opens."""
    from edgedistill.models.answers import torch_runner

    planted = plant(tmp_path)
    monkeypatch.setattr(module, "_open", lambda folder, manifest: planted.wrap(torch_runner(planted.model)))
    return planted


def test_verdict_is_written_beside_the_artifact_and_tied_to_its_manifest(opened):
    verdict = check(opened.folder)
    assert verdict.status == "passed"
    assert verdict == reports.read(Verdict, opened.folder / VERDICT)
    assert verdict.manifest_sha256 == module.files.sha256_of(opened.folder / "manifest.json")
    assert verdict.artifact == "artifact"


@pytest.mark.slow
def test_checking_again_gives_the_same_rungs(opened):
    assert check(opened.folder).rungs == check(opened.folder).rungs


def test_write_can_be_left_out(opened):
    check(opened.folder, write=False)
    assert not (opened.folder / VERDICT).exists()


def test_what_was_loosened_is_in_the_verdict_and_in_its_command(opened):
    verdict = check(opened.folder, settings=["metric_drop_points=5"])
    assert verdict.overrides == {"metric_drop_points": 5.0}
    assert verdict.command.endswith("--set metric_drop_points=5")


def test_verdict_is_json_even_where_numbers_are_not_finite(opened):
    import numpy as np

    opened.wrap = lambda runner: lambda inputs: {"logits": np.full((len(inputs["input_ids"]), 2), np.nan, np.float32)}
    assert check(opened.folder).status == "failed"
    json.loads((opened.folder / VERDICT).read_text(), parse_constant=lambda name: pytest.fail(name))


def test_unknown_tolerance(opened):
    with pytest.raises(UnknownNameError, match="metric_drop_points"):
        check(opened.folder, settings=["metric_drop=5"])


def test_no_artifact_there(tmp_path):
    with pytest.raises(ArtifactError, match="edgedistill export"):
        check(tmp_path)


def test_unknown_scheme_fails_in_words(opened):
    opened.edit_manifest(scheme="int3")
    verdict = check(opened.folder)
    assert verdict.status == "failed"
    assert "'int3', which has no tolerances" in verdict.rungs[0].reason


def test_model_that_the_runtime_refuses_fails_in_words(opened, monkeypatch):
    def refuse(folder, manifest):
        raise ArtifactError("the runtime refuses 'model.onnx'")

    monkeypatch.setattr(module, "_open", refuse)
    verdict = check(opened.folder)
    assert verdict.status == "failed"
    assert verdict.rungs[0].findings[-1].name == "cannot_open"
    assert {rung.status for rung in verdict.rungs[1:]} == {"not_run"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_does_not_cost_the_verdict(opened, monkeypatch, code):
    def refuse(**_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module.files.tempfile, "mkstemp", refuse)
    with pytest.raises(UnwrittenError, match="copy the artifact") as caught:
        check(opened.folder)
    assert caught.value.result.status == "passed"
    assert os.strerror(code) in str(caught.value)
    assert "--out" not in str(caught.value)

    result = CliRunner().invoke(edgedistill, ["check", str(opened.folder), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["status"] == "passed"
    assert "cannot be kept" in result.stderr


@pytest.mark.slow
def test_a_pad_row_that_export_hides_fails_nothing(tmp_path, tiny_task_dir):
    import torch

    from edgedistill.pipeline.export import export

    student = tiny_student("mobilebert")
    with torch.no_grad():
        student.get_input_embeddings().weight[0] = 1.0
    folder = save_checkpoint(tmp_path / "student", student)
    task = str(tiny_task_dir / "task.yaml")
    made = export(folder, target="onnx", out=tmp_path / "out", task=task, data=tiny_task_dir)
    rungs = {rung.name: rung for rung in check(made).rungs}
    assert rungs["student_to_artifact"].status == rungs["padding_and_batch"].status == "passed"
    assert rungs["student_to_artifact"].rows > 32, "the judged split is among what was compared"


def test_student_of_other_weights_is_not_taken_for_the_student(opened):
    source = opened.manifest.source.model_dump() | {"sha256": "0" * 64}
    opened.edit_manifest(source=source)
    assert module.find_student(opened.folder, opened.manifest) is None


def test_student_is_found_beside_its_artifacts(opened):
    source = opened.manifest.source.model_dump() | {"path": "somewhere/else"}
    opened.edit_manifest(source=source)
    assert module.find_student(opened.folder, opened.manifest) is not None


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Put a folder into a Hub cache of this test's own, as the revision `main` names or as an older one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(folder, hub_id, commit="1" * 40, is_current=True):
        repo = tmp_path / "hub" / f"models--{hub_id.replace('/', '--')}"
        shutil.copytree(folder, repo / "snapshots" / commit)
        (repo / "refs").mkdir(exist_ok=True)
        if is_current:
            (repo / "refs" / "main").write_text(commit)

    return put


def test_a_student_from_the_hub_is_found_in_its_cache_by_check_and_bench(opened, cached, tmp_path):
    assert found_as(opened, "acme/tiny", tmp_path) == (False, False)
    cached(opened.student_folder, "acme/tiny")
    assert found_as(opened, "acme/tiny", tmp_path) == (True, True)


def test_an_older_revision_in_the_cache_is_told_by_its_hash(opened, cached, tmp_path):
    other = plant(tmp_path / "other", seed=5, rows=0).student_folder
    cached(other, "acme/tiny")
    assert found_as(opened, "acme/tiny", tmp_path) == (False, False)
    cached(opened.student_folder, "acme/tiny", "0" * 40, is_current=False)
    assert found_as(opened, "acme/tiny", tmp_path) == (True, True)


def found_as(opened, hub_id, tmp_path):
    """Whether check has the student and bench a row for it, where the manifest has a Hub id and no folder is near."""
    opened.edit_manifest(source=opened.manifest.source.model_dump() | {"path": hub_id})
    far = tmp_path / "far" / "away" / "artifact"
    shutil.copytree(opened.folder, far, dirs_exist_ok=True)
    rows, notes = subjects.reference_subjects(subjects.artifact_subjects([far], [16]))
    assert len(rows) + len(notes) == 1
    return module.find_student(far, opened.manifest) is not None, bool(rows)


@pytest.mark.slow
def test_an_export_of_a_hub_id_is_traced_back_to_it(opened, cached, tmp_path):
    from edgedistill.artifacts import read_manifest
    from edgedistill.pipeline.export import export

    cached(opened.student_folder, "acme/tiny")
    made = export("acme/tiny", target="onnx", out=tmp_path / "far" / "away" / "out")
    manifest = read_manifest(made)
    assert manifest.source.path == "acme/tiny"
    assert module.find_student(made, manifest) is not None


@pytest.mark.parametrize("family", ["bert", "distilbert", "mobilebert", "roberta"])
def test_layers_can_be_left_out_of_every_family(tmp_path, family):
    planted = plant(tmp_path, family=family, rows=0)
    student = module.find_student(planted.folder, planted.manifest)
    assert student is not None
    assert student.num_layers == 3
    inputs = {"input_ids": [[2, 9, 8, 3]], "attention_mask": [[1] * 4], "token_type_ids": [[0] * 4]}
    whole = student.runner(inputs_of(inputs))["logits"]
    without = [student.without_layer(layer)(inputs_of(inputs))["logits"] for layer in range(3)]
    assert all(abs(whole - other).max() > 1e-6 for other in without)
    assert (student.runner(inputs_of(inputs))["logits"] == whole).all()


def inputs_of(lists):
    import numpy as np

    return {name: np.array(values) for name, values in lists.items()}
