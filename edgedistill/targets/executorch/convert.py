"""From an export view to one ExecuTorch program: a method for any length, or one per fixed length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.devtools.backend_debug import get_delegation_info
from executorch.exir import to_edge_transform_and_lower

from edgedistill.artifacts import Delegation, Graph, Quantization, Tensor
from edgedistill.errors import ExportError
from edgedistill.models.views.pieces import Piece, View, graph_name
from edgedistill.progress import hushed
from edgedistill.quant.executorch_weights import DYNAMIC, NOT_WEIGHTS, quantized
from edgedistill.quant.schemes import SEARCHED
from edgedistill.quant.search import NEEDED, Kept, search
from edgedistill.runner import is_per_token
from edgedistill.searches import SearchReport
from edgedistill.targets import Exported, refuse_too_long
from edgedistill.targets.executorch import accelerators, auto
from edgedistill.targets.executorch.runtime import Program

if TYPE_CHECKING:
    from edgedistill.quant.calibration import Calibration
    from edgedistill.quant.search import Judge
    from edgedistill.targets.executorch import Config

SHORTEST = 4
"""Fewest tokens of a method of any length: sizes below are singular for the exporter (a trigram's, say)."""


def export(view: View, cfg: Config, folder: Path, calibration: Calibration | None, judge: Judge | None) -> Exported:
    """Write the program; see the target's `export`."""
    refuse_too_long(view, cfg)
    _refuse_unfit(view, cfg)
    path, kept, report = folder / "model.pte", Kept(), None
    if cfg.scheme in SEARCHED:
        assert calibration is not None
        assert judge is not None
        kept, report = _searched(view, cfg, folder / auto.TRIAL, calibration, judge)
    with _converting():
        programs = _programs(view, cfg, kept)
        delegations = accelerators.delegations(next(reversed(programs.values())))
        delegations = (*_write(programs, path), *delegations)
    graphs = _graphs(path, view, cfg)
    driver = view.driver([tuple(graph.name for graph in own) for own in graphs], is_fixed=bool(cfg.lengths))
    return Exported((path,), tuple(chain(*graphs)), driver, _quantization(cfg, kept, report), delegations=delegations)


def _refuse_unfit(view: View, cfg: Config) -> None:
    """Say before the conversion what cannot be.

    Raises:
        ExportError: a model that writes or a recurrent one, or a search on a model of several graphs.
    """
    if view.kind == "generation":
        raise ExportError("encoder-decoders cannot be exported to ExecuTorch yet. Use --target onnx.")
    if view.max_unrolled is not None:
        raise ExportError(
            "ExecuTorch's delegate has no LSTM, which would run step by step in slow portable operators. Use --target "
            "onnx, where it is one operator."
        )
    if cfg.scheme in SEARCHED and len(view.pieces) > 1:
        raise ExportError(
            f"scheme '{cfg.scheme}' searches one graph; this model has {len(view.pieces)}. Choose another scheme, or "
            "of early exits --set exits=false."
        )


def _searched(
    view: View, cfg: Config, trial: Path, calibration: Calibration, judge: Judge
) -> tuple[Kept, SearchReport]:
    def write(kept: Kept) -> list[Graph]:
        with _converting():
            _write(_programs(view, cfg, kept), trial)
        return _graphs(trial, view, cfg)[0]

    return search(auto.Trials(view.pieces[0], trial, write, cfg.base), calibration, judge)


@contextmanager
def _converting() -> Iterator[None]:
    """Say now and then that it is being done, and what went wrong.

    Raises:
        ExportError: an operator ExecuTorch does not know.
    """
    try:
        with hushed("converting to ExecuTorch"):
            yield
    except OSError:
        raise
    except Exception as error:  # the converter's errors share no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"ExecuTorch refused the model: {reason}") from error


def _write(programs: dict[str, Any], path: Path) -> tuple[Delegation, ...]:
    """Write all methods as one program, and say what XNNPACK takes of each."""
    lowered = to_edge_transform_and_lower(programs, partitioner=[XnnpackPartitioner()])
    # Before it is written, which changes the graphs in place.
    delegations = tuple(_delegation(lowered, name) for name in sorted(lowered.methods))
    with path.open("wb") as file:
        lowered.to_executorch().write_to_file(file)
    return delegations


def _quantization(cfg: Config, kept: Kept, report: SearchReport | None) -> Quantization | None:
    if cfg.scheme == "fp32":
        return None
    tool = f"torchao {version('torchao')}, executorch {version('executorch')}"
    left = NOT_WEIGHTS | dict.fromkeys(sorted(kept), NEEDED)
    return Quantization(scheme=cfg.scheme, tool=tool, kept_float=left, search=report)


def _lengths(cfg: Config) -> tuple[int | None, ...]:
    return cfg.lengths or (None,)


def _programs(view: View, cfg: Config, kept: Kept) -> dict[str, Any]:
    """All methods, the longest last; lowered together, their weights are stored once."""
    programs = {}
    for piece in view.pieces:
        for length in _lengths(cfg):
            example = tuple(piece.example_inputs(1, length or cfg.max_length // 2, "int64").values())
            free = (
                None if length else [{1: torch.export.Dim("length", min=SHORTEST, max=cfg.max_length)} for _ in example]
            )
            with torch.no_grad():
                one = quantized(piece, example, free, kept) if cfg.of_weights == DYNAMIC else piece
                programs[graph_name(piece.name, length)] = torch.export.export(one, example, dynamic_shapes=free)
    return programs


def _delegation(lowered: Any, method: str) -> Delegation:
    """What XNNPACK takes; sizes that are looked up and results that are unpacked are no operators."""
    module = lowered.exported_program(method).graph_module
    info = get_delegation_info(module)
    calls = [node.target for node in module.graph.nodes if node.op == "call_function"]
    left = Counter(target.name() for target in calls if hasattr(target, "name") and "sym_" not in target.name())
    taken = int(info.num_delegated_nodes)
    return Delegation(
        accelerator=f"XNNPACK, {method}",
        nodes=taken + left.total(),
        delegated=taken,
        partitions=int(info.num_delegated_subgraphs),
        unsupported=tuple(f"{name} ({count})" for name, count in left.most_common()),
        advice="yes" if taken else "no",
        source=f"executorch {version('executorch')}, its partitioner",
    )


def _graphs(path: Path, view: View, cfg: Config) -> list[list[Graph]]:
    """What the file itself says of its methods, those of each piece together."""
    program = Program(path)
    return [[_graph(program, piece, length) for length in _lengths(cfg)] for piece in view.pieces]


def _graph(program: Program, piece: Piece, length: int | None) -> Graph:
    name = graph_name(piece.name, length)
    inputs, outputs = program.tensors(name, piece.input_names, piece.output_names)
    if length is None:
        inputs = tuple(map(_of_any_length, inputs))
        outputs = tuple(
            _of_any_length(o) if is_per_token(o.name, np.empty(tuple(map(int, o.shape)))) else o for o in outputs
        )
    return Graph(
        name=name, file=program.path.name, signature=name, length=length, shortest=1 if length else SHORTEST,
        inputs=inputs, outputs=outputs,
    )  # fmt: skip


def _of_any_length(tensor: Tensor) -> Tensor:
    """The file says how long it may be; batch and what follows the length are fixed."""
    return tensor.model_copy(update={"shape": (1, "length", *tensor.shape[2:])})
