"""Native libraries in an APK or AAR: may they be loaded on phones with memory pages of 16 KB?

Google Play asks it of apps that run on 64-bit phones with Android 15 and later. Two things are needed: every segment
that is loaded is aligned to 16 KB, and a library that lies in the APK as it is begins at such a place in it.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgedistill.errors import ArtifactError

PAGE = 16 * 1024
_LOAD = 1
_MOST_BYTES = 1 << 31
"""A larger entry is not unpacked: no native library is, and a zip bomb may be."""
_LARGEST_HEADERS = 1 << 20
_HEADER = 30
"""Bytes of a zip entry's own header before its name."""


@dataclass(frozen=True)
class Library:
    """One .so.

    Attributes:
        name: within the archive.
        bits: 32 or 64.
        alignment: the least of its loaded segments', in bytes.
        offset: where its bytes begin in the archive; None where it is compressed, and is unpacked when installed.
    """

    name: str
    bits: int
    alignment: int
    offset: int | None

    def fault(self, is_apk: bool) -> str | None:
        """What stops it on a phone with large pages; none where nothing does."""
        if self.bits == 32:
            return None  # such phones run no 32-bit code
        if self.alignment < PAGE:
            return f"its segments are aligned to {self.alignment} bytes; link it with -Wl,-z,max-page-size=16384"
        if is_apk and self.offset is not None and self.offset % PAGE:
            return f"it begins at byte {self.offset} of the archive; align it with: zipalign -P 16"
        return None


def libraries(archive: Path) -> tuple[Library, ...]:
    """Every native library of an APK or AAR, in the archive's order.

    Raises:
        ArtifactError: it is no zip archive, or holds a .so that is no ELF file.
    """
    try:
        with zipfile.ZipFile(archive) as opened, archive.open("rb") as raw:
            return tuple(_library(opened, info, raw) for info in _native(opened))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ArtifactError(f"cannot read '{archive}' as an APK or AAR: {error}.") from error


def _native(opened: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for info in opened.infolist():
        if info.filename.endswith(".so") and not info.is_dir():
            yield info


def _library(opened: zipfile.ZipFile, info: zipfile.ZipInfo, raw: BinaryIO) -> Library:
    if info.file_size > _MOST_BYTES:
        raise ArtifactError(f"'{info.filename}' claims {info.file_size:,} bytes; no native library has so many.")
    with opened.open(info) as file:
        content = file.read(_LARGEST_HEADERS)
    bits, alignment = alignment_of(content, info.filename)
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        raw.seek(info.header_offset + _HEADER - 4)
        offset = info.header_offset + _HEADER + sum(struct.unpack("<HH", raw.read(4)))
    return Library(info.filename, bits, alignment, offset)


def alignment_of(content: bytes, name: str) -> tuple[int, int]:
    """Bits (32 or 64) and the least alignment of the loaded segments of an ELF file.

    Args:
        content: its bytes, at least up to the end of the program headers.
        name: for the error.

    Raises:
        ArtifactError: it is no little-endian ELF file with segments to load.
    """
    if content[:4] != b"\x7fELF" or content[4:5] not in (b"\x01", b"\x02") or content[5:6] != b"\x01":
        raise ArtifactError(f"'{name}' is no ELF file of a phone.")
    is_64 = content[4] == 2
    try:
        table, (size, count) = (
            (struct.unpack_from("<Q", content, 32)[0], struct.unpack_from("<HH", content, 54))
            if is_64
            else (struct.unpack_from("<I", content, 28)[0], struct.unpack_from("<HH", content, 42))
        )
        aligned = [
            struct.unpack_from("<Q" if is_64 else "<I", content, place + (48 if is_64 else 28))[0]
            for place in range(table, table + size * count, max(size, 1))
            if struct.unpack_from("<I", content, place)[0] == _LOAD
        ]
    except struct.error as error:
        raise ArtifactError(f"'{name}' is cut: its program headers are not all there.") from error
    if not aligned:
        raise ArtifactError(f"'{name}' has no segment to load.")
    return (64 if is_64 else 32), min(aligned)
