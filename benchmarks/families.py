"""Encoders of the published shapes, without distillation, on every target: do they export, and answer as in PyTorch?

    python benchmarks/families.py --out runs/families [--family bert-base ...] [--target onnx ...]

Random weights: what is tried is the export of each architecture at its real size, not what it knows. All read the
built-in WordPiece vocabulary, also those that were published with another tokenizer. Numbers beside PyTorch's are the
gate's. Families that are tried are added to docs/results/families.md and .json.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from compare import RESULTS, about, footnote, kept

import edgedistill
from edgedistill import resources
from edgedistill.artifacts import read_manifest
from edgedistill.errors import EdgeDistillError
from edgedistill.gate.numeric import NAME as NUMBERS

SHOWN = ("relative", "cosine", "adversarial_relative")
BERT = {"vocab_size": 30522}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-base": ("BertConfig", BERT),
    "distilbert-base": ("DistilBertConfig", BERT),
    "mobilebert": ("MobileBertConfig", BERT),
    "roberta-base": ("RobertaConfig", {**BERT, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "albert-base": (
        "AlbertConfig", {**BERT, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    ),
    "electra-small": (
        "ElectraConfig",
        {**BERT, "embedding_size": 128, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
    ),
}  # fmt: skip
TARGETS = ("onnx", "tflite")


def main() -> None:
    """Export, ask the gate, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/families"))
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--target", action="append", help="onnx and tflite unless given; may be repeated")
    parser.add_argument("--length", type=int, default=128)
    options = parser.parse_args()
    for family in options.family or FAMILIES:
        checkpoint = options.out / family
        parameters = _write(checkpoint, *FAMILIES[family])
        for target in options.target or TARGETS:
            row = _tried(checkpoint, target, options.out / f"{family}-{target}", options.length)
            found = {**about(), "family": family, "target": target, "parameters": parameters, **row}
            rows = kept("families", f"{family} {target}", found)
            (RESULTS / "families.md").write_text(_markdown(rows), encoding="utf-8")
        shutil.rmtree(checkpoint)


def _write(folder: Path, config: str, settings: dict[str, Any]) -> int:
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(getattr(transformers, config)(**settings))
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(resources.checkpoint(resources.EMBEDDED)).save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters())


def _tried(checkpoint: Path, target: str, out: Path, length: int) -> dict[str, Any]:
    """Seconds, bytes, and how far the runtime's numbers are from PyTorch's; or why there is no artifact."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.process_time()
    fixed = [f"max_length={length}", *([] if target == "onnx" else [f"lengths=[{length}]"])]
    try:
        edgedistill.export(checkpoint, target=target, scheme="fp32", out=out, settings=fixed)
    except EdgeDistillError as error:
        return {"status": "refused", "reason": str(error)}
    seconds = time.process_time() - started
    rung = next(rung for rung in edgedistill.check(out).rungs if rung.name == NUMBERS)
    size = read_manifest(out).model_size_bytes
    shutil.rmtree(out)
    return {
        "status": rung.status, "reason": rung.reason, "processor_s": seconds, "bytes": size,
        "measures": {one.name: {"value": one.value, "limit": one.limit} for one in rung.measures if one.name in SHOWN},
    }  # fmt: skip


def _markdown(rows: dict[str, Any]) -> str:
    lines = [
        "# Encoders of the published shapes",
        "",
        "Random weights, fp32, 128 tokens, by `benchmarks/families.py`: whether each exports, and whether the "
        "runtime's numbers are PyTorch's by the gate's rung for that, with what it measured. Seconds are of the "
        "processor.",
        "",
        "| family | parameters | target | numbers | measured | MB | processor s | date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        measured = "; ".join(f"{name} {one['value']:.2g}" for name, one in row.get("measures", {}).items())
        told = measured or row["reason"].replace("|", "/")
        size, seconds = (f"{row['bytes'] / 1e6:.1f}", f"{row['processor_s']:.0f}") if "bytes" in row else ("", "")
        lines.append(
            f"| {row['family']} | {row['parameters']:,} | {row['target']} | {row['status']} | {told} | {size} | "
            f"{seconds} | {row['created'][:10]} |"
        )
    last = next(reversed(rows.values()))
    return "\n".join([*lines, "", f"`{last['command']}`", "", footnote(last["environment"]), ""])


if __name__ == "__main__":
    main()
