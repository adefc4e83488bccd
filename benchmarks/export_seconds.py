"""How long exporting the published MobileBERT takes, target by target, and whether it says that it is at work.

    python benchmarks/export_seconds.py --out runs/export_seconds [--target onnx ...] [--python executorch=PYTHON]

Random weights of the published shape (24 layers of 512, blocks of 128, 25.3 million parameters) and a classifier, fp32,
each target's default lengths, `edgedistill export` in a process of its own with one thread. Processor seconds are those
of the process; on a computer that does other work beside it they say more than the clock's. Targets that are measured
are added to docs/results/export_seconds.md and .json.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from compare import RESULTS, about, footnote, kept

from edgedistill import files, resources
from edgedistill.artifacts import read_manifest

LIMIT_S = 90
TARGETS = ("onnx", "tflite", "executorch", "coreml")


def main() -> None:
    """Export to every target and write the table."""
    options = _options()
    student = options.out / "mobilebert"
    if not student.is_dir():
        _write_student(student)
    pythons = dict(word.split("=", 1) for word in options.python)
    for target in options.target or TARGETS:
        row = _measured(student, target, pythons.get(target, sys.executable), options.out / target)
        rows = kept("export_seconds", target, {**about(), **row})
        files.write_text(RESULTS / "export_seconds.md", _markdown(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/export_seconds"))
    parser.add_argument("--target", action="append", choices=TARGETS, help="measure this one only; may be repeated")
    parser.add_argument("--python", action="append", default=[], help="TARGET=interpreter that has its packages")
    return parser.parse_args()


def _write_student(folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, MobileBertConfig

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(MobileBertConfig(num_labels=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resources.checkpoint(resources.EMBEDDED)).save_pretrained(folder)


def _measured(student: Path, target: str, python: str, out: Path) -> dict[str, Any]:
    """One export: the clock's and the processor's seconds, and the longest silence on stderr."""
    shutil.rmtree(out, ignore_errors=True)
    words = [python, "-m", "edgedistill", "export", str(student), "--target", target, "--out", str(out)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    said = [started]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(time.monotonic())
            sys.stderr.write(line)
    said.append(time.monotonic())
    if process.returncode:
        raise SystemExit(f"export to {target} ended with {process.returncode}")
    after, manifest = resource.getrusage(resource.RUSAGE_CHILDREN), read_manifest(out)
    return {
        "graphs": len(manifest.graphs), "bytes": manifest.model_size_bytes, "wall_s": said[-1] - started,
        "processor_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "longest_silence_s": max(b - a for a, b in pairwise(said)),
        "load_1min": os.getloadavg()[0], "cores": os.cpu_count(),
        "environment": manifest.environment.model_dump(mode="json"),  # of that interpreter
    }  # fmt: skip


def _markdown(rows: dict[str, Any]) -> str:
    lines = [
        "# Seconds to export the published MobileBERT",
        "",
        "24 layers, random weights, fp32, default lengths, one thread, by `benchmarks/export_seconds.py`. Aimed at: "
        f"{LIMIT_S} s per target. Load: processes that wanted a core, over the cores there are; above 1 the clock "
        "counts others' work too, and the processor's seconds are longer than on an idle computer.",
        "",
        "| target | graphs | MB | processor s | within the aim | clock s | load | longest silence s | measured |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for target, row in rows.items():
        meets = "yes" if row["processor_s"] <= LIMIT_S else "no"
        lines.append(
            f"| {target} | {row['graphs']} | {row['bytes'] / 1e6:.1f} | {row['processor_s']:.0f} | {meets} | "
            f"{row['wall_s']:.0f} | {row['load_1min']:.1f} / {row['cores']} | {row['longest_silence_s']:.0f} | "
            f"{row['created']} |"
        )
    for target, row in rows.items():
        lines += ["", f"{target}: `{row['command']}`", "", footnote(row["environment"])]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
