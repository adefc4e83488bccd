"""MiniLM-L6 in ONNX Runtime: this project's files beside those of optimum and of ONNX Runtime's own quantizer.

    python benchmarks/export_peers.py --out runs/peers [--texts paragraphs.txt.gz]

Builds the peers' environment itself (optimum-onnx 0.1.0 needs transformers below 4.58), lets the peers export and
quantize the same weights, and measures all files in turns in one run, beside the matrix products alone. Writes
docs/results/export.md and export.json. The error is that of the last hidden state on real tokens against PyTorch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from compare import RESULTS, about, footnote
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_timing import Arrays, answer, inputs_of, processor, relative_error, session, texts_from, timed

import edgedistill
from edgedistill import files, resources
from edgedistill.artifacts import MANIFEST

Call = Callable[[Arrays], NDArray[Any]]
Open = Callable[[Path], Call]
LENGTH, LAYERS = 128, 6
PRODUCTS = ((384, 1152), (384, 384), (384, 1536), (1536, 384))
"""In and out of a layer's matrices, query, key and value as one."""
PACKAGES = ("optimum-onnx[onnxruntime]==0.1.0", "transformers==4.57.6", "torch==2.13.0")
FLAGS = ("avx2", "avx512_vnni")
DYNAMIC = "onnxruntime quantize_dynamic, per channel"
_QUANTIZE = """
import sys
from onnxruntime.quantization import QuantType, quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, weight_type=QuantType.QInt8)
"""


def main() -> None:
    """Convert, measure and write."""
    options = _options()
    source = Path(resources.checkpoint(resources.EMBEDDED))
    python = options.peers_python or _peers_environment(options.out / "environment")
    models = {**_peers(source, python, options.out / "peers"), **_ours(source, options.out / "ours")}
    found = measured(options, source, models, opened, ("float32", "uint8 x uint8", "uint8 x int8"))
    results = {**found, "peers": _versions(python)}
    files.write_json(RESULTS / "export.json", results)
    files.write_text(RESULTS / "export.md", _markdown(results))


