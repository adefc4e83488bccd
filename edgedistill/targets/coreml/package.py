"""What a Core ML package says of itself, read from its specification without running it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coremltools.proto import MIL_pb2, Model_pb2
from google.protobuf.message import DecodeError

from edgedistill.artifacts import Graph, Manifest, Tensor, resolve_inside
from edgedistill.errors import ArtifactError
from edgedistill.reports import Finding, Measure
from edgedistill.targets import Structure

MAIN = "main"
"""Function of a package that has one."""
_SPECIFICATION = Path("Data/com.apple.CoreML/model.mlmodel")
_WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")
_ARRAYS = {65568: "float32", 65552: "float16", 131104: "int32"}
"""`ArrayFeatureType.ArrayDataType`, and NumPy."""
_STORED = {
    MIL_pb2.FLOAT32: "float32",
    MIL_pb2.FLOAT16: "float16",
    MIL_pb2.INT8: "int8",
    MIL_pb2.UINT8: "uint8",
}
_WANTED = {"fp32": "float32", "fp16": "float16", "int8_weight": "int8"}
"""What a scheme stores its matrices in."""
LEAST_WEIGHTS = 512
"""Numbers up to which a tensor stays in float: biases, norms, a head of two classes."""
_LEAST_SHARE = 0.95
"""Of the numbers in larger matrices. Positions cut to a length are no stored weights any more."""
_LARGEST_FP16 = 65504.0


def specification(package: Path) -> Any:
    """The package's protobuf message.

    Raises:
        ArtifactError: missing, damaged, or no ML program.
    """
    path = package / _SPECIFICATION
    if not path.is_file():
        raise ArtifactError(f"'{package}' has no file '{_SPECIFICATION}'. Export it again.")
    found = Model_pb2.Model()
    try:
        found.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ArtifactError(f"'{path}' is no Core ML specification: {error}. Export it again.") from error
    if found.WhichOneof("Type") != "mlProgram":
        kind = found.WhichOneof("Type")
        raise ArtifactError(f"'{package}' is no ML program but {kind or 'nothing known'}. Export it again.")
    return found


def graphs_of(package: Path) -> dict[str, Graph]:
    """The functions of a package by name, with their inputs and outputs.

    Raises:
        ArtifactError: as `specification`.
    """
    found = specification(package)
    described = {one.name: one for one in found.description.functions} or {MAIN: found.description}
    return {name: _graph(package.name, name, description) for name, description in described.items()}


def structure(folder: Path, manifest: Manifest) -> Structure:
    """The target's `structure`."""
    package = resolve_inside(folder, manifest.graphs[0].file)
    found = specification(package)
    faults = list(_interface_faults(graphs_of(package), manifest))
    constants = [value for name in found.mlProgram.functions for value in _constants(found, name)]
    faults += _constant_faults(constants)
    measures, weight_faults = _weights(constants, package, manifest.scheme)
    operators = sum((_operators(found, name) for name in found.mlProgram.functions), Counter[str]())
    if not operators["linear"] + operators["matmul"] + operators["conv"]:
        faults.append(Finding(name="no_products", message="the program multiplies no matrices. Export it again."))
    return Structure((*measures, _measure("operators", operators.total())), (*faults, *weight_faults))


def _graph(file: str, name: str, description: Any) -> Graph:
    inputs, outputs = (tuple(map(_tensor, values)) for values in (description.input, description.output))
    shortest = min((_shortest(value) for value in description.input), default=1)
    return Graph(name=name, file=file, signature=name, shortest=shortest, inputs=inputs, outputs=outputs)


def _tensor(value: Any) -> Tensor:
    array = value.type.multiArrayType
    shape: tuple[int | str, ...] = tuple(int(size) for size in array.shape)
    ranges = array.shapeRange.sizeRanges
    if ranges:
        shape = tuple(int(one.lowerBound) if one.lowerBound == one.upperBound else "length" for one in ranges)
    return Tensor(name=value.name, dtype=_ARRAYS.get(array.dataType, "unknown"), shape=shape)


def _shortest(value: Any) -> int:
    ranges = value.type.multiArrayType.shapeRange.sizeRanges
    return int(ranges[1].lowerBound) if len(ranges) > 1 else 1


