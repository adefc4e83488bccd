"""One distillation on the processor and on a CUDA GPU, in bf16 and compiled: speed, memory and the student's score.

    python benchmarks/gpu.py --task sst2 --data SST2_DIR --teacher FOLDER --out runs/gpu [--steps 300] [--limit N]

The same recipe, rows, order and seed everywhere; each run in a process of its own, through `edgedistill distill`. Where
there is no GPU its rows say `not_run`. Writes docs/results/gpu.md and gpu.json. `benchmarks/gpu.sh` sets up a machine
that has PyTorch and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from compare import RESULTS, about, footnote, told
from compare import answers as answers_of
from compare import gain as gain_of

from edgedistill import files

SETTLED = 20
"""Steps left out of the speed: memory is fetched and, where asked for, code is translated in them."""
RUNS: dict[str, tuple[bool, dict[str, str]]] = {
    "processor": (False, {}),
    "GPU, fp32": (True, {"mixed_precision": "no"}),
    "GPU, bf16": (True, {"mixed_precision": "bf16"}),
    "GPU, bf16, compiled": (True, {"mixed_precision": "bf16", "compile": "true"}),
}
"""Whether a run is on the GPU, and how it optimises."""


def main() -> None:
    """Train, read the logs and write the table."""
    options, load = _options(), os.getloadavg()[0]
    rows: dict[str, dict[str, Any]] = {}
    for name, (is_on_gpu, optim) in RUNS.items():
        if is_on_gpu and not torch.cuda.is_available():
            rows[name] = {"status": "not_run", "reason": "this machine has no CUDA GPU"}
            continue
        out = options.out / name.replace(", ", "-").replace(" ", "-")
        seconds = _trained(options, out, is_on_gpu, optim)
        rows[name] = {"status": "run", "seconds": seconds, "student": str(out / "student"), **_speed(out)}
    first = answers_of([Path(rows["processor"]["student"])])
    for row in rows.values():
        if row["status"] == "run":
            own = answers_of([Path(row.pop("student"))])
            row |= {"score": float(own.score(np.ones((1, own.rows)))[0]), "gain": gain_of(first, own)}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    results = {
        **about(), "gpu": gpu, "torch": torch.__version__, "steps": options.steps,
        "load": load, "rows": rows,
    }  # fmt: skip
    files.write_json(RESULTS / "gpu.json", results)
    files.write_text(RESULTS / "gpu.md", _markdown(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--steps", type=int, default=300, help="of each of the recipe's stages")
    parser.add_argument("--limit", type=int, help="most rows of each split")
    return parser.parse_args()


def _trained(options: argparse.Namespace, out: Path, is_on_gpu: bool, optim: dict[str, str]) -> float:
    """Seconds that `edgedistill distill mobilebert` took; it goes on with a run that is there."""
    settings = {"max_steps": str(options.steps), **optim}
    asked = ["--task", options.task, "--data", options.data, "--teacher", options.teacher, "--out", out]
    asked += (["--resume"] if out.is_dir() else []) + (["--limit", options.limit] if options.limit else [])
    for stage in ("transfer_optim", "distill_optim", "polish_optim"):
        asked += [word for name, value in settings.items() for word in ("--set", f"{stage}.{name}={value}")]
    began = time.monotonic()
    where = os.environ | ({} if is_on_gpu else {"CUDA_VISIBLE_DEVICES": ""})
    command = [sys.executable, "-m", "edgedistill", "distill", "mobilebert", *map(str, asked)]
    subprocess.run(command, check=True, env=where)
    return time.monotonic() - began


def _speed(out: Path) -> dict[str, Any]:
    """Tokens a second of each stage's settled steps, the share of them spent waiting for data, and the most memory."""
    stages = {}
    for log in sorted((out / "stages").glob("*/log.jsonl")):
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        steps = [line for line in lines if "tokens" in line]
        settled = steps[SETTLED:] or steps
        took = [sum(line["phases"].values()) for line in settled]
        stages[log.parent.name] = {
            "tokens_per_s": sum(line["tokens"] for line in settled) / sum(took),
            "step_ms_p50": 1000 * median(took),
            "data_share": sum(line["phases"]["data"] for line in settled) / sum(took),
            "memory_bytes": max(line["memory_bytes"] for line in steps),
        }
    return {"stages": stages}


def _markdown(results: dict[str, Any]) -> str:
    lines = [
        "# One distillation on the processor and on a GPU",
        "",
        f"Measured {results['created']} by `{results['command']}` with PyTorch {results['torch']}; GPU: "
        f"{results['gpu'] or 'none'}. The MobileBERT recipe, {results['steps']} steps in each stage, the same rows "
        f"in the same order. The first {SETTLED} steps of a stage do not count for its speed. The gain is over the "
        "processor's student, in points, with its paired 95 % interval. When it began, the machine's load was "
        f"{results['load']:.1f} on {os.cpu_count()} cores: above 1 the processor's seconds are those of shared cores, "
        "and say little.",
        "",
        "| where | stage | tokens/s | of the processor's | step p50, ms | waits for data | memory, MB | s in all "
        "| score | gain |",
        "|---" * 10 + "|",
    ]
    first = results["rows"]["processor"]["stages"]
    for name, row in results["rows"].items():
        if row["status"] != "run":
            lines.append(f"| {name} | not_run: {row['reason']} |" + " |" * 8)
            continue
        for stage, own in row["stages"].items():
            times = own["tokens_per_s"] / first[stage]["tokens_per_s"]
            lines.append(
                f"| {name} | {stage} | {own['tokens_per_s']:,.0f} | {times:.1f} | {own['step_ms_p50']:.1f} | "
                f"{100 * own['data_share']:.1f} % | {own['memory_bytes'] / 1e6:,.0f} | {row['seconds']:.0f} | "
                f"{row['score']:.4f} | {told(row['gain'])} |"
            )
    return "\n".join([*lines, "", footnote(results["environment"]), ""])


if __name__ == "__main__":
    main()