def peer_options(about_it: str | None, out: str) -> argparse.ArgumentParser:
    """What both tables of peers are asked with."""
    parser = argparse.ArgumentParser(description=about_it, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--texts", type=Path, help="a file of paragraphs, one a line; .txt or .txt.gz")
    parser.add_argument("--runs", type=int, default=100, help="inferences of each model")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _options() -> argparse.Namespace:
    parser = peer_options(__doc__, "runs/peers")
    parser.add_argument("--peers-python", type=Path, help="interpreter of an environment that has the peers already")
    return parser.parse_args()


def measured(
    options: argparse.Namespace, source: Path, models: Mapping[str, Path], opened: Open, kinds: Sequence[str]
) -> dict[str, Any]:
    """Bytes, error and times of every file, all in turns with the products alone.

    Args:
        options: texts, runs and seed.
        source: the checkpoint that all files were made from.
        models: files by name.
        opened: a file as a function from tokens to the last hidden state.
        kinds: of products.
    """
    inputs = inputs_of(source, texts_from(options.texts, 16, options.seed), LENGTH)
    wanted = pytorch(source, inputs)
    calls = {name: opened(path) for name, path in models.items()}
    errors = {name: relative_error([call(one) for one in inputs], wanted, inputs) for name, call in calls.items()}
    ceilings = {_alone(kind): products(kind, options.seed) for kind in kinds}
    times = timed({**calls, **ceilings}, inputs, options.runs, options.seed)
    rows = [
        {"model": name, "bytes": path.stat().st_size, "relative_error": errors[name], **times[name]}
        for name, path in models.items()
    ]
    return {
        **about(), "seed": options.seed, "length": LENGTH, "threads": 1,
        "texts": options.texts.name if options.texts else "built-in sentences", "processor": processor(),
        "rows": rows, "products": {kind: times[_alone(kind)] for kind in kinds},
    }  # fmt: skip


def _alone(kind: str) -> str:
    return f"products alone, {kind}"


def opened(path: Path) -> Call:
    """An ONNX file as a function from tokens to its first output."""
    model = session(path)
    return lambda inputs: answer(model, inputs)


def _peers_environment(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def _peers(source: Path, python: Path, out: Path) -> dict[str, Path]:
    """The peers' files, made where they are not there."""
    cli, plain = [str(python), "-m", "optimum.commands.optimum_cli"], out / "fp32" / "model.onnx"
    if not plain.is_file():
        subprocess.run(
            [*cli, "export", "onnx", "-m", str(source), "--task", "feature-extraction", str(plain.parent)], check=True
        )
    made = {"optimum fp32": plain}
    for flag in FLAGS:
        path = out / flag / "model_quantized.onnx"
        if not path.is_file():
            words = ["onnxruntime", "quantize", "--onnx_model", str(plain.parent), "-o", str(path.parent), f"--{flag}"]
            subprocess.run([*cli, *words], check=True)
        made[f"optimum quantize --{flag}"] = path
    own = out / "dynamic.onnx"
    if not own.is_file():
        subprocess.run([str(python), "-c", _QUANTIZE, str(plain), str(own)], check=True)
    return {**made, DYNAMIC: own}


def _ours(source: Path, out: Path) -> dict[str, Path]:
    made = {}
    for scheme in ("fp32", "int8_weight", "int8_dynamic"):
        folder = out / scheme
        if not (folder / MANIFEST).is_file():
            edgedistill.export(source, target="onnx", scheme=scheme, out=folder)
        made[f"edgedistill {scheme}"] = folder / "model.onnx"
    return made


def pytorch(source: Path, inputs: Any) -> list[Any]:
    from edgedistill.models.answers import torch_runner
    from edgedistill.models.loading import load

    run = torch_runner(load(source).model)
    return [next(iter(run(each).values())) for each in inputs]


def products(kind: str, seed: int) -> Any:
    """A call of the layers' matrix products and nothing else: what no exporter can be faster than on this runtime."""
    draw, calls = np.random.default_rng(seed), []
    for size, out in PRODUCTS:
        left = draw.integers(0, 256, (1, LENGTH, size)).astype(np.uint8)
        right = draw.integers(0, 256, (size, out)).astype(np.uint8)
        if kind == "float32":
            left, right, name, types = left.astype(np.float32), right.astype(np.float32), "MatMul", (1, 1)
        else:
            right = right if kind.endswith("uint8") else right.view(np.int8)
            name, types = "MatMulInteger", (TensorProto.UINT8, TensorProto.INT32)
        graph = helper.make_graph(
            [helper.make_node(name, ["x", "w"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", types[0], left.shape)],
            [helper.make_tensor_value_info("y", types[1], [1, LENGTH, out])],
            [numpy_helper.from_array(right, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        calls.append((session(model.SerializeToString()), left))
    return lambda _: [model.run(None, {"x": left}) for model, left in calls for _ in range(LAYERS)]


def _versions(python: Path) -> dict[str, str]:
    wanted = ("optimum-onnx", "optimum", "transformers", "onnxruntime", "torch")
    code = f"import json; from importlib.metadata import version as v; print(json.dumps({{n: v(n) for n in {wanted}}}))"
    found: dict[str, str] = json.loads(
        subprocess.run([str(python), "-c", code], check=True, capture_output=True).stdout
    )
    return found


def _products_of(model: str) -> str:
    """Which products a file's own are."""
    if "fp32" in model or "int8_weight" in model:
        return "float32"
    return "uint8 x uint8" if model == f"optimum quantize --{FLAGS[0]}" else "uint8 x int8"


def _markdown(results: dict[str, Any]) -> str:
    products, rows = results["products"], results["rows"]
    best = next(row for row in rows if row["model"] == "optimum quantize --avx512_vnni")
    has = ", ".join(name for name, there in results["processor"].items() if there)
    lines = [
        "# ONNX files beside their peers'",
        "",
        f"Measured {results['created']} by `{results['command']}`: MiniLM-L6, length {results['length']}, one thread, "
        f"processor time, all rows in turns in one run. Integer products here: {has}. Error: of the last hidden state "
        f"on real tokens against PyTorch, 16 texts ({results['texts']}).",
        "",
        "| file | p50 ms | p90 ms | share of optimum --avx512_vnni | share of its products alone | bytes | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        alone = products[_products_of(row["model"])]["p50_ms"]
        lines.append(
            f"| {row['model']} | {row['p50_ms']:.1f} | {row['p90_ms']:.1f} | {row['p50_ms'] / best['p50_ms']:.2f} | "
            f"{row['p50_ms'] / alone:.2f} | {row['bytes']:,} | {row['relative_error']:.2g} |"
        )
    lines += ["", "The layers' matrix products alone, on the same runtime: "]
    lines[-1] += "; ".join(f"{kind} {found['p50_ms']:.1f} ms" for kind, found in products.items()) + "."
    told = {"environment": results["environment"], "peers": results["peers"], "seed": results["seed"]}
    return "\n".join([*lines, "", footnote(told), ""])


if __name__ == "__main__":
    main()