def _interface_faults(found: dict[str, Graph], manifest: Manifest) -> Iterator[Finding]:
    """What goes in and comes out must be what the manifest tells an app."""
    for graph in manifest.graphs:
        own = found.get(graph.signature or MAIN)
        if own is None:
            message = f"the package has no function '{graph.signature}'. It has: {', '.join(found)}."
            yield Finding(name="missing_function", message=message)
            continue
        for what, told, there in (("inputs", graph.inputs, own.inputs), ("outputs", graph.outputs, own.outputs)):
            if not _is_same(told, there):
                message = f"{what} of '{graph.signature}' are {_shown(there)}; the manifest says {_shown(told)}."
                yield Finding(name="other_interface", message=f"{message} Export it again.")


def _is_same(told: tuple[Tensor, ...], there: tuple[Tensor, ...]) -> bool:
    """Whether they agree; a package tells no shape of an output whose length is free."""
    as_told = tuple(
        one if one.shape else one.model_copy(update={"shape": other.shape})
        for one, other in zip(there, told, strict=False)
    )
    return len(told) == len(there) and told == as_told


def _shown(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{one.name} {one.dtype} ({', '.join(map(str, one.shape))})" for one in tensors) or "none"


def _block(found: Any, function: str) -> Any:
    own = found.mlProgram.functions[function]
    return own.block_specializations[own.opset]


def _operators(found: Any, function: str) -> Counter[str]:
    """Operators that compute, by type."""
    kinds = Counter(str(one.type) for one in _block(found, function).operations)
    return Counter({kind: count for kind, count in kinds.items() if kind != "const" and "constexpr" not in kind})


def _constants(found: Any, function: str) -> Iterator[Any]:
    """Every value that is stored in the program or in the file of its weights."""
    for operation in _block(found, function).operations:
        bound = (one.value for input_ in operation.inputs.values() for one in input_.arguments)
        for value in (*operation.attributes.values(), *bound):
            if value.type.WhichOneof("type") == "tensorType":
                yield value


def _constant_faults(constants: list[Any]) -> Iterator[Finding]:
    """Numbers that are none, and masks that a 16-bit float cannot hold: they turn whole rows into NaN."""
    numbers = [number for value in constants for number in _numbers(value)]
    bad = [number for number in numbers if not math.isfinite(number) or abs(number) > _LARGEST_FP16]
    if bad:
        message = f"{len(bad)} constants are beyond what 16 bits hold, first {bad[0]:g}. Export it again."
        yield Finding(name="not_finite", message=message)


def _numbers(value: Any) -> Iterator[float]:
    """The floats of a value that is stored in the program itself; those of 16 bits are bytes there."""
    if value.WhichOneof("value") != "immediateValue":
        return
    tensor = value.immediateValue.tensor
    yield from tensor.floats.values
    if value.type.tensorType.dataType == MIL_pb2.FLOAT16:
        yield from np.frombuffer(tensor.bytes.values, dtype=np.float16).tolist()


def _weights(constants: list[Any], package: Path, scheme: str) -> tuple[list[Measure], list[Finding]]:
    """How many numbers the matrices have, and the share of them stored in the type of the scheme."""
    blobs = {v.blobFileValue.offset: v for v in constants if v.WhichOneof("value") == "blobFileValue"}
    kinds: Counter[str] = Counter()
    for value in blobs.values():
        sizes = [int(axis.constant.size) for axis in value.type.tensorType.dimensions]
        if math.prod(sizes) > LEAST_WEIGHTS and sum(size > 1 for size in sizes) > 1:
            kinds[_STORED.get(value.type.tensorType.dataType, "other")] += math.prod(sizes)
    wanted, total = _WANTED.get(scheme, ""), kinds.total()
    share = _measure(f"share of matrices in {wanted}", kinds[wanted] / max(1, total), _LEAST_SHARE)
    faults = []
    if not share.is_within:
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()) or "none"
        message = f"the scheme is {scheme}, but the numbers of its matrices are {told}. Export it again."
        faults.append(Finding(name="other_weights", message=message))
    last = max(blobs, default=0)
    stored = (package / _WEIGHTS).stat().st_size if (package / _WEIGHTS).is_file() else 0
    if stored <= last:
        message = f"a weight begins at byte {last:,} of '{_WEIGHTS}', which has {stored:,}. Export it again."
        faults.append(Finding(name="truncated_weights", message=message))
    return [_measure("numbers in matrices", total), share], faults


def _measure(name: str, value: float, least: float | None = None) -> Measure:
    return Measure(name=name, value=float(value), limit=least, relation=None if least is None else ">=")
