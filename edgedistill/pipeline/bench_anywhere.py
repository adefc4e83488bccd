"""Which bench is meant: this machine's, a phone's, or other tools' numbers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edgedistill import files, importers, reports
from edgedistill.artifacts import environment, now, read_manifest
from edgedistill.errors import ConfigError
from edgedistill.phones import bundle as bundles
from edgedistill.phones.workplace import Program
from edgedistill.reports import BenchReport

IMPORTED = "bench-imported.json"
"""Other tools' numbers within an artifact."""


def bench_anywhere(
    artifacts: Sequence[Path | str],
    *,
    device: str = "host",
    mode: str = "quick",
    threads: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    reference: bool = True,
    affinity: str | None = None,
    bundle: Path | None = None,
    aar: Path | None = None,
    tools: Sequence[str] = (),
    imported: Sequence[Path] = (),
    source: Literal["host", "phone"] | None = None,
    out: Path | None = None,
    seed: int = 0,
) -> BenchReport:
    """Run the bench that the options mean; see `bench`, `bench_on_phone` and `import_numbers`.

    Raises:
        ConfigError: options that do not go together, or a device that there is no bench for.
    """
    if imported:
        return import_numbers(imported, artifacts, source=source, out=out)
    kind, _, serial = device.partition(":")
    wrong = {"--from": source} if kind == "adb" else {
        "--from": source, "--affinity": affinity, "--bundle": bundle, "--aar": aar, "--tool": tools or None,
    }  # fmt: skip
    given = [name for name, value in wrong.items() if value is not None]
    if given:
        goes_with = "--import" if given[0] == "--from" else "--device adb"
        raise ConfigError(f"{given[0]} goes with {goes_with}. Leave it out, or add {goes_with}.")
    if kind == "host" and not serial:
        from edgedistill.pipeline.bench import bench  # here and below: only what the device needs

        return bench(
            artifacts, mode=mode, threads=threads, lengths=lengths, reference=reference, out=out, seed=seed
        )  # fmt: skip
    if device == "web":
        if threads is not None and tuple(threads) != (1,):
            raise ConfigError("--device web runs with one thread. Leave --threads out.")
        from edgedistill.pipeline.web_bench import bench_in_browser

        return bench_in_browser(artifacts, mode=mode, lengths=lengths, out=out, seed=seed)
    if kind != "adb":
        raise ConfigError(f"no device '{device}'. There are: host, web, adb, adb:SERIAL.")
    from edgedistill.pipeline.phone_bench import bench_on_phone

    return bench_on_phone(
        artifacts,
        phone_program(bundle, aar),
        serial=serial or None,
        mode=mode,
        threads=threads,
        affinity=affinity,
        lengths=lengths,
        out=out,
        seed=seed,
        tools=tools,
    )


def phone_program(bundle: Path | None, aar: Path | None) -> Program:
    """The program of a bundle; without one, of that in the cache, which is made where it is not there.

    Raises:
        ArtifactError: there is no such bundle, or none can be made.
    """
    return program_of(bundle or bundles.cached_bundle(aar))


def program_of(folder: Path) -> Program:
    """The program in a bundle.

    Raises:
        ArtifactError: there is no bundle, or it is damaged.
    """
    card = bundles.whole_bundle(folder)
    return Program(folder, card.command, card.libraries, card.variables, card.runtime_build)


def import_numbers(
    paths: Sequence[Path],
    artifacts: Sequence[Path | str] = (),
    *,
    source: Literal["host", "phone"] | None = None,
    out: Path | None = None,
) -> BenchReport:
    """What other tools printed or wrote, as a report; written into every artifact named and to `out`.

    Args:
        paths: the tools' outputs.
        artifacts: folders whose page shall show them.
        source: where they ran, for tools that do not say.
        out: a file to write the report to.

    Raises:
        DataError: a file cannot be read, is no known tool's, or is incomplete.
        ArtifactError: one of the artifacts is none.
        StorageError: the report cannot be written.
    """
    for artifact in artifacts:
        read_manifest(Path(artifact))
    places = [Path(artifact) / IMPORTED for artifact in artifacts] + ([out] if out else [])
    rows = tuple(row for path in paths for row in importers.read(path, source))
    words = ["edgedistill", "bench", *map(str, artifacts)]
    words += [word for path in paths for word in ("--import", str(path))]
    words += ["--from", source] if source else []
    words += ["--out", str(out)] if out else []
    report = BenchReport(
        created=now(),
        command=shlex.join(words),
        environment=environment(),
        mode=None,
        seed=0,
        rows=(),
        notes=("Stated by other tools; nothing here was measured by edgedistill.",),
        stated=rows,
    )
    for place in places:
        files.refuse_unwritable(place)
        reports.save(report, place)
    return report
