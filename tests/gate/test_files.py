import json

import pytest

from edgedistill.artifacts import file_entry
from edgedistill.gate.files import files_rung, is_usable
from edgedistill.gate.ladder import overall


def names(planted):
    return {fault.name for fault in files_rung(planted.folder, planted.manifest).findings}


def test_a_good_folder_has_no_fault(good):
    rung = files_rung(good.folder, good.manifest)
    assert (rung.status, rung.findings, rung.rows) == ("passed", (), 6)


def test_truncated_model_is_named_and_never_opened(good):
    path = good.folder / "model.pretended"
    path.write_bytes(path.read_bytes()[:-100])
    rungs = good.rungs()
    assert "truncated_file" in {fault.name for fault in rungs["files"].findings}
    assert "'model.pretended' has " in rungs["files"].reason
    assert rungs["student_to_artifact"].status == "not_run"
    assert overall(list(rungs.values())) == "failed"


def test_one_changed_byte_makes_the_manifest_stale(good):
    path = good.folder / "model.pretended"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert names(good) == {"stale_manifest"}


def test_stale_hash_in_the_manifest(good):
    files = good.manifest.model_dump(mode="json")["files"]
    files[0]["sha256"] = "0" * 64
    good.edit_manifest(files=files)
    rungs = good.rungs()
    assert rungs["files"].status == "failed"
    assert overall(list(rungs.values())) == "failed"
    assert "stale_manifest" in {fault.name for fault in rungs["files"].findings}


@pytest.mark.parametrize("name", ["golden.jsonl", "model.pretended", "tokenizer.json", "labels.txt", "reference.jsonl"])
def test_deleted_file(good, name):
    (good.folder / name).unlink()
    rung = files_rung(good.folder, good.manifest)
    assert "missing_file" in {fault.name for fault in rung.findings}
    assert not is_usable(rung)


@pytest.mark.parametrize("name", ["golden.jsonl", "model.pretended", "tokenizer.json", "reference.jsonl"])
def test_file_that_is_used_but_not_listed(good, name):
    files = [entry for entry in good.manifest.model_dump(mode="json")["files"] if entry["path"] != name]
    good.edit_manifest(files=files)
    assert "broken_manifest" in names(good)


@pytest.mark.parametrize("path", ["../../../../../../etc/passwd", "/etc/passwd", "../secret.json"])
def test_path_outside_the_folder_is_refused_unread(good, path):
    files = good.manifest.model_dump(mode="json")["files"]
    files[0]["path"] = path
    good.edit_manifest(files=files)
    rungs = good.rungs()
    assert "path_outside_folder" in {fault.name for fault in rungs["files"].findings}
    assert "sha256 differs" not in rungs["files"].reason
    assert rungs["student_to_artifact"].status == "not_run"


def test_link_that_leads_outside_is_refused(good):
    model = good.folder / "model.pretended"
    model.unlink()
    model.symlink_to(good.student_folder / "model.safetensors")
    assert "path_outside_folder" in names(good)


def test_goldens_cut_in_the_middle_of_a_line(good):
    path = good.folder / "golden.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    good.refresh_hashes()
    rung = files_rung(good.folder, good.manifest)
    assert "unreadable_goldens" in {fault.name for fault in rung.findings}
    assert "line " in rung.reason


def test_no_goldens_at_all(good):
    (good.folder / "golden.jsonl").write_text("")
    good.refresh_hashes()
    assert names(good) == {"unreadable_goldens"}


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row | {"artifact": {"logits": [0.0]}},
        lambda row: row | {"student": {}, "artifact": {}},
        lambda row: row | {"token_type_ids": []},
    ],
)
def test_goldens_that_do_not_fit_together(good, change):
    good.edit_lines("golden.jsonl", change)
    assert names(good) == {"unreadable_goldens"}


def test_more_labels_than_logits(good):
    (good.folder / "labels.txt").write_text("negative\npositive\nneutral\n")
    good.edit_manifest(labels=["negative", "positive", "neutral"])
    good.refresh_hashes()
    assert names(good) == {"other_labels"}


def test_the_same_row_twice(good):
    good.edit_lines("reference.jsonl", lambda row: row | {"row_id": "1"})
    assert names(good) == {"unreadable_goldens"}


def test_tokenizer_that_is_no_json(good):
    (good.folder / "tokenizer.json").write_text("{")
    good.refresh_hashes()
    rung = files_rung(good.folder, good.manifest)
    assert {fault.name for fault in rung.findings} == {"unreadable_tokenizer"}
    assert not is_usable(rung)


def test_word_list_of_another_vocabulary(good):
    vocabulary = json.loads((good.folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lines = sorted(vocabulary, key=vocabulary.get)
    path = good.folder / "vocab.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    entry = {"path": "vocab.txt", "sha256": "", "size_bytes": 0, "role": "tokenizer"}
    files = [*good.manifest.model_dump(mode="json")["files"], entry]
    good.edit_manifest(files=files, tokenizer=good.manifest.tokenizer.model_dump() | {"file": "vocab.txt"})
    good.refresh_hashes()
    assert names(good) == set()
    lines[20], lines[21] = lines[21], lines[20]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    good.refresh_hashes()
    assert names(good) == {"wrong_vocabulary"}


def with_calibration(planted, texts):
    """The artifact as a calibrated scheme would have written it."""
    path = planted.folder / "calibration.jsonl"
    path.write_text("".join(json.dumps({"text": text, "text_pair": None}) + "\n" for text in texts), encoding="utf-8")
    entry = file_entry(planted.folder, path, "calibration").model_dump(mode="json")
    files = [*planted.manifest.model_dump(mode="json")["files"], entry]
    scheme = {"scheme": "int8_static", "tool": "a tool", "calibration_sha256": entry["sha256"]}
    planted.edit_manifest(files=files, quantization=scheme)
    return scheme


def test_calibration_text_of_its_own_is_no_fault(good):
    with_calibration(good, ["a text that nobody judges by"])
    assert names(good) == set()


def test_stale_calibration_is_named(good):
    """The numbers in the model were watched on other text than the manifest's."""
    scheme = with_calibration(good, ["a text that nobody judges by"])
    good.edit_manifest(quantization=scheme | {"calibration_sha256": "0" * 64})
    assert names(good) == {"stale_calibration"}
    good.edit_manifest(files=[entry.model_dump(mode="json") for entry in good.manifest.files[:-1]])
    assert "stale_calibration" in names(good)


def test_calibration_on_judged_rows_is_named(good):
    first = json.loads((good.folder / "reference.jsonl").read_text(encoding="utf-8").split("\n")[0])
    with_calibration(good, ["another", first["text"]])
    rung = files_rung(good.folder, good.manifest)
    assert {fault.name for fault in rung.findings} == {"calibrated_on_judges"}
    assert "1 of 320 judged rows" in rung.reason
