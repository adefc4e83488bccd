"""A model file as the rules see it: graphs of named operators and tensors, whichever runtime it is for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgedistill.data.encoding import Encoding, load_tokenizer, pad
from edgedistill.data.probes import PLAIN
from edgedistill.errors import ArtifactError, CheckpointError, MissingExtraError
from edgedistill.runner import Arrays

Array = NDArray[Any]
Format = Literal["onnx", "tflite"]
FORMATS: dict[str, Format] = {".onnx": "onnx", ".tflite": "tflite"}
_TEXTS = 8
_LENGTH = 128


@dataclass(frozen=True)
class Value:
    """A tensor.

    Attributes:
        name: unique within its graph.
        dtype: NumPy's name of the type; int4 and the like as the file calls them.
        shape: sizes, a name or -1 where one is free; None where the file does not say.
        scales: quantization scales it is stored with: 0 none, 1 one for all of it.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None
    scales: int = 0

    @property
    def is_float(self) -> bool:
        """Whether it holds real numbers."""
        return self.dtype in {"float16", "float32", "float64", "bfloat16"}


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
        op: its kind, as the format calls it: MatMul, FULLY_CONNECTED.
        name: its own; its first output's where the format names tensors only.
        inputs, outputs: names of tensors; "" where an optional one is left out.
        domain: of ONNX operators; "" for the standard's.
        version: of LiteRT operators.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    version: int = 1


@dataclass(frozen=True)
class Net:
    """One graph of a file.

    Attributes:
        name: of the graph; a signature in LiteRT files.
        nodes: in the order they run.
        values: every tensor that the file describes, by name.
        inputs, outputs: names, in the order of the file.
        constant: the numbers of a stored tensor; None for one that is computed.
    """

    name: str
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: Callable[[str], Array | None]

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The operator that computes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs}

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """The operators that read each tensor."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node)
        return found

    def inputs_of(self, node: Node) -> list[Node]:
        """The operators that compute what a node reads."""
        return [self.producers[name] for name in node.inputs if name in self.producers]

    def outputs_of(self, node: Node) -> list[Node]:
        """The operators that read what a node computes."""
        return [reader for name in node.outputs for reader in self.readers[name]]


@dataclass(frozen=True)
class Model:
    """One file.

    Attributes:
        path: where it is.
        format: onnx or tflite.
        nets: its graphs.
        watched: runs a graph on inputs and gives every float tensor by name; raises ArtifactError where the runtime
            refuses the file.
        opset: ONNX operator set of the standard.
        packed: names of the files packed into it.
        tokenizer: the one beside it; None where there is none.
    """

    path: Path
    format: Format
    nets: tuple[Net, ...]
    watched: Callable[[Net, Arrays], Mapping[str, Array]]
    opset: int | None = None
    packed: tuple[str, ...] = ()
    tokenizer: Tokenizer | None = None

    def texts(self, net: Net) -> list[dict[str, Array]]:
        """Real text as the graph's inputs, one text at a time; empty without a tokenizer, or for no graph of text."""
        roles = roles_of(net)
        if self.tokenizer is None or "input_ids" not in roles.values():
            return []
        length = _length_of(net)
        self.tokenizer.enable_truncation(length or _LENGTH)
        self.tokenizer.no_padding()
        rows = [Encoding(tuple(e.ids), tuple(e.type_ids)) for e in self.tokenizer.encode_batch(list(PLAIN[:_TEXTS]))]
        return [_named(net, pad([row], length)) for row in rows]

    def nothing_but_padding(self, net: Net) -> dict[str, Array] | None:
        """Inputs of one row that is padding throughout; None where the graph has no mask."""
        if "attention_mask" not in roles_of(net).values():
            return None
        row = Encoding((0,) * 8, (0,) * 8)
        arrays = pad([row], _length_of(net))
        return _named(net, arrays | {"attention_mask": np.zeros_like(arrays["attention_mask"])})


def open_model(path: Path) -> Model:
    """Read a file.

    Raises:
        ArtifactError: it is cut short or of no known kind.
        MissingExtraError: the package that reads it is not installed.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ArtifactError(f"'{path}' is of no kind that doctor reads: {', '.join(FORMATS)}.")
    try:
        if kind == "onnx":
            from edgedistill.pipeline.doctor.onnx_model import read
        else:
            from edgedistill.pipeline.doctor.tflite_model import read
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading '{path.name}'", error.name or kind, kind) from error
    return read(path, _tokenizer_beside(path))


def roles_of(net: Net) -> dict[str, str]:
    """What each input of a text model is, by its name; by its place where names do not say (`args_0`)."""
    known = ("input_ids", "attention_mask", "token_type_ids")
    integers = [name for name in net.inputs if net.values[name].dtype in {"int32", "int64"}]
    found = {name: role for name in integers if (role := _role(name))}
    if len(set(found.values())) == len(integers):
        return found
    return dict(zip(integers, known, strict=False)) if len(integers) <= len(known) else {}


def _role(name: str) -> str | None:
    word = name.lower()
    if "mask" in word:
        return "attention_mask"
    if "type" in word or "segment" in word:
        return "token_type_ids"
    return "input_ids" if "ids" in word or "token" in word else None


def _length_of(net: Net) -> int | None:
    """The fixed length of the inputs; None where it is free."""
    shape = net.values[net.inputs[0]].shape or ()
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 0 else None


def _named(net: Net, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: arrays[role].astype(net.values[name].dtype) for name, role in roles_of(net).items()}


def _tokenizer_beside(path: Path) -> Tokenizer | None:
    for folder in (path.parent, path.parent.parent):  # optimum lays model.onnx into a folder of its own
        try:
            return load_tokenizer(folder)
        except CheckpointError:
            continue
    return None
