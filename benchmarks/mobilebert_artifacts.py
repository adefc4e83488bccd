"""What becomes of MobileBERT students on their way to a phone: bytes, times and the gate's word, and who is beaten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import compare

import edgedistill
from edgedistill.artifacts import read_manifest

TARGETS = ("onnx", "tflite")
SCHEME = "int8_dynamic"
ACCURACY, OF_TEACHER = "student_to_artifact_metric/artifact_", "teacher_to_artifact/ratio"


def exported(row: Mapping[str, Any], *, with_fp32: bool, out: Path, length: int) -> dict[str, Path]:
    """A student's artifacts by target and scheme, such as "onnx int8_dynamic"; made where they are not there."""
    folders = {}
    for target in TARGETS:
        for scheme, end in ((SCHEME, ""), ("fp32", "-fp32")):
            if scheme == SCHEME or with_fp32:
                folder = out / "artifacts" / f"{compare.slug(row['name'])}-{target}{end}"
                folders[f"{target} {scheme}"] = compare.exported(row["student"], folder, target, scheme, length)
    return folders


def of_teacher(teacher: str, out: Path, length: int) -> dict[str, Path]:
    """The teacher's fp32 exports by target."""
    folders = {"onnx": out / "artifacts" / "teacher", "tflite": out / "artifacts" / "teacher-tflite"}
    return {target: compare.exported(teacher, folder, target, "fp32", length) for target, folder in folders.items()}


def timed(folders: Mapping[str, Path], length: int, mode: str, out: Path) -> dict[str, dict[str, Any]]:
    """Times of artifacts, all in turns on one thread, milliseconds; by the same keys."""
    bench = edgedistill.bench(
        list(folders.values()), mode=mode, threads=(1,), lengths=(length,), reference=False, out=out / "bench.json"
    )
    rows = {row.artifact: row for row in bench.rows}
    found = {name: rows[folder.name] for name, folder in folders.items()}
    return {
        name: {"p50_ms": row.latency.p50_ms, "p90_ms": row.latency.p90_ms, "is_throttled": row.is_throttled}
        for name, row in found.items()
    }


def judged(folder: Path) -> dict[str, Any]:
    """An artifact's bytes, and what the gate found end to end, from raw text to label."""
    verdict = edgedistill.check(folder)
    measures = {f"{rung.name}/{measure.name}": measure for rung in verdict.rungs for measure in rung.measures}
    ratio = measures.get(OF_TEACHER)
    return {
        "bytes": size(folder),
        "verdict": verdict.status,
        "score": next((m.value for name, m in measures.items() if name.startswith(ACCURACY)), None),
        "of_teacher": ratio and ratio.value,
        "of_teacher_interval": ratio and (ratio.low, ratio.high),
    }


def size(folder: Path) -> int:
    """Bytes of an artifact's model files."""
    return read_manifest(folder).model_size_bytes


def front(found: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which artifacts none beats: as accurate, small and fast as they, and better in one of these."""
    points = [(-(one["of_teacher"] or 0.0), one["bytes"], one["p90_ms"]) for one in found]
    return [
        not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in points)
        for own in points
    ]


def plot(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Share of the teacher over milliseconds, a dot for each artifact; those that none beats are named.

    Args:
        path: of the SVG.
        rows: artifacts that have a share, with name, made (target and scheme), of_teacher, of_teacher_interval, p90_ms,
            on_front.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    for made in dict.fromkeys(row["made"] for row in rows):
        own = [row for row in rows if row["made"] == made]
        times, shares = [row["p90_ms"] for row in own], [100 * row["of_teacher"] for row in own]
        (dots,) = panel.plot(times, shares, "o", label=made, markersize=4)
        for row in own:
            low, high = row["of_teacher_interval"]
            panel.vlines(row["p90_ms"], 100 * low, 100 * high, color=dots.get_color(), alpha=0.25)
    best = sorted((row for row in rows if row["on_front"]), key=lambda row: row["p90_ms"])
    best_shares = [100 * row["of_teacher"] for row in best]
    panel.plot([row["p90_ms"] for row in best], best_shares, "o", mfc="none", mec="black", markersize=8, label="front")
    for name in dict.fromkeys(row["name"] for row in best):
        first = next(row for row in best if row["name"] == name)
        panel.annotate(name, (first["p90_ms"], 100 * first["of_teacher"]), fontsize=7, rotation=15)
    panel.set_xlim(left=0)
    panel.set_xlabel("p90, milliseconds a text, one thread")
    panel.set_ylabel("% of the teacher, end to end")
    panel.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})
