"""What GPU delegates take of a LiteRT file, by the lists of operators in their sources.

The wheel's own analyser is not asked: it calls every file compatible, GATHER_ND and WHERE included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from ai_edge_litert.tools import flatbuffer_utils

from edgedistill.artifacts import Delegation

_FLOATS = {"FLOAT16", "FLOAT32"}
_INTEGERS = {"BOOL", "INT8", "UINT8", "INT16", "INT32", "INT4"}
_WORTH_IT = 0.75
"""Share of nodes from which one or two pieces are worth a try: ONNX Runtime's checker has the same."""


def delegations(path: Path) -> tuple[Delegation, ...]:
    """Every list against every graph of a file.

    Pieces are runs of nodes in the order of execution; a delegate that reorders independent nodes may make fewer.
    """
    model = flatbuffer_utils.read_model(path)
    names = {entry.subgraphIndex: entry.signatureKey.decode() for entry in model.signatureDefs or ()}
    several = len(model.subgraphs) > 1
    return tuple(
        _delegation(
            f"{each['accelerator']}, {names.get(place, place)}" if several else each["accelerator"], each, nodes
        )
        for place, graph in enumerate(model.subgraphs)
        if (nodes := list(_nodes(model, graph)))
        for each in _lists()
    )


@cache
def _lists() -> Any:
    return json.loads(files(__package__).joinpath("gpu_operators.json").read_text(encoding="utf-8"))


def _nodes(model: Any, graph: Any) -> Iterator[tuple[str, int, str, frozenset[str]]]:
    """Operator, version, name, and the types of what it computes or reads computed, of every node."""
    stored = {place for place, tensor in enumerate(graph.tensors) if _is_stored(model, tensor)}
    for op in graph.operators:
        places = [place for place in (*op.inputs, *op.outputs) if place >= 0 and place not in stored]
        types = frozenset(flatbuffer_utils.type_to_name(graph.tensors[place].type) for place in places)
        name = graph.tensors[op.outputs[0]].name.decode("utf-8", "replace").partition(";")[0].rpartition("/")[2]
        code = model.operatorCodes[op.opcodeIndex]
        yield flatbuffer_utils.opcode_to_name(model, op.opcodeIndex) or "unknown", code.version, name, types


def _is_stored(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _delegation(name: str, known: Any, nodes: list[tuple[str, int, str, frozenset[str]]]) -> Delegation:
    newest, allowed = known["operators"], _FLOATS | (_INTEGERS if known["takes_integers"] else set())
    taken = [
        op in newest and version <= (newest[op] or version) and types <= allowed for op, version, _, types in nodes
    ]
    left = [(op, place) for (op, _, place, _), is_taken in zip(nodes, taken, strict=True) if not is_taken]
    pieces = sum(is_taken for is_taken, _ in groupby(taken))
    return Delegation(
        accelerator=name,
        nodes=len(nodes),
        delegated=sum(taken),
        partitions=pieces,
        unsupported=tuple(sorted({op for op, _ in left})),
        left=tuple(f"{op} '{place}'" for op, place in left),
        advice=_advice(sum(taken) / len(nodes), pieces),
        source=known["source"],
    )


def _advice(share: float, pieces: int) -> Any:
    if share <= _WORTH_IT or pieces > 2:
        return "no"
    return "yes" if pieces == 1 else "maybe"
