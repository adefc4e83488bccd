"""Writing: whole or not at all, whatever goes wrong, with a message that says what to do."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
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


def test_a_real_limit_stops_the_write_and_nothing_is_left(tmp_path: Path) -> None:
    """The system's own refusal, in another process: no file may be larger than 1000 bytes there."""
    path = files.write_text(tmp_path / "a.txt", "old")
    code = f"""
import resource
from pathlib import Path
from edgedistill import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_text(Path({str(path)!r}), "new" * 1000)
except files.StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "larger than is allowed here" in done.stdout
    assert (path.read_text(encoding="utf-8"), os.listdir(tmp_path)) == ("old", ["a.txt"])


def test_a_place_is_tried_out_without_leaving_anything(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")
    files.refuse_unwritable(path)
    assert (path.read_text(encoding="utf-8"), os.listdir(tmp_path)) == ("old", ["a.txt"])
    with pytest.raises(StorageError, match="a part of the path is a file"):
        files.refuse_unwritable(path / "b.txt")


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


def killed(code: str) -> None:
    """Run a program that kills itself with -9 on the way."""
    start = "import os, signal\nfrom pathlib import Path\nfrom edgedistill import files\n"
    done = subprocess.run([sys.executable, "-c", start + code], check=False)
    assert done.returncode == -signal.SIGKILL


KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def test_after_kill_9_the_old_file_is_whole_and_the_next_write_clears_up(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.txt", "old")
    killed(f"with files.atomic_file(Path({str(path)!r})) as part:\n    part.write_text('half')\n    {KILL}")
    assert path.read_text(encoding="utf-8") == "old"
    assert len(os.listdir(tmp_path)) == 2, "the killed writer's part lies beside it"
    files.write_text(path, "new")
    assert (os.listdir(tmp_path), path.read_text(encoding="utf-8")) == (["a.txt"], "new")


def test_the_next_writer_of_a_folder_clears_up_after_kill_9(tmp_path: Path) -> None:
    folder, other = tmp_path / "artifact", tmp_path / "artifact.fp32"
    for path in (folder, other):
        killed(f"with files.atomic_folder(Path({str(path)!r})) as part:\n    (part / 'half').touch()\n    {KILL}")
    with files.atomic_folder(folder) as part:
        (part / "new").touch()
    left = sorted(os.listdir(tmp_path))
    assert left[1:] == ["artifact"], "its own part is gone"
    assert left[0].startswith(".artifact.fp32."), "another name's part is not looked at"


def test_what_was_moved_away_comes_back_after_kill_9_between_the_renames(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "old").touch()
    killed(f"""
rename = Path.rename
def once(self, to):
    rename(self, to)
    {KILL}
Path.rename = once
with files.atomic_folder(Path({str(folder)!r}), overwrite=True) as part:
    (part / "new").touch()
""")
    assert not folder.exists()
    with pytest.raises(StorageError, match="already exists"), files.atomic_folder(folder):
        pytest.fail("the block must not run")
    assert (os.listdir(tmp_path), os.listdir(folder)) == (["artifact"], ["old"])


def test_a_living_writers_part_is_left_alone(tmp_path: Path) -> None:
    with files.atomic_folder(tmp_path / "artifact") as slow:
        with files.atomic_folder(tmp_path / "artifact") as quick:
            (quick / "quick").touch()
        assert slow.is_dir()
        assert os.listdir(tmp_path / "artifact") == ["quick"]
        shutil.rmtree(tmp_path / "artifact")
        (slow / "slow").touch()
    assert (os.listdir(tmp_path), os.listdir(tmp_path / "artifact")) == (["artifact"], ["slow"])


def test_writers_in_other_processes_do_not_clear_each_others_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    code = f"from edgedistill import files as f\nfor n in range(300): f.write_text(f.Path({str(path)!r}), str(n))"
    writers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 2
    assert (os.listdir(tmp_path), path.read_text(encoding="utf-8")) == (["a.txt"], "299")


@pytest.mark.parametrize("name", ["a" * 240, "\u00e4" * 120, "x[1]*"])
def test_every_name_the_system_takes_is_taken(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        files.write_text(tmp_path / name, "text")
        with files.atomic_folder(tmp_path / "in" / name, overwrite=True) as part:
            (part / "new").touch()
    assert sorted(os.listdir(tmp_path)) == sorted([name, "in"])


@pytest.mark.parametrize("kills", [pytest.param(1, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.long)])
def test_an_export_after_killed_ones_is_the_artifact_and_nothing_else(
    tmp_path: Path, tiny_bert: Path, kills: int
) -> None:
    command = [sys.executable, "-m", "edgedistill", "export", str(tiny_bert), "--set", "max_length=32", "--out"]
    artifact, straight, dice = tmp_path / "killed" / "artifact", tmp_path / "straight", random.Random(0)
    began = time.monotonic()
    subprocess.run([*command, str(straight)], capture_output=True, check=True)
    longest = 0.2 * (time.monotonic() - began)  # most of it is over before the artifact's folder is there
    for kill in range(kills):
        export = subprocess.Popen([*command, str(artifact)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(artifact.parent.glob(".artifact.*.part")):
            assert export.poll() is None
            time.sleep(0.01)
        time.sleep(longest * dice.random() * kill / kills)
        export.kill()
        assert export.wait() == -signal.SIGKILL, f"the export ended after {kill} kills"
    done = subprocess.run([*command, str(artifact)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.listdir(artifact.parent) == ["artifact"]
    made = [{path.name: path.read_bytes() for path in folder.glob("model*")} for folder in (artifact, straight)]
    assert made[0]
    assert made[0] == made[1]


def test_a_folder_hash_knows_names_and_bytes_but_not_hidden_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("text", encoding="utf-8")
    same = files.sha256_of_folder(tmp_path / "one")
    (tmp_path / "two" / ".lock").touch()
    assert files.sha256_of_folder(tmp_path / "two") == same
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert files.sha256_of_folder(tmp_path / "two") != same
