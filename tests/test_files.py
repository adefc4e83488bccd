"""Writing: whole or not at all, whatever goes wrong, with a message that says what to do."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgedistill import files
from edgedistill.errors import StorageError


class Interrupted(BaseException):
    """Stands for Ctrl-C."""


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")

    def write() -> None:
        with files.atomic_file(path) as part:
            part.write_text("half", encoding="utf-8")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_is_never_written_with_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "artifact"
    if is_there:
        folder.mkdir()
        (folder / "old").touch()

    def write() -> None:
        with files.atomic_folder(folder, overwrite=True) as part:
            (part / "new").touch()
            raise Interrupted

    with pytest.raises(Interrupted):
        write()
    assert os.listdir(tmp_path) == (["artifact"] if is_there else [])
    assert not is_there or os.listdir(folder) == ["old"]
    with files.atomic_folder(folder, overwrite=True) as part:
        (part / "new").touch()
    assert (os.listdir(tmp_path), os.listdir(folder)) == (["artifact"], ["new"])


def test_what_is_there_is_not_replaced_unless_told(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(StorageError, match=r"already exists.*--overwrite"), files.atomic_folder(tmp_path):
        pytest.fail("the block must not run")
    with pytest.raises(StorageError, match="already exists"):
        files.refuse_existing(tmp_path / "kept", overwrite=False)


def test_an_empty_folder_is_free_to_use(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with files.atomic_folder(tmp_path / "empty") as part:
        (part / "new").touch()
    assert os.listdir(tmp_path / "empty") == ["new"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "no space left on the disk. Free some space"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EDQUOT, "quota"),
    ],
)
def test_disk_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="Nothing that was there has been changed") as caught:
        files.write_text(path, "new")
    assert advice in str(caught.value)
    assert (path.read_text(encoding="utf-8"), os.listdir(tmp_path)) == ("old", ["a.txt"])


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a part of the path is a file"):
        files.write_text(tmp_path / "file" / "a.txt", "text")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long"):
        files.write_text(tmp_path / ("a" * 300), "text")


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    with files.exclusive(tmp_path / "run"):
        code = f"from edgedistill import files as f; f.exclusive(f.Path({str(tmp_path / 'run')!r})).__enter__()"
        held = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "in use by another edgedistill process" in held.stderr
    with files.exclusive(tmp_path / "run"):
        pass


def test_after_kill_9_the_old_file_is_whole(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")
    code = f"""
import os, signal
from pathlib import Path
from edgedistill import files
with files.atomic_file(Path({str(path)!r})) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == "old"


def test_a_folder_hash_knows_names_and_bytes_but_not_hidden_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("text", encoding="utf-8")
    same = files.sha256_of_folder(tmp_path / "one")
    (tmp_path / "two" / ".lock").touch()
    assert files.sha256_of_folder(tmp_path / "two") == same
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert files.sha256_of_folder(tmp_path / "two") != same
