"""Native libraries in APKs and AARs: what stops them on phones with pages of 16 KB is named."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgedistill.apps.android.elf import alignment_of, libraries
from edgedistill.cli.verbs import edgedistill
from edgedistill.errors import ArtifactError


def elf(alignments: list[int], bits: int = 64) -> bytes:
    """The head of a shared library: a note, then segments to load, one for each alignment."""
    kinds = [(4, 4), *((1, alignment) for alignment in alignments)]
    start = 64 if bits == 64 else 52
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    if bits == 64:
        head = struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, start, 0, 0, 64, 56, len(kinds), 0, 0, 0)
        rows = [struct.pack("<IIQQQQQQ", kind, 5, 0, 0, 0, 9, 9, align) for kind, align in kinds]
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 3, 40, 1, 0, start, 0, 0, 52, 32, len(kinds), 0, 0, 0)
        rows = [struct.pack("<IIIIIIII", kind, 0, 0, 0, 9, 9, 5, align) for kind, align in kinds]
    return ident + head + b"".join(rows)


def archive(path: Path, content: dict[str, bytes], stored: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as opened:
        for name, each in content.items():
            opened.writestr(name, each)
    return path


@pytest.mark.parametrize("bits", [32, 64])
def test_the_least_alignment_of_what_is_loaded_counts(bits: int) -> None:
    assert alignment_of(elf([65536, 4096], bits), "x.so") == (bits, 4096)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MZ" + bytes(100), "no ELF file"),
        (elf([65536])[:80], "is cut"),
        (elf([]), "no segment to load"),
        (b"\x7fELF\x02\x02" + bytes(100), "no ELF file of a phone"),
    ],
)
def test_what_is_no_library_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        libraries(archive(tmp_path / "x.aar", {"jni/arm64-v8a/x.so": content}))


def test_doctor_names_the_library_and_exits_with_1(tmp_path: Path) -> None:
    content = {"jni/arm64-v8a/good.so": elf([16384]), "jni/arm64-v8a/bad.so": elf([16384, 4096])}
    content["jni/armeabi-v7a/old.so"] = elf([4096], 32)
    result = CliRunner().invoke(edgedistill, ["doctor", str(archive(tmp_path / "x.aar", content))])
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert "'jni/arm64-v8a/bad.so': its segments are aligned to 4096 bytes" in words
    assert "2 of 3 native libraries load with pages of 16 KB" in words
    del content["jni/arm64-v8a/bad.so"]
    assert CliRunner().invoke(edgedistill, ["doctor", str(archive(tmp_path / "y.aar", content))]).exit_code == 0


def test_a_library_that_lies_askew_in_an_apk_is_named(tmp_path: Path) -> None:
    """Stored as it is, it is mapped from where it lies; compressed it is unpacked first, which is fine."""
    content = {"lib/arm64-v8a/x.so": elf([16384])}
    askew = libraries(archive(tmp_path / "x.apk", content, stored=True))[0]
    assert askew.offset == 30 + len("lib/arm64-v8a/x.so")
    assert "begins at byte 48" in str(askew.fault(is_apk=True))
    assert askew.fault(is_apk=False) is None
    assert libraries(archive(tmp_path / "y.apk", content))[0].fault(is_apk=True) is None


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.apk").write_bytes(b"not a zip")
    result = CliRunner().invoke(edgedistill, ["doctor", str(tmp_path / "x.apk")])
    assert result.exit_code == 2
    assert "as an APK or AAR" in result.stderr
