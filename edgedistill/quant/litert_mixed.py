"""LiteRT files of which some weights stay in float: ai-edge-quantizer's recipes, an operator at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager

from edgedistill.progress import hushed
from edgedistill.quant.litert_weights import DYNAMIC, read, share_scales, share_weights
from edgedistill.quant.schemes import LEAST_NUMBERS
from edgedistill.quant.search import Kept

_WEIGHT = {"FULLY_CONNECTED": 1, "EMBEDDING_LOOKUP": 1}
"""Operators with a stored matrix, and its place among their inputs."""
_FLOAT32 = 0
"""`TensorType`."""
_BITS = 8


class MixedFile:
    """A float file, with some of its weights in a scheme and others as they are.

    A weight that several operators read, those of other lengths among them, is one: kept for all or for none.

    Attributes:
        numbers: how many numbers each weight has, by the path of its module.
    """

    def __init__(self, content: bytes, base: str, names: Mapping[int, str] | None = None) -> None:
        """Read a file.

        Args:
            content: of the float file.
            base: scheme of what is not left in float.
            names: the weights' names by the number of their buffer; not given: their modules' paths.
        """
        with hushed():
            self._tool = quantizer.Quantizer(bytearray(content))
            model = read(content)
        self._content, self._base = content, base
        weights = _weights(model)
        self._names = names or _names(weights)
        self._outputs = {self._names[place]: outputs for place, (_, _, outputs) in weights.items()}
        self.numbers = {self._names[place]: size for place, (_, size, _) in weights.items()}

    def of_one_length(self, signature: str) -> MixedFile:
        """The file with one of its signatures, where each is a graph by itself; otherwise the whole file."""
        with hushed():
            model = read(self._content)
            if len(model.subgraphs) != len(model.signatureDefs):
                return self
            (one,) = (one for one in model.signatureDefs if one.signatureKey.decode() == signature)
            model.subgraphs, model.signatureDefs = [model.subgraphs[one.subgraphIndex]], [one]
            one.subgraphIndex = 0
            content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        return MixedFile(content, self._base, self._names)

    def quantized(self, kept: Kept) -> bytes:
        """The file with some weights left in float, as the quantizer writes it: what is float is there once a length.

        Raises:
            KeyError: a weight that it does not have.
        """
        manager = recipe_manager.RecipeManager()
        add = manager.add_dynamic_config if self._base == DYNAMIC else manager.add_weight_only_config
        add(regex=".*", operation_name=qtyping.TFLOperationName.ALL_SUPPORTED, num_bits=_BITS)
        outputs = [re.escape(output) for name in sorted(kept) for output in self._outputs[name]]
        if outputs:
            manager.add_quantization_config(
                regex=f"^(?:{'|'.join(outputs)});",
                operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
                algorithm_key=recipe.AlgorithmName.NO_QUANTIZE,
            )
        with hushed():
            self._tool.load_quantization_recipe(manager.get_quantization_recipe())
            return bytes(self._tool.quantize(enable_progress_report=False).quantized_model)

    def write(self, kept: Kept, path: Path) -> int:
        """The same as a file whose lengths share their weights; its size in bytes."""
        with hushed():
            model = read(self.quantized(kept))
            share_weights(model)
            share_scales(model)
            flatbuffer_utils.write_model(model, str(path))
        return path.stat().st_size


def _weights(model: Any) -> dict[int, tuple[str, int, tuple[str, ...]]]:
    """Every weight worth making integers of, by its buffer: a name, how many numbers, outputs of what reads it."""
    found: dict[int, tuple[str, int, tuple[str, ...]]] = {}
    for weight, output in _products(model):
        place, path, size = int(weight.buffer), weight.name.decode(), int(weight.shape[0]) * int(weight.shape[1])
        if size >= LEAST_NUMBERS:
            name, _, outputs = found.get(place, (readable(path if "/" in path else output), size, ()))
            found[place] = name, size, (*outputs, output)
    return found


def _names(weights: Mapping[int, tuple[str, int, tuple[str, ...]]]) -> dict[int, str]:
    """A name of its own for every weight."""
    seen: Counter[str] = Counter()
    found = {}
    for place, (name, _, _) in weights.items():
        seen[name] += 1
        found[place] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return found


def _products(model: Any) -> Iterator[tuple[Any, str]]:
    """Each stored float matrix that an operator reads, and the name of the operator's output."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            position = _WEIGHT.get(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex))
            weight = None if position is None else graph.tensors[operator.inputs[position]]
            if weight is None or weight.type != _FLOAT32 or len(weight.shape) != 2:
                continue
            if model.buffers[weight.buffer].data is not None:
                yield weight, graph.tensors[operator.outputs[0]].name.decode()


def readable(path: str) -> str:
    """A module's place in the model, as PyTorch names it, from what the converter calls its tensors.

    Args:
        path: `package.Class_attribute` for every module from the outermost, with slashes between; several such paths
            with two semicolons between where the converter has merged operators: the longest is the weight's own.
    """
    longest = max(path.split(";;"), key=lambda one: one.count("/"))
    modules = longest.split(";")[0].split("/")[1:]
    names = [module.rpartition(".")[2].partition("_")[2] or module for module in modules]
    return ".".join(names).removeprefix("piece.")
