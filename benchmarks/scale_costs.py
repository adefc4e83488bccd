"""What a billion tokens cost by model: measured speed of a few batches here, and the hours worked out from it.

    python benchmarks/scale_costs.py [--device cuda] [--price-per-hour 2.50] [--model bert-base ...] [--seconds 20]

Two things are measured for every model, with random weights of its published shape: answering (a teacher that labels)
and learning (a student's step: forward, backward, AdamW). On a processor one thread is used and its own CPU seconds are
counted, so that other work on the machine does not; on a GPU the clock is. Everything else is worked out by the
formulas that the page shows. Writes docs/results/scale.json and scale.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from edgedistill import files
from edgedistill.artifacts import environment, now
from edgedistill.losses.soft_targets import soft_targets
from edgedistill.training.optimizer import computes_bf16

RESULTS = Path(__file__).parent.parent / "docs" / "results"
LENGTH, LEAST_STEPS, BILLION = 128, 2, 1_000_000_000
SHAPES: dict[str, tuple[str, dict[str, int]]] = {
    "tinybert-4": (
        "bert",
        {"hidden_size": 312, "num_hidden_layers": 4, "num_attention_heads": 12, "intermediate_size": 1200},
    ),
    "mobilebert": ("mobilebert", {}),
    "distilbert": ("distilbert", {}),
    "minilm-l6": (
        "bert",
        {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
    "bert-base": ("bert", {}),
    "bert-large": (
        "bert",
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ),
}


def main() -> None:
    """Measure, work out, write."""
    options = argparse.ArgumentParser()
    options.add_argument("--device", default="cpu")
    options.add_argument("--price-per-hour", type=float, help="of one such core or GPU, in your currency")
    options.add_argument("--model", action="append", choices=list(SHAPES))
    options.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options.add_argument("--batch", type=int, help="rows; by default 8 on a processor, 256 on a GPU")
    given = options.parse_args()
    torch.set_num_threads(1)
    device = torch.device(given.device)
    batch, found = given.batch or (256 if device.type == "cuda" else 8), {}
    about = {
        "command": shlex.join(["python", "benchmarks/scale_costs.py", *sys.argv[1:]]),
        "created": now(),
        "environment": environment().model_dump(mode="json"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "one thread of the processor",
        "precision": "bf16 autocast" if computes_bf16(device) else "fp32",
        "length": LENGTH,
        "batch": batch,
        "price_per_hour": given.price_per_hour,
        "models": found,
    }
    for name in given.model or SHAPES:
        found[name] = _measured(name, device, batch, given.seconds)
        print(name, found[name], file=sys.stderr)
        files.write_json(RESULTS / "scale.json", about)
        files.write_text(RESULTS / "scale.md", _page(about))


def _measured(name: str, device: torch.device, batch: int, seconds: float) -> dict[str, Any]:
    family, shape = SHAPES[name]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=30522, **shape)
    model = AutoModelForSequenceClassification.from_config(config).to(device)
    ids = torch.randint(1000, 30000, (batch, LENGTH), device=device)
    answering = _speed(lambda: _answer(model, ids), ids.numel(), device, seconds)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    learning = _speed(lambda: _learn(model.train(), optimizer, ids), ids.numel(), device, seconds)
    return {
        "parameters": model.num_parameters(),
        "answering_tokens_per_s": round(answering, 1),
        "learning_tokens_per_s": round(learning, 1),
    }


def _answer(model: PreTrainedModel, ids: torch.Tensor) -> None:
    model.eval()
    with torch.inference_mode(), _autocast(ids.device):
        model(ids)


def _learn(model: PreTrainedModel, optimizer: torch.optim.Optimizer, ids: torch.Tensor) -> None:
    with _autocast(ids.device):
        logits = model(ids).logits.float()
    soft_targets(logits, torch.zeros_like(logits), 2.0).backward()
    optimizer.step()
    optimizer.zero_grad()


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_bf16(device))


def _speed(work: Callable[[], None], tokens: int, device: torch.device, seconds: float) -> float:
    """Tokens a second of CPU time, or of the clock where a GPU does the work."""
    wait, clock = (lambda: None), time.process_time
    if device.type == "cuda":
        wait, clock = (lambda: torch.cuda.synchronize(device)), time.perf_counter
    work()
    wait()
    began, steps = clock(), 0
    while steps < LEAST_STEPS or clock() - began < seconds:
        work()
        wait()
        steps += 1
    return steps * tokens / (clock() - began)


def _page(about: dict[str, Any]) -> str:
    unit = "core" if about["device"].startswith("one thread") else "GPU"
    price = about["price_per_hour"]
    columns = [
        "model",
        "parameters",
        "answers, tokens/s (measured)",
        "learns, tokens/s (measured)",
        f"to label 1B tokens, {unit}-hours (computed)",
        f"to learn 1B tokens, {unit}-hours (computed)",
        *([f"label, at {price:g} an hour (computed)", f"learn, at {price:g} an hour (computed)"] if price else []),
    ]
    lines = [
        "# What a billion tokens cost, by model",
        "",
        f"Measured {about['created'][:10]} on {about['environment']['cpu']}, {about['device']}, {about['precision']}, "
        f"batches of {about['batch']} rows of {about['length']} tokens, by `{about['command']}`. Random weights of the "
        "published shapes: speed only.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
    ]
    for name, found in about["models"].items():
        speeds = found["answering_tokens_per_s"], found["learning_tokens_per_s"]
        hours = [BILLION / speed / 3600 for speed in speeds]
        numbers = [f"{found['parameters'] / 1e6:.1f} M", *(f"{speed:,.0f}" for speed in speeds)]
        numbers += [f"{hour:,.0f}" if hour >= 10 else f"{hour:.2g}" for hour in hours]
        numbers += [f"{hour * price:,.0f}" for hour in hours] if price else []
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    lines += [
        "",
        f"Computed: hours = 10^9 tokens / tokens per second / 3600, on one {unit}; price = hours x price of an hour. "
        "For a run of E epochs over T billion tokens on N of them that are used fully:",
        "",
        "- teacher asked once, its answers kept: T x (label + E x learn) / N hours;",
        "- teacher asked in every step: T x E x (label + learn) / N hours.",
        "",
        f"Learning counts one update of all parameters for every {about['batch'] * about['length']:,} tokens; larger "
        "batches update less often. Left out: padding (`report` says its share), reading text, the losses on hidden "
        "states and attentions, and what processes wait for each other (`report` says what `exchange` took).",
        "",
        f"Environment: `{json.dumps(about['environment'])}`",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
