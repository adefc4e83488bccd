"""Untrained students as artifacts of a moment: converted, run and timed like any other, and thrown away.

They are written the way `export` writes, without its goldens and its gate: random answers have nothing to prove.
"""

from __future__ import annotations

import json
import statistics
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import plugins, reports
from edgedistill.artifacts import GOLDENS, MANIFEST, Manifest, Source, TaskCard, environment, file_entry, now
from edgedistill.data.probes import PLAIN
from edgedistill.measure import timing
from edgedistill.measure.inputs import inputs_of

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint
    from edgedistill.pipeline.shapes import Candidate
    from edgedistill.targets import ExportConfig

P90_OF_MEDIAN = 1.15
"""On a quiet machine."""
_CALIBRATION_ROWS = 16
_RANDOM_WEIGHTS = "0" * 64
"""In place of a hash: nobody can have these weights again."""


def write(folder: Path, teacher: Checkpoint, candidate: Candidate, cfg: ExportConfig) -> int:
    """Make an untrained student of that shape and convert it.

    Returns:
        Bytes of its model files.

    Raises:
        ExportError: the runtime does not take it.
        MissingExtraError: the target's packages are not installed.
    """
    import torch

    from edgedistill.models.mobilebert import unlearned_mobilebert
    from edgedistill.models.views import view_of
    from edgedistill.pipeline.artifact_files import write_tokenizer
    from edgedistill.pipeline.calibration import chosen

    folder.mkdir(parents=True)
    kind = teacher.kind
    assert kind != "embedding"
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        student = unlearned_mobilebert(teacher.model, kind, candidate.shape)
    view, target, watched = view_of(student), plugins.load("targets", cfg.target), None
    if cfg.scheme in target.CALIBRATED:  # ranges of random weights, in as many operators as those of learnt ones
        watched = chosen(teacher, None, kind, None, _CALIBRATION_ROWS, cfg.max_length)
    exported = target.export(view, cfg, folder, watched)
    tokenizer = write_tokenizer(folder, teacher, view.input_names, cfg.max_length)
    rows = (json.dumps({"text": text, "text_pair": None}) + "\n" for text in PLAIN)
    (folder / GOLDENS).write_text("".join(rows), encoding="utf-8")
    manifest = Manifest(
        created=now(),
        command="edgedistill plan",
        environment=environment(),
        source=Source(
            path="random weights", sha256=_RANDOM_WEIGHTS, family="mobilebert", parameters=candidate.parameters
        ),
        task=TaskCard(name=None, kind=kind, max_length=cfg.max_length),
        labels=teacher.labels,
        target=cfg.target,
        scheme=cfg.scheme,
        opset=exported.opset,
        graphs=exported.graphs,
        driver=exported.driver,
        tokenizer=tokenizer,
        quantization=exported.quantization,
        files=tuple(file_entry(folder, path, "model") for path in exported.model_files),
    )
    reports.save(manifest, folder / MANIFEST)
    return manifest.model_size_bytes


def glance(folder: Path, length: int, threads: int, seed: int) -> float:
    """About the p90 to expect, milliseconds, from two seconds: enough to choose what is worth being timed.

    It is told from the median, which other processes disturb less.
    """
    from edgedistill.pipeline.runners import open_runner

    runner, inputs = open_runner(folder, threads=threads), cycle(inputs_of(folder, length, seed))
    seconds: list[float] = []

    def call() -> None:
        started = time.perf_counter()
        runner(next(inputs))
        seconds.append(time.perf_counter() - started)

    timing.warm_up(call)
    return 1000 * P90_OF_MEDIAN * statistics.median(seconds)
