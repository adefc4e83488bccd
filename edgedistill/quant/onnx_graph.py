"""Editing ONNX graphs: the few operations that the weight schemes are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
CONTRIB = "com.microsoft"
"""Domain of the operators that ONNX Runtime has beside the standard's."""


class GraphEditor:
    """A graph whose nodes are read in order and written again, some of them replaced.

    Attributes:
        model: the model that is edited in place by `finish`.
        nodes: the nodes written so far.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._used = {name for node in model.graph.node for name in (*node.input, *node.output, node.name)}
        self._shared: dict[tuple[str, ...], str] = {}

    def constant(self, name: str) -> Array | None:
        """The value of an initializer; None where `name` is computed."""
        tensor = self._initializers.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def fresh(self, wish: str) -> str:
        """A name nobody has yet, like `wish`."""
        name, number = wish, 1
        while name in self._used or name in self._initializers:
            name, number = f"{wish}_{number}", number + 1
        self._used.add(name)
        return name

    def add_constant(self, wish: str, value: Array) -> str:
        """Store an initializer and return its name."""
        name = self.fresh(wish)
        self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, wish: str, value: Any) -> str:
        """Store a scalar once, whoever asks for it."""
        key = ("scalar", wish)
        if key not in self._shared:
            self._shared[key] = self.add_constant(wish, np.asarray(value))
        return self._shared[key]

    def add(self, op: str, inputs: Iterable[str], output: str | None = None, **attributes: Any) -> str:
        """Append a node and return the name of its (first) output."""
        name = output or self.fresh(f"{op.lower()}_out")
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=self.fresh(f"{op}_node"), **attributes))
        return name

    def shared(self, key: tuple[str, ...]) -> str | None:
        """What `share` stored under `key`, so that work on one tensor is done once for all its readers."""
        return self._shared.get(key)

    def share(self, key: tuple[str, ...], name: str) -> str:
        """Remember that `name` holds the result that `key` describes."""
        self._shared[key] = name
        return name

    def finish(self) -> onnx.ModelProto:
        """Put nodes and the initializers still in use back into the model."""
        graph = self.model.graph
        used = {name for node in self.nodes for name in node.input} | {output.name for output in graph.output}
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.initializer[:]
        graph.initializer.extend(tensor for name, tensor in self._initializers.items() if name in used)
        del graph.value_info[:]
        is_declared = any(opset.domain == CONTRIB for opset in self.model.opset_import)
        if not is_declared and any(node.domain == CONTRIB for node in self.nodes):
            self.model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
        return self.model


def gemm_as_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write plain `Gemm` nodes with constant weights as `MatMul` + `Add`, so that one rule covers every linear."""
    editor = GraphEditor(model)
    for node in model.graph.node:
        weight = editor.constant(node.input[1]) if node.op_type == "Gemm" else None
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        is_plain = attributes.get("alpha", 1.0) == 1.0 == attributes.get("beta", 1.0) and not attributes.get(
            "transA", 0
        )
        if weight is None or not is_plain:
            editor.nodes.append(node)
            continue
        table = editor.add_constant(node.input[1], weight.T if attributes.get("transB", 0) else weight)
        has_bias = len(node.input) > 2
        product = editor.add("MatMul", [node.input[0], table], None if has_bias else node.output[0])
        if has_bias:
            editor.add("Add", [product, node.input[2]], node.output[0])
    return editor.finish()
