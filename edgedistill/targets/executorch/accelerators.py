"""What ExecuTorch's Vulkan and Qualcomm back ends take: Vulkan's own partitioner, Qualcomm's list of operators.

Qualcomm's partitioner asks its SDK node by node, which does not come with the wheel; the operators that its builders
name do. Sizes and types are therefore not looked at there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner
from executorch.exir import EdgeCompileConfig, to_edge

from edgedistill.artifacts import Delegation

_BUILDERS = "executorch.backends.qualcomm.builders"
_WORTH_IT = 0.75
_AS_BACK_ENDS_WANT_IT = EdgeCompileConfig(_check_ir_validity=False, preserve_ops=[torch.ops.aten.linear.default])
"""Both have linears as one operator, and are asked before those are taken apart."""


def delegations(program: torch.export.ExportedProgram) -> tuple[Delegation, ...]:
    """Both back ends on one method, as it is before anything is delegated."""
    edge = to_edge(program, compile_config=_AS_BACK_ENDS_WANT_IT).exported_program()
    tagged = VulkanPartitioner().partition(edge).tagged_exported_program
    nodes = list(_nodes(tagged))
    tool = f"executorch {version('executorch')}"
    vulkan = [(node, node.meta.get("delegation_tag")) for node in nodes]
    known = _qualcomm_operators()
    qualcomm = [(node, "one" if _operator(node) in known else None) for node in nodes]
    return (
        _delegation("Vulkan", vulkan, f"{tool}, its partitioner"),
        _delegation("Qualcomm", qualcomm, f"{tool}, operators that its builders name; its SDK is not asked"),
    )


def _nodes(program: Any) -> Iterator[Any]:
    """The operators; what unpacks results and asks for sizes is none."""
    for node in program.graph_module.graph.nodes:
        if node.op == "call_function" and hasattr(node.target, "name") and "sym_" not in node.target.name():
            yield node


def _operator(node: Any) -> str:
    """Such as aten.add.Tensor."""
    return str(node.target.name()).replace("::", ".") if "." in node.target.name() else _default(node)


def _default(node: Any) -> str:
    return f"{str(node.target.name()).replace('::', '.')}.default"


@cache
def _qualcomm_operators() -> frozenset[str]:
    """What the `target` lists of the builders hold, read without importing them: they ask for the SDK."""
    spec = find_spec(_BUILDERS)
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    found: set[str] = set()
    for path in (path for folder in folders for path in folder.glob("op_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "target" for name in node.targets):
                found |= {str(item.value) for item in ast.walk(node.value) if isinstance(item, ast.Constant)}
    return frozenset(found)


def _delegation(name: str, nodes: list[tuple[Any, str | None]], source: str) -> Delegation:
    """Pieces are the partitioner's; where it has one tag for all, runs of nodes in the order of execution."""
    left = [node for node, tag in nodes if tag is None]
    tags = {tag for _, tag in nodes if tag is not None}
    pieces = (
        len(tags) if len(tags) > 1 else sum(is_taken for is_taken, _ in groupby(tag is not None for _, tag in nodes))
    )
    share = 1 - len(left) / max(1, len(nodes))
    return Delegation(
        accelerator=name,
        nodes=len(nodes),
        delegated=len(nodes) - len(left),
        partitions=pieces,
        unsupported=tuple(sorted({_operator(node) for node in left})),
        left=tuple(f"{_operator(node)} '{node.name}'" for node in left),
        advice="yes" if share > _WORTH_IT and pieces == 1 else "maybe" if share > _WORTH_IT and pieces == 2 else "no",
        source=source,
    )
