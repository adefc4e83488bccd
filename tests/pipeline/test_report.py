import json
from pathlib import Path

import pytest

from edgedistill.errors import ArtifactError, StorageError
from edgedistill.pages.content import Content
from edgedistill.pipeline.report import report
from tests.pages.runs import write_run


def test_three_files_of_one_content(tmp_path: Path) -> None:
    run = write_run(tmp_path / "sst2")
    path = report(run)
    assert path == run / "index.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (run / "report.md").read_text(encoding="utf-8").startswith("# sst2: failed")
    content = Content.model_validate(json.loads((run / "report.json").read_text(encoding="utf-8")))
    assert content.headline.status == "failed"
    assert len(content.artifacts) == 3
    assert not list(run.glob(".*.part"))


def test_the_same_folder_gives_the_same_page_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "sst2")
    first = report(run).read_text()
    before = json.loads((run / "report.json").read_text())
    assert report(run).read_text().replace(_created(run), "") == first.replace(before["created"], "")


def _created(run: Path) -> str:
    return str(json.loads((run / "report.json").read_text())["created"])


def test_out_takes_the_page_elsewhere_and_leaves_the_run_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "sst2")
    assert report(run, tmp_path / "site") == tmp_path / "site" / "index.html"
    assert not (run / "index.html").exists()


def test_a_folder_without_anything_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Give the folder that distill made, or one with artifacts in it"):
        report(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is written"
    with pytest.raises(ArtifactError, match="no folder"):
        report(tmp_path / "absent")


def test_a_destination_that_is_a_file_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "sst2")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        report(run, tmp_path / "file")
