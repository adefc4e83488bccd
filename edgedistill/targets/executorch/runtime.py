"""ExecuTorch artifacts in ExecuTorch's own runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime, Verification
from numpy.typing import NDArray

from edgedistill.artifacts import Graph, Manifest, Tensor, resolve_inside
from edgedistill.drivers import run_by_driver
from edgedistill.errors import ArtifactError, DataError
from edgedistill.progress import hushed
from edgedistill.runner import Arrays, Call, Runner

_MAGIC = (b"ET12", b"ET13")
"""What bytes 4 to 8 of a program say; the runtime ends the process on some files that say something else."""
_TYPES = {3: "int32", 4: "int64", 5: "float16", 6: "float32"}
"""What files call a type (c10's numbers), and NumPy."""


class Program:
    """A .pte file in the runtime."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            ArtifactError: it is missing, no such file, or damaged.
        """
        self.path = path
        if not path.is_file():
            raise ArtifactError(
                f"'{path.parent}' has no file '{path.name}', which its manifest names. Export it again."
            )
        with path.open("rb") as file:
            if file.read(8)[4:] not in _MAGIC:
                raise ArtifactError(f"'{path}' is no ExecuTorch program. Export it again.")
        try:
            with hushed():
                self._program = Runtime.get().load_program(path, verification=Verification.InternalConsistency)
        except RuntimeError as error:
            raise self._refusal(error) from error

    def method(self, name: str) -> Any:
        """A method, ready to run.

        Raises:
            ArtifactError: there is none, or it cannot be made ready.
        """
        try:
            with hushed():
                return self._program.load_method(name)
        except (RuntimeError, KeyError) as error:
            raise self._refusal(error) from error

    def tensors(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What goes into a method and what comes out, under the given names: the file knows places only.

        Where the length is free, the longest is what it says.
        """
        meta = self.method(name).metadata
        ins = (meta.input_tensor_meta(place) for place in range(meta.num_inputs()))
        outs = (meta.output_tensor_meta(place) for place in range(meta.num_outputs()))
        return _named(inputs, ins), _named(outputs, outs)

    def _refusal(self, error: Exception) -> ArtifactError:
        reason = (str(error).strip().splitlines() or ["no reason"])[0]
        return ArtifactError(f"ExecuTorch refuses '{self.path}': {reason}. Export it again.")


def runner(folder: Path, manifest: Manifest, threads: int = 1) -> Runner:
    """Load an artifact; see the target's `runner`. The number of threads is the process's."""
    use_threads(threads)
    programs: dict[str, Program] = {}

    def open_graph(graph: Graph) -> Call:
        if graph.file not in programs:
            programs[graph.file] = Program(resolve_inside(folder, graph.file))
        return call_of(programs[graph.file], graph)

    return run_by_driver(manifest, open_graph)


def use_threads(threads: int) -> None:
    """How many threads every program of this process uses from now on."""
    with hushed():
        portable_lib._unsafe_reset_threadpool(threads)


def _named(names: Sequence[str], tensors: Any) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name=name, dtype=_TYPES[int(tensor.dtype())], shape=tuple(int(size) for size in tensor.sizes()))
        for name, tensor in zip(names, tensors, strict=True)
    )


def call_of(program: Program, graph: Graph) -> Call:
    """One method as a function of named arrays."""
    method = program.method(graph.signature or graph.name)
    types = [(tensor.name, np.dtype(tensor.dtype)) for tensor in graph.inputs]
    names = [tensor.name for tensor in graph.outputs]

    def call(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        feed = [torch.from_numpy(np.ascontiguousarray(inputs[name], dtype=kind)) for name, kind in types]
        try:
            answers = method.execute(feed)
        except RuntimeError as error:
            raise DataError(f"ExecuTorch refuses a text of {feed[0].shape[1]} tokens: {error}.") from error
        # Outputs live in the method's own memory, which the next call overwrites.
        return {name: value.numpy().copy() for name, value in zip(names, answers, strict=True)}

    return call
