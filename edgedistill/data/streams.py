"""Text files wherever fsspec reaches: a path on this machine, or s3://, gs://, hf://, memory://, file:// and the like.

A file is read as a stream, never as a whole. Where a place holds a `*`, it is every file that matches, in name order.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from edgedistill.errors import DataError, EdgeDistillError, MissingExtraError

_PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "http": "aiohttp", "https": "aiohttp",
    "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol", "oss": "ossfs",
}  # fmt: skip
"""What fsspec reads a store through. Of others its own words are quoted: a package that is called as the protocol is
may be anybody's."""

Place = Path | str
"""A path, or a URL as text: a `Path` would take a slash of its two."""


def as_place(text: Path | str) -> Place:
    """What was typed: a URL stays text."""
    return text if is_url(text) else Path(text)


def is_url(place: Place) -> bool:
    """Whether fsspec is to be asked."""
    return isinstance(place, str) and "://" in place


def files_of(place: Place) -> list[Place]:
    """The files of a place: itself, or all that match.

    Raises:
        DataError: none matches, or the store cannot be asked.
        MissingExtraError: fsspec knows the kind of store, and the package for it is not installed.
    """
    if not is_url(place) or "*" not in str(place):
        return [place]
    with _told(place):
        system, pattern = _system(place)
        found = [str(system.unstrip_protocol(path)) for path in sorted(system.glob(pattern))]
    if not found:
        raise DataError(f"no file matches '{place}'. Check the place.")
    return list(found)


@contextmanager
def opened(place: Place) -> Iterator[BinaryIO]:
    """A file to read bytes from, unpacked where its name ends in .gz.

    Raises:
        OSError: as of a file on this machine.
        DataError, MissingExtraError: as `files_of`.
    """
    if isinstance(place, Path) or not is_url(place):
        with gzip.open(place, "rb") if str(place).endswith(".gz") else Path(place).open("rb") as file:
            yield cast("BinaryIO", file)
        return
    with _told(place):
        system, path = _system(place)
        stream = system.open(path, "rb")
    with stream, gzip.open(stream, "rb") if place.endswith(".gz") else stream as file:
        yield cast("BinaryIO", file)


def stamp_of(place: Place) -> str:
    """What changes when the files do: size and time, or what the store keeps of each, in a hash."""
    if is_url(place):
        with _told(place):
            found = [[str(file), _system(file)[0].ukey(_system(file)[1])] for file in files_of(place)]
    else:
        state = Path(place).stat()
        found = [[str(Path(place).resolve()), f"{state.st_size} {state.st_mtime_ns}"]]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _system(place: Place) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(str(place))
    return system, str(path)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Say what a store refuses; each has errors of its own, which have nothing in common but their words."""
    protocol = str(place).partition("://")[0]
    try:
        yield
    except EdgeDistillError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"no file '{place}'. Check the place.") from error
    except Exception as error:
        if isinstance(error, ImportError) and protocol in _PACKAGES:
            raise MissingExtraError(f"'{place}'", _PACKAGES[protocol], None) from error
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"cannot read '{place}': {words}. Check the place and your rights to it.") from error
