"""Tiny models for the native runner: cascades and every kind of answer in ONNX put together by hand, LiteRT."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedistill import reports
from edgedistill.artifacts import (
    GOLDENS,
    MANIFEST,
    Buckets,
    Cascade,
    Graph,
    Manifest,
    Single,
    State,
    Tensor,
    file_entry,
    read_manifest,
)
from edgedistill.graphs import Exit
from edgedistill.runner import Runner
from tests.made import write_artifact

VOCABULARY, HIDDEN, CLASSES = 16, 4, 2
NAMES = ("input_ids", "attention_mask", "token_type_ids")
SPAN = ("start_logits", "end_logits")
CARRY = State(output="last_hidden_state", input="hidden_state")


def texts(sizes: tuple[int, ...] = (3, 5, 8)) -> list[dict[str, Any]]:
    """Texts of several lengths, (1, tokens) each, without padding."""
    random = np.random.default_rng(0)
    ids = [random.integers(1, VOCABULARY, size=(1, size)) for size in sizes]
    return [{NAMES[0]: one, NAMES[1]: np.ones_like(one), NAMES[2]: np.zeros_like(one)} for one in ids]


def write_cascade(folder: Path, threshold: float) -> Manifest:
    """Two segments of free length in ONNX; the second one is sure of itself."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(1)

    def constant(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    def value(name: str, kind: int, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    mask = value("attention_mask", TensorProto.INT64, "batch", "sequence")
    hidden = value(CARRY.output, TensorProto.FLOAT, "batch", "sequence", HIDDEN)
    logits = value("logits", TensorProto.FLOAT, "batch", CLASSES)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    last = numpy_helper.from_array(np.array([2]), "last")
    ending = [
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["column"]),
        helper.make_node("Mul", [CARRY.output, "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "classifier"], ["logits"]),
    ]
    first = helper.make_graph(
        [helper.make_node("Gather", ["words", "input_ids"], [CARRY.output]), *ending],
        "first", [value("input_ids", TensorProto.INT64, "batch", "sequence"), mask], [logits, hidden],
        [constant("words", VOCABULARY, HIDDEN), constant("classifier", HIDDEN, CLASSES), axes, last],
    )  # fmt: skip
    second = helper.make_graph(
        [helper.make_node("MatMul", [CARRY.input, "layer"], [CARRY.output]), *ending],
        "second", [value(CARRY.input, TensorProto.FLOAT, "batch", "sequence", HIDDEN), mask], [logits],
        [constant("layer", HIDDEN, HIDDEN), constant("classifier", HIDDEN, CLASSES), axes, last],
    )  # fmt: skip
    write_artifact(folder)
    for graph in (first, second):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        save(model, folder / f"{graph.name}.onnx")
    free = ("batch", "sequence")
    ids, own = (Tensor(name=name, dtype="int64", shape=free) for name in NAMES[:2])
    carried = Tensor(name=CARRY.input, dtype="float32", shape=(*free, HIDDEN))
    answer = Tensor(name="logits", dtype="float32", shape=("batch", CLASSES))
    return read_manifest(folder).model_copy(
        update={
            "graphs": (
                Graph(name="first", file="first.onnx", inputs=(ids, own), outputs=(answer,)),
                Graph(name="second", file="second.onnx", inputs=(carried, own), outputs=(answer,)),
            ),
            "driver": Cascade(
                exits=(Exit(graphs=("first",), threshold=threshold), Exit(graphs=("second",), threshold=0.0)),
                carry=CARRY,
            ),
        }
    )


def write_buckets(folder: Path, lengths: tuple[int, ...] = (4, 8)) -> Manifest:
    """Two signatures of one LiteRT file, one for each length, that answer per token and per text."""
    import litert_torch
    import torch

    class Toy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(VOCABULARY, HIDDEN)
            self.classifier = torch.nn.Linear(HIDDEN, CLASSES)

        def forward(self, input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            hidden = self.words(input_ids) * attention_mask.unsqueeze(-1).to(torch.float32)
            return {"logits": self.classifier(hidden.sum(dim=1)), "last_hidden_state": hidden}

    write_artifact(folder)
    converter = litert_torch
    toy = Toy().eval()
    graphs = []
    for length in lengths:
        example = {name: torch.ones(1, length, dtype=torch.int32) for name in NAMES[:2]}
        add: Callable[..., Any] = converter.signature
        converter = add(f"length_{length}", toy, sample_kwargs=example)
        inputs = tuple(Tensor(name=name, dtype="int32", shape=(1, length)) for name in NAMES[:2])
        outputs = (
            Tensor(name="logits", dtype="float32", shape=(1, CLASSES)),
            Tensor(name="last_hidden_state", dtype="float32", shape=(1, length, HIDDEN)),
        )
        graph = {"name": f"length_{length}", "signature": f"length_{length}", "length": length, "file": "model.tflite"}
        graphs.append(Graph.model_validate({**graph, "inputs": inputs, "outputs": outputs}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own, of the packages it uses
        edge = converter.convert()
    edge.export(str(folder / "model.tflite"))
    names = tuple(graph.name for graph in graphs)
    return read_manifest(folder).model_copy(
        update={"target": "tflite", "graphs": tuple(graphs), "driver": Buckets(graphs=names)}
    )


def write_goldens(folder: Path, run: Runner, name: str = GOLDENS, outputs: str = "") -> None:
    """What the artifact answers to `texts`, as goldens of exactly that; of one head's output where it is named."""
    lines = []
    for one in texts():
        found = {
            output: [float(value) for value in np.ravel(array)]
            for output, array in run(one).items()
            if output.startswith(outputs)
        }
        ids = [int(token) for token in one[NAMES[0]][0]]
        golden = {"text": "t", "input_ids": ids, "token_type_ids": [0] * len(ids), "student": found, "artifact": found}
        lines.append(json.dumps(golden | {"tolerance": dict.fromkeys(found, 1e-5)}))
    (folder / name).write_text("\n".join(lines))


def write_sealed(folder: Path, manifest: Manifest) -> None:
    """The manifest, listing every file that lies there now."""
    roles = {".onnx": "model", ".tflite": "model", ".bin": "model", ".txt": "labels"}
    entries = []
    for path in sorted(path for path in folder.iterdir() if path.name != MANIFEST):
        lines = "golden" if path.name.startswith("golden") else "reference"
        role = lines if path.suffix == ".jsonl" else roles.get(path.suffix, "tokenizer")
        entries.append(file_entry(folder, path, role))
    reports.save(manifest.model_copy(update={"files": tuple(entries)}), folder / MANIFEST)


def write_words(folder: Path, answers: Sequence[str], lengths: Sequence[int] = (), **changes: Any) -> Manifest:
    """An ONNX model that answers under the names given, each in its shape; of fixed lengths it shares one weights.bin.

    Args:
        folder: the artifact.
        answers: `logits_...` (1, C), `logits` (1, S, C), `start_logits` and `end_logits` (1, S), `last_hidden_state`.
        lengths: fixed ones; any length where there are none.
        **changes: of the manifest: its driver and task.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(2)
    weights = {"words": random.normal(size=(VOCABULARY, HIDDEN)), "kinds": random.normal(size=(2, HIDDEN))}
    for name in answers:
        weights[f"{name}.w"] = random.normal(size=(HIDDEN, 1 if name in SPAN else CLASSES))
    write_artifact(folder)
    graphs = []
    for length in lengths or (None,):
        size: Any = length or "sequence"
        shapes = {name: _shape(name, size) for name in answers}
        nodes = [
            helper.make_node("Gather", ["words", NAMES[0]], ["looked_up"]),
            helper.make_node("Gather", ["kinds", NAMES[2]], ["of_kind"]),
            helper.make_node("Add", ["looked_up", "of_kind"], ["summed"]),
            helper.make_node("Cast", [NAMES[1]], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["real", "last"], ["column"]),
            helper.make_node("Mul", ["summed", "column"], ["hidden"]),
            helper.make_node("ReduceSum", ["hidden", "axes"], ["pooled"], keepdims=0),
            *(node for name in answers for node in _answer(name, helper)),
        ]
        constants = [numpy_helper.from_array(np.array([place]), name) for name, place in (("axes", 1), ("last", 2))]
        constants += [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, (1, size)) for name in NAMES]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        model = helper.make_model(
            helper.make_graph(nodes, "main", inputs, outputs, constants),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        )  # fmt: skip
        file = f"model-{length}.onnx" if length else "model.onnx"
        (folder / "weights.bin").unlink(missing_ok=True)
        save(model, folder / file, save_as_external_data=bool(length), location="weights.bin", size_threshold=100)
        tensors = tuple(Tensor(name=name, dtype="int64", shape=(1, size)) for name in NAMES)
        given = tuple(Tensor(name=name, dtype="float32", shape=shape) for name, shape in shapes.items())
        graphs.append(Graph(name=f"main_{size}", file=file, length=length, inputs=tensors, outputs=given))
    if lengths:
        (folder / "model.onnx").unlink()
    driver = Buckets(graphs=tuple(graph.name for graph in graphs)) if lengths else Single(graph=graphs[0].name)
    return read_manifest(folder).model_copy(update={"graphs": tuple(graphs), "driver": driver, **changes})


def _shape(name: str, size: Any) -> tuple[Any, ...]:
    if name == "last_hidden_state":
        return (1, size, HIDDEN)
    if name in SPAN:
        return (1, size)
    return (1, size, CLASSES) if name == "logits" else (1, CLASSES)


def _answer(name: str, helper: Any) -> list[Any]:
    """Nodes that end in an output of that name."""
    if name == "last_hidden_state":
        return [helper.make_node("Identity", ["hidden"], [name])]
    if name in SPAN:
        scores = helper.make_node("MatMul", ["hidden", f"{name}.w"], [f"{name}.wide"])
        return [scores, helper.make_node("Squeeze", [f"{name}.wide", "last"], [name])]
    return [helper.make_node("MatMul", ["hidden" if name == "logits" else "pooled", f"{name}.w"], [name])]
