"""bench in a browser: the web package of each artifact in headless Chromium, timed by the page itself."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedistill import files, plugins, reports
from edgedistill.apps.web import browser
from edgedistill.apps.web.proof import checks_of
from edgedistill.artifacts import environment, now, read_manifest
from edgedistill.errors import ArtifactError
from edgedistill.measure.inputs import inputs_of
from edgedistill.measure.modes import WARM_UP_RUNS, WARM_UP_SECONDS, Mode, find_mode
from edgedistill.pipeline.subjects import Subject, artifact_subjects
from edgedistill.pipeline.timed_rows import timed_row
from edgedistill.reports import BenchReport, BenchRow

WEB_BENCH = "bench-web.json"
"""A browser's numbers within an artifact."""
_STARTING_SECONDS = 120


def bench_in_browser(
    artifacts: Sequence[Path | str],
    *,
    mode: str = "quick",
    lengths: Sequence[int] | None = None,
    out: Path | str | None = None,
    seed: int = 0,
) -> BenchReport:
    """Time artifacts in a browser on this machine, one after another, and write bench-web.json into each.

    Times are those of ONNX Runtime Web on WebAssembly with one thread. Before it is timed every artifact answers its
    goldens in the very same browser.

    Args:
        artifacts: folders, of the target onnx.
        mode: submission, quick or rapid.
        lengths: input lengths in tokens; the fixed lengths of the artifacts when not given, else 128.
        out: a file to write the report to as well.
        seed: of the texts.

    Raises:
        ArtifactError: no artifact, one that was changed, or one that answers otherwise in the browser.
        ConfigError: an unknown mode, a length that a model does not take, or a task without a page.
        DeviceError: no browser, or the runtime cannot be had.
        StorageError: the report cannot be written, which is tried out before anything is measured.
    """
    chosen = find_mode(mode)
    subjects = artifact_subjects(artifacts, lengths)
    places = [Path(artifact) / WEB_BENCH for artifact in artifacts] + ([Path(out)] if out else [])
    for place in places:
        files.refuse_unwritable(place)
    name = browser.version_of(browser.find_browser())
    words = ["edgedistill", "bench", *map(str, artifacts), "--device", "web", "--mode", mode]
    words += ["--lengths", ",".join(map(str, lengths))] if lengths else []
    words += ["--out", str(out)] if out else []
    notes = [
        f"Measured in headless {name}: ONNX Runtime Web on WebAssembly, one thread. Artifacts one after another, not "
        "in turns. Memory is not measured. Each answered its goldens there first."
    ]
    report = BenchReport(
        created=now(),
        command=shlex.join([*words, "--seed", str(seed)]),
        environment=environment(),
        mode=chosen.name,
        seed=seed,
        rows=tuple(row for subject in subjects for row in _rows(subject, chosen, seed, name)),
        notes=tuple(notes),
    )
    for place in places:
        reports.save(report, place)
    return report


def _rows(subject: Subject, mode: Mode, seed: int, name: str) -> list[BenchRow]:
    """A row for every length."""
    web = plugins.load("apps", "web")
    with tempfile.TemporaryDirectory(prefix="edgedistill-web-") as place:
        folder = Path(place)
        web.build(subject.folder, read_manifest(subject.folder), folder, web.Config())
        _refuse_other_answers(subject, browser.posted(folder, "tests/index.html"))
        files.write_json(folder / "tests" / "bench.json", _plan(subject, mode, seed))
        seconds = _STARTING_SECONDS + len(subject.lengths) * (mode.max_seconds + 60)
        said = browser.posted(folder, "tests/index.html", {"bench": "bench.json"}, seconds)
    return [_row(subject, group, said["loadMs"], mode, name) for group in said["groups"]]


def _plan(subject: Subject, mode: Mode, seed: int) -> dict[str, Any]:
    """What the page is to time."""
    groups = []
    for length in subject.lengths:
        made = inputs_of(subject.texts, length, seed)
        inputs = [
            {"ids": np.ravel(one["input_ids"]).tolist(), "typeIds": np.ravel(one["token_type_ids"]).tolist()}
            for one in made
        ]
        groups.append({"length": length, "inputs": inputs})
    return {
        "groups": groups,
        "warmUpRuns": WARM_UP_RUNS,
        "warmUpSeconds": WARM_UP_SECONDS,
        "minRuns": mode.min_runs,
        "minSeconds": mode.min_seconds,
        "maxSeconds": mode.max_seconds,
    }


def _refuse_other_answers(subject: Subject, said: dict[str, Any]) -> None:
    failed = [check for check in checks_of(said, "the browser") if check.status == "failed"]
    if failed:
        raise ArtifactError(
            f"'{subject.folder}' is not timed: {failed[0].name} of {failed[0].file} come out otherwise in the browser. "
            f"{failed[0].reason}"
        )


def _row(subject: Subject, group: dict[str, Any], load_ms: float, mode: Mode, name: str) -> BenchRow:
    return timed_row(
        subject, [value / 1000 for value in group["samplesMs"]], mode, first_ms=group["firstMs"], load_ms=load_ms,
        source="host", device=f"{name} on {environment().cpu}", threads=1, affinity="the browser's",
        length=int(group["length"]), peak_rss_bytes=None,
    )  # fmt: skip
