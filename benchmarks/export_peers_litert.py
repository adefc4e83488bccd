"""MiniLM-L6 in LiteRT: this project's files beside the stock conversion and the stock quantizer's recipes.

    python benchmarks/export_peers_litert.py --out runs/peers_litert [--texts paragraphs.txt.gz]

The peer is litert-torch on transformers' own forward, and ai-edge-quantizer's recipes on what it makes. All files are
measured in turns in one run, beside the matrix products alone. Writes docs/results/export_litert.md and .json. The
error is that of the last hidden state on real tokens against PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from compare import RESULTS, footnote
from export_peers import LENGTH, Call, measured, peer_options
from numpy.typing import NDArray
from onnx_timing import Arrays

import edgedistill
from edgedistill import files, resources
from edgedistill.artifacts import MANIFEST
from edgedistill.targets.tflite.runtime import interpreter

OURS = ("fp32", "int8_dynamic")
DYNAMIC, WEIGHT_ONLY = "dynamic_wi8_afp32", "weight_only_wi8_afp32"
PLAIN, ON_OURS = "stock fp32", "edgedistill fp32, then stock dynamic_wi8_afp32"
STOCK = {DYNAMIC: f"stock {DYNAMIC}", WEIGHT_ONLY: f"stock {WEIGHT_ONLY}"}
INTEGER = {"edgedistill int8_dynamic", STOCK[DYNAMIC], ON_OURS}


def main() -> None:
    """Convert, measure and write."""
    options = peer_options(__doc__, "runs/peers_litert").parse_args()
    source = Path(resources.checkpoint(resources.EMBEDDED))
    ours = _ours(source, options.out / "ours")
    models = {**_peers(source, ours[f"edgedistill {OURS[0]}"], options.out / "stock"), **ours}
    results = measured(options, source, models, _opened, ("float32", "uint8 x int8"))
    files.write_json(RESULTS / "export_litert.json", results)
    files.write_text(RESULTS / "export_litert.md", _markdown(results))


def _peers(checkpoint: Path, ours: Path, out: Path) -> dict[str, Path]:
    """The stock files, and the stock recipe on our float file, made where they are not there."""
    from ai_edge_quantizer import quantizer, recipe

    out.mkdir(parents=True, exist_ok=True)
    plain = out / "fp32.tflite"
    if not plain.is_file():
        _stock_conversion(checkpoint, plain)
    made = {PLAIN: plain}
    pairs = [(plain, name, shown) for name, shown in STOCK.items()]
    for source, name, shown in [*pairs, (ours, DYNAMIC, ON_OURS)]:
        path = out / f"{shown.replace(' ', '-')}.tflite"
        if not path.is_file():
            quantizer.Quantizer(str(source), getattr(recipe, name)()).quantize().export_model(str(path))
        made[shown] = path
    return made


def _stock_conversion(source: Path, path: Path) -> None:
    import litert_torch
    import torch
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(source).eval()
    model.config.return_dict = False
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = {name: torch.randint(2, (1, LENGTH)) for name in names}  # one tensor given twice is taken for one input
    converter: Any = litert_torch
    converter.convert(model, sample_kwargs=example).export(str(path))


def _ours(source: Path, out: Path) -> dict[str, Path]:
    made = {}
    for scheme in OURS:
        folder = out / scheme
        if not (folder / MANIFEST).is_file():
            edgedistill.export(source, target="tflite", scheme=scheme, out=folder, settings=[f"lengths=[{LENGTH}]"])
        made[f"edgedistill {scheme}"] = folder / "model.tflite"
    return made


def _opened(path: Path) -> Call:
    """The file's one signature as a function from tokens to the last hidden state."""
    model: Any = interpreter(path, threads=1)
    (name,) = model.get_signature_list()
    run = model.get_signature_runner(name)
    types = {key: detail["dtype"] for key, detail in run.get_input_details().items()}

    def call(inputs: Arrays) -> NDArray[Any]:
        answers = run(**{key: np.asarray(inputs[key], dtype) for key, dtype in types.items()})
        return next(value for value in answers.values() if value.ndim == 3)

    return call


def _markdown(results: dict[str, Any]) -> str:
    alone, rows = results["products"], results["rows"]
    times = {row["model"]: row["p50_ms"] for row in rows}
    lines = [
        "# LiteRT files beside the stock tools'",
        "",
        f"Measured {results['created']} by `{results['command']}`: MiniLM-L6, length {results['length']}, one thread, "
        "processor time, all rows in turns in one run; what else ran beside it changes the milliseconds, and the "
        "ratios little. Error: of the last hidden state on real tokens against PyTorch, 16 texts "
        f"({results['texts']}). Products alone: the layers' matrix products in ONNX Runtime.",
        "",
        "| file | p50 ms | p90 ms | share of stock fp32 | share of stock dynamic | share of products alone | bytes | "
        "error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        kind = "uint8 x int8" if row["model"] in INTEGER else "float32"
        shares = (times[PLAIN], times[STOCK[DYNAMIC]], alone[kind]["p50_ms"])
        lines.append(
            f"| {row['model']} | {row['p50_ms']:.1f} | {row['p90_ms']:.1f} | "
            + " | ".join(f"{row['p50_ms'] / share:.2f}" for share in shares)
            + f" | {row['bytes']:,} | {row['relative_error']:.2g} |"
        )
    told = {"environment": results["environment"], "processor": results["processor"], "seed": results["seed"]}
    return "\n".join([*lines, "", footnote(told), ""])


if __name__ == "__main__":
    main()
