"""What ONNX Runtime's fused operators gain on this processor, one by one, on a BERT or a MobileBERT.

    python benchmarks/onnx_fusion.py minilm runs/sst2/student --out runs/fusion [--texts paragraphs.txt.gz]

Every checkpoint is exported plain, then with one thing fused at a time; the files of one checkpoint are measured in
turns in one run, and their answers compared. Writes docs/results/fusion.md and fusion.json.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from compare import RESULTS, about, footnote
from onnx import helper
from onnx_timing import answer, inputs_of, processor, relative_error, session, texts_from, timed

from edgedistill import files, plugins, resources
from edgedistill.models import loading, views
from edgedistill.models.views import bert, mobilebert
from edgedistill.quant.onnx_graph import CONTRIB, GraphEditor
from edgedistill.quant.onnx_weights import apply_scheme

LENGTH = 128
FUSED = ("MultiHeadAttention", "SkipLayerNormalization", "BiasGelu", "MatMulIntegerToFloat", "Split")
Model = onnx.ModelProto


def main() -> None:
    """Export, fuse, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("runs/fusion"))
    parser.add_argument("--texts", type=Path, help="a file of paragraphs, one a line; .txt or .txt.gz")
    parser.add_argument("--runs", type=int, default=100, help="inferences of each file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [row for given in options.checkpoints for row in _measured(given, options)]
    results = {
        **about(), "seed": options.seed, "length": LENGTH, "threads": 1,
        "processor": processor(), "rows": rows,
    }  # fmt: skip
    files.write_json(RESULTS / "fusion.json", results)
    files.write_text(RESULTS / "fusion.md", _markdown(results))


def _measured(given: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    place = Path(resources.checkpoint(given))
    checkpoint = loading.load(place)
    plain = _exported(checkpoint.model, options.out)
    whole = apply_scheme(_copy(plain), "int8_dynamic").model
    models = {
        "plain": plain,
        "attention": _exported(checkpoint.model, options.out, _fused_attention),
        "norms and GELU": _by_onnxruntime(plain, checkpoint.model.config),
        "products of one input as one": _merged(_copy(plain)),
        "int8": whole,
        "int8, products unfused": _unfused(_copy(whole)),
    }
    inputs = inputs_of(place, texts_from(options.texts, 8, options.seed), LENGTH)
    sessions = {name: session(model.SerializeToString()) for name, model in models.items()}
    answers = {name: [answer(each, one) for one in inputs] for name, each in sessions.items()}
    calls = {name: lambda one, each=each: answer(each, one) for name, each in sessions.items()}
    times = timed(calls, inputs, options.runs, options.seed)
    family = f"{checkpoint.model.config.model_type}, {checkpoint.model.num_parameters():,} parameters"
    return [
        {
            "checkpoint": family,
            "form": name,
            "difference": relative_error(answers[name], answers["int8" if "int8" in name else "plain"], inputs),
            "fused": {op: count for op, count in Counter(n.op_type for n in model.graph.node).items() if op in FUSED},
            **times[name],
        }
        for name, model in models.items()
    ]


def _exported(model: Any, out: Path, attend: Callable[..., Any] | None = None) -> Model:
    """The fp32 file, with another attention where one is given."""
    out.mkdir(parents=True, exist_ok=True)
    before = bert.attend
    bert.attend = mobilebert.attend = attend or before
    try:
        target = plugins.load("targets", "onnx")
        written = target.export(views.view_of(model), target.Config(max_length=LENGTH), out)
        return onnx.load(written.model_files[0])
    finally:
        bert.attend = mobilebert.attend = before


def _fused_attention(query: Any, key: Any, value: Any, bias: Any, num_heads: int) -> Any:
    mask = (bias[:, 0, 0, :] == 0).to(torch.int32)
    return torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention", (query, key, value, None, mask), {"num_heads": num_heads},
        dtype=torch.float32, shape=query.shape, version=1,
    )  # fmt: skip


def _by_onnxruntime(model: Model, config: Any) -> Model:
    """ONNX Runtime's own offline optimiser, its attention left out: it finds none in a view."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_by_fusion

    wanted = FusionOptions("bert")
    wanted.enable_attention = False
    width = getattr(config, "true_hidden_size", config.hidden_size)
    fused: Model = optimize_by_fusion(_copy(model), "bert", config.num_attention_heads, width, wanted).model
    return fused


def _merged(model: Model) -> Model:
    """One product and a `Split` instead of several products that read the same."""
    editor, readers = GraphEditor(model), {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and editor.constant(node.input[1]) is not None:
            readers.setdefault(node.input[0], []).append(node)
    groups = {name: nodes for name, nodes in readers.items() if len(nodes) > 1}
    for node in list(model.graph.node):
        group = groups.get(node.input[0], []) if node.op_type == "MatMul" else []
        if node not in group:
            editor.nodes.append(node)
        elif node is group[0] or node == group[0]:
            weights = [editor.constant(each.input[1]) for each in group]
            product = editor.add("MatMul", [node.input[0], editor.add_constant("merged", np.concatenate(weights, 1))])
            sizes = editor.add_constant("sizes", np.array([weight.shape[1] for weight in weights], np.int64))
            names = [each.output[0] for each in group]
            editor.nodes.append(helper.make_node("Split", [product, sizes], names, axis=-1))
    return editor.finish()


def _unfused(model: Model) -> Model:
    """`MatMulInteger`, `Cast` and `Mul` instead of `MatMulIntegerToFloat`."""
    editor = GraphEditor(model)
    for node in list(model.graph.node):
        if node.domain != CONTRIB:
            editor.nodes.append(node)
            continue
        left, right, _, scale, left_zero, right_zero = node.input
        wide = editor.add("Cast", [editor.add("MatMulInteger", [left, right, left_zero, right_zero])], to=1)
        editor.add("Mul", [wide, scale], node.output[0])
    return editor.finish()


def _copy(model: Model) -> Model:
    copy = Model()
    copy.CopyFrom(model)
    return copy


def _markdown(results: dict[str, Any]) -> str:
    has = ", ".join(name for name, there in results["processor"].items() if there)
    lines = [
        "# What fused operators gain in ONNX Runtime",
        "",
        f"Measured {results['created']} by `{results['command']}`: length {results['length']}, one thread, processor "
        f"time, the files of a checkpoint in turns in one run. Integer products here: {has}. Shares are of the plain "
        "file, or of int8 for the int8 rows; difference: relative, to the same.",
        "",
        "| checkpoint | form | fused nodes | p50 ms | p90 ms | share | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    base: dict[str, float] = {}
    for row in results["rows"]:
        base.update({row["form"]: row["p50_ms"]} if row["form"] in {"plain", "int8"} else {})
        of = base["int8" if "int8" in row["form"] else "plain"]
        fused = ", ".join(f"{count} {name}" for name, count in row["fused"].items()) or "none"
        lines.append(
            f"| {row['checkpoint']} | {row['form']} | {fused} | {row['p50_ms']:.2f} | {row['p90_ms']:.2f} | "
            f"{row['p50_ms'] / of:.3f} | {row['difference']:.1g} |"
        )
    return "\n".join([*lines, "", footnote(results["environment"]), ""])


if __name__ == "__main__":
    main()
