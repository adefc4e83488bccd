"""Known faults of an APK or AAR: native libraries that phones with memory pages of 16 KB cannot load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedistill.apps.android.elf import PAGE, libraries
from edgedistill.pipeline.doctor.signs import Sign, broken, ok

SUFFIXES = (".apk", ".aar")


def signs(path: Path) -> Iterator[Sign]:
    """One for every library that has a fault; one for all that have none.

    Raises:
        ArtifactError: no archive, or a library that is none.
    """
    found = libraries(path)
    faults = {library.name: library.fault(path.suffix.lower() == ".apk") for library in found}
    yield from (broken("large_pages", f"'{name}': {fault}") for name, fault in faults.items() if fault)
    fine = sum(fault is None for fault in faults.values())
    if not found:
        yield ok("large_pages", "no native libraries: nothing to align")
    elif fine:
        yield ok("large_pages", f"{fine} of {len(found)} native libraries load with pages of {PAGE // 1024} KB")
