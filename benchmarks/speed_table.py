"""The MobileBERT paper's latency table again, on this machine: BERT-base, MobileBERT in four forms, MobileBERT-tiny.

    python benchmarks/speed_table.py --out runs/speed

Random weights of the published shapes, converted by `edgedistill export` to LiteRT fp32 at length 128 and timed in
turns in one run, with 4 threads (as in the paper) and with 1. Writes `docs/results/speed.md` and `speed.json`. The
published times are of a Pixel 4's processor; what can be compared are the ratios within each column.

Reference: Sun et al., 2020 (MobileBERT), tables 2 and 8.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, MobileBertConfig

import edgedistill
from edgedistill import files, resources
from edgedistill.artifacts import MANIFEST, environment, now, read_manifest
from edgedistill.reports import BenchReport

RESULTS = Path(__file__).parent.parent / "docs" / "results"
LENGTH = 128
TINY = {"num_feedforward_networks": 2, "use_bottleneck_attention": True, "key_query_shared_bottleneck": False}
SHAPES: dict[str, tuple[dict[str, Any] | None, float]] = {
    "BERT-base": (None, 342),
    "MobileBERT, LayerNorm, gelu": ({"normalization_type": "layer_norm", "hidden_act": "gelu"}, 192),
    "MobileBERT, LayerNorm, relu": ({"normalization_type": "layer_norm", "hidden_act": "relu"}, 167),
    "MobileBERT, NoNorm, gelu": ({"normalization_type": "no_norm", "hidden_act": "gelu"}, 92),
    "MobileBERT, NoNorm, relu": ({"normalization_type": "no_norm", "hidden_act": "relu"}, 62),
    "MobileBERT-tiny": (TINY, 40),
}
"""Each form's difference from transformers' defaults (none: a BERT), and its published milliseconds on a Pixel 4."""


def main() -> None:
    """Convert, measure and write."""
    options = _options()
    artifacts = {name: _artifact(name, differs, options.out) for name, (differs, _) in SHAPES.items()}
    bench = edgedistill.bench(
        list(artifacts.values()), mode=options.mode, threads=options.threads, lengths=(LENGTH,), reference=False,
        out=options.out / "bench.json",
    )  # fmt: skip
    rows = [_row(name, published, artifacts[name], bench) for name, (_, published) in SHAPES.items()]
    results = {
        "created": now(), "command": f"python benchmarks/speed_table.py --mode {options.mode}", "length": LENGTH,
        "environment": environment().model_dump(mode="json"), "notes": list(bench.notes), "rows": rows,
    }  # fmt: skip
    files.write_json(RESULTS / "speed.json", results)
    files.write_text(RESULTS / "speed.md", _markdown(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/speed"))
    parser.add_argument("--mode", default="rapid", choices=["submission", "quick", "rapid"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4])
    return parser.parse_args()


def _artifact(name: str, differs: dict[str, Any] | None, out: Path) -> Path:
    """Convert a model of random weights, none of them 0: a bias of 0 would be left out of the graph."""
    slug = name.replace(", ", "-").lower()
    checkpoint, artifact = out / "models" / slug, out / slug
    if (artifact / MANIFEST).is_file():
        return artifact
    config = BertConfig() if differs is None else MobileBertConfig(**differs)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(checkpoint)
    AutoTokenizer.from_pretrained(resources.checkpoint(resources.EMBEDDED)).save_pretrained(checkpoint)
    lengths = [f"max_length={LENGTH}", f"lengths=[{LENGTH}]"]
    return edgedistill.export(checkpoint, target="tflite", scheme="fp32", out=artifact, settings=lengths)


def _row(name: str, published: float, artifact: Path, bench: BenchReport) -> dict[str, Any]:
    manifest = read_manifest(artifact)
    times = {row.threads: row for row in bench.rows if row.artifact == artifact.name}
    return {
        "model": name,
        "parameters": manifest.source.parameters,
        "bytes": manifest.model_size_bytes,
        "published_pixel4_ms": published,
        "p50_ms": {threads: row.latency.p50_ms for threads, row in times.items()},
        "p90_ms": {threads: row.latency.p90_ms for threads, row in times.items()},
        "validity": {threads: row.validity for threads, row in times.items()},
    }


def _markdown(results: dict[str, Any]) -> str:
    rows, device = results["rows"], results["environment"]
    threads = list(rows[0]["p90_ms"])
    lines = [
        "# The MobileBERT paper's latency table again",
        "",
        f"Measured {results['created']} by `{results['command']}`: LiteRT fp32, length {results['length']}, random "
        "weights of the published shapes, all rows in turns in one run; 90th percentile. Published: a Pixel 4's "
        "processor, 4 threads, LiteRT of 2020 (Sun et al., 2020). The shares are of BERT-base in the same column. "
        "Parameters are those of the models measured, pooler and classifier included.",
        "",
        "| model | parameters | published ms | share | "
        + " | ".join(f"p90 ms, {count} thread{'s' if count > 1 else ''} | share" for count in threads)
        + " |",
        "|---" * (4 + 2 * len(threads)) + "|",
    ]
    for row in rows:
        cells = [
            f"{row['published_pixel4_ms']:.0f}",
            f"{row['published_pixel4_ms'] / rows[0]['published_pixel4_ms']:.2f}",
        ]
        for count in threads:
            cells += [f"{row['p90_ms'][count]:.1f}", f"{row['p90_ms'][count] / rows[0]['p90_ms'][count]:.2f}"]
        lines.append(f"| {row['model']} | {row['parameters']:,} | {' | '.join(cells)} |")
    lines += ["", *(f"- {note}" for note in results["notes"])]
    return "\n".join([*lines, "", f"Environment: `{json.dumps(device)}`", ""])


if __name__ == "__main__":
    main()
