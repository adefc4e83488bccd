"""Writing what a benchmark elsewhere is asked, beside the bytes it needs, and reading back what it answered."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill import files
from edgedistill.artifacts import Buckets, Cascade, Graph, Heads, Manifest, Single, resolve_inside
from edgedistill.config import build
from edgedistill.errors import ArtifactError, ConfigError, DataError
from edgedistill.phones.printable import printable
from edgedistill.phones.protocol import Array, InputSet, RunRequest, RunResult, Runtime, RuntimeBuild, Where

REQUEST, RESULT, INPUTS, OUTPUTS = "request.json", "result.json", "inputs.bin", "outputs.bin"
"""Names within the request's folder."""
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Plan:
    """How long, where and with what a request is to be run; the fields are those of `RunRequest`."""

    source: Where
    library: str | None
    runtime_build: RuntimeBuild = "glibc-wheel"
    threads: int = 1
    cores: tuple[int, ...] = ()
    warm_up_runs: int = 0
    warm_up_seconds: float = 0.0
    min_runs: int = 0
    min_seconds: float = 0.0
    max_seconds: float = 600.0
    sensor_seconds: float = 0.0
    dumps: bool = True
    """Whether the outputs are wanted too."""
    marks: bool = False


@dataclass(frozen=True)
class Models:
    """Where the model files of a request lie on the other machine, by their name within the artifact."""

    places: Mapping[str, str] = field(default_factory=dict)
    """Below the request's folder; a file that is not named here is copied beside the request, with its weights."""


def write_request(
    folder: Path,
    artifact: Path,
    manifest: Manifest,
    inputs: Sequence[Arrays],
    plan: Plan,
    models: Models | None = None,
    name: str | None = None,
) -> RunRequest:
    """Write request.json, the inputs' bytes and the model files into a folder.

    Args:
        folder: to fill; made where it is not there.
        artifact: whose model is run.
        manifest: its manifest.
        inputs: one text each, `input_ids` and the like, (1, tokens) integer, without padding.
        plan: how.
        models: model files that are there already.
        name: that the result repeats; the artifact's when not given.

    Raises:
        ArtifactError: a runtime or a driver that the runner does not have, or a file outside the artifact.
    """
    places = dict(models.places if models else {})
    graphs = tuple(
        graph.model_copy(update={"file": places.get(graph.file, Path(graph.file).name)}) for graph in manifest.graphs
    )
    copied = dict.fromkeys(graph.file for graph in manifest.graphs if graph.file not in places)
    for file in (*copied, *(weight_files(manifest) if copied else ())):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resolve_inside(artifact, file), folder / Path(file).name)
    request = RunRequest(
        id=name or artifact.resolve().name,
        runtime=runtime_of(manifest),
        graphs=graphs,
        driver=_driver_of(manifest),
        inputs=_write_inputs(folder / INPUTS, inputs, _dtypes(manifest.graphs)),
        outputs=OUTPUTS if plan.dumps else None,
        **{name: value for name, value in vars(plan).items() if name != "dumps"},
    )
    files.write_json(folder / REQUEST, request.model_dump(mode="json"))
    return request


def weight_files(manifest: Manifest) -> tuple[str, ...]:
    """Model files that are no graph themselves: weights that a graph looks for beside it, by their own name."""
    graphs = {graph.file for graph in manifest.graphs}
    return tuple(file.path for file in manifest.files if file.role == "model" and file.path not in graphs)


def runtime_of(manifest: Manifest) -> Runtime:
    """The runtime of an artifact, where the runner has it.

    Raises:
        ArtifactError: it has not.
    """
    if manifest.target == "onnx":
        return "onnx"
    if manifest.target == "tflite":
        return "tflite"
    raise ArtifactError(
        f"the runner runs onnx and tflite artifacts, not '{manifest.target}'. Export with --target onnx or tflite."
    )


def _driver_of(manifest: Manifest) -> Single | Buckets | Cascade | Heads:
    if isinstance(manifest.driver, Single | Buckets | Cascade | Heads):
        return manifest.driver
    raise ArtifactError(f"the runner does not run a '{manifest.driver.kind}' artifact yet: it answers single texts.")


def _dtypes(graphs: Sequence[Graph]) -> dict[str, str]:
    return {tensor.name: tensor.dtype for graph in graphs for tensor in graph.inputs}


def _write_inputs(path: Path, inputs: Sequence[Arrays], dtypes: Mapping[str, str]) -> tuple[InputSet, ...]:
    """All inputs in one file, each as its graph takes it; names that no graph takes are left out."""
    sets: list[InputSet] = []
    with files.atomic_file(path) as part, part.open("wb") as target:
        for one in inputs:
            arrays = []
            for name in (name for name in one if name in dtypes):
                array = np.ascontiguousarray(one[name], dtype=np.dtype(dtypes[name]).newbyteorder("<"))
                place = {"file": INPUTS, "offset": target.tell()}
                arrays.append(
                    Array.model_validate({"name": name, "dtype": dtypes[name], "shape": array.shape, **place})
                )
                target.write(array.tobytes())
            sets.append(InputSet(arrays=tuple(arrays)))
    return tuple(sets)


def read_result(folder: Path, name: str = RESULT) -> RunResult:
    """What was answered.

    Raises:
        DataError: no result, not a result, or one that says it failed.
    """
    path = folder / name
    try:
        result = build(RunResult, json.loads(path.read_text(encoding="utf-8")), str(path))
    except FileNotFoundError as error:
        raise DataError(f"the runner left no '{path}'. Its last words on stderr say why.") from error
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise DataError(f"'{path}' is no readable result: {error}") from error
    if result.status == "failed":
        raise DataError(f"the runner could not run '{result.id}': {printable(result.error)}")
    return result


def read_outputs(folder: Path, result: RunResult) -> list[dict[str, NDArray[np.generic]]]:
    """Every input set's outputs by name, in the order of the request's inputs.

    Raises:
        DataError: a file is missing or too short.
    """
    found: dict[int, dict[str, NDArray[np.generic]]] = {}
    contents: dict[str, bytes] = {}
    for output in result.outputs:
        try:
            if output.file not in contents:
                contents[output.file] = (folder / output.file).read_bytes()
            dtype = np.dtype(output.dtype).newbyteorder("<")
            count = math.prod(output.shape)  # exact: what a phone says may be larger than any array
            array = np.frombuffer(contents[output.file], dtype, count, output.offset).reshape(output.shape)
        except (OSError, ValueError, OverflowError) as error:
            raise DataError(f"the runner's outputs in '{folder / output.file}' cannot be read: {error}.") from error
        found.setdefault(output.input, {})[output.name] = array
    return [found[number] for number in sorted(found)]
