"""Tiny models for the native runner: a cascade in ONNX put together by hand, two lengths in LiteRT."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgedistill.artifacts import Buckets, Cascade, Graph, Manifest, State, Tensor, read_manifest
from edgedistill.graphs import Exit
from tests.made import write_artifact

VOCABULARY, HIDDEN, CLASSES = 16, 4, 2
NAMES = ("input_ids", "attention_mask", "token_type_ids")
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
