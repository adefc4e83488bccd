"""Other projects' benchmark programs, which a user has built for the phone, run there on real inputs.

Left to themselves they feed random ids: benchmark_model's are 0 to 99 for every input, the attention mask among them,
which no text ever is. Here each gets the bytes of a real text.

Reference:
    The tools' own flags as their sources and READMEs list them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Graph
from edgedistill.errors import ConfigError

TARGETS = {"benchmark_model": "tflite", "onnxruntime_perf_test": "onnx", "executor_runner": "executorch"}
"""Which artifacts each tool runs."""
_ONNX_TYPES = {"int32": 6, "int64": 7}
"""TensorProto.DataType."""


@dataclass(frozen=True)
class Tool:
    """A user's program.

    Attributes:
        name: one of `TARGETS`.
        path: the file here.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Settings:
    """How long and with what a tool runs."""

    threads: int
    runs: int
    min_seconds: float
    max_seconds: float
    warm_up_runs: int
    warm_up_seconds: float


def parse(text: str) -> Tool:
    """`NAME=FILE` of the command line.

    Raises:
        ConfigError: no such tool is known, or there is no file.
    """
    name, _, path = text.partition("=")
    if name not in TARGETS:
        raise ConfigError(f"--tool takes NAME=FILE with one of {', '.join(TARGETS)} (found '{text}').")
    if not Path(path).is_file():
        raise ConfigError(f"no file '{path}' for --tool {name}. Give the program that was built for the phone.")
    return Tool(name, Path(path))


def input_files(tool: str, graph: Graph, arrays: dict[str, NDArray[np.int64]]) -> dict[str, bytes]:
    """The files a tool reads its inputs from, by name within the run's folder, in the order the graph lists them."""
    files = {}
    for number, tensor in enumerate(graph.inputs):
        value = np.ascontiguousarray(arrays[tensor.name]).astype(np.dtype(tensor.dtype).newbyteorder("<"))
        if tool == "onnxruntime_perf_test":
            files[f"test_data_set_0/input_{number}.pb"] = _tensor_proto(tensor.name, tensor.dtype, value)
        else:
            files[f"input_{number}.bin"] = value.tobytes()
    return files


def command(tool: str, graph: Graph, model: str, inputs: Sequence[str], length: int, how: Settings) -> list[str]:
    """The words that run a tool.

    Args:
        tool: its name.
        graph: what is run.
        model: its file.
        inputs: files of `input_files`, in their order.
        length: tokens of the text.
        how: how long and with what.
    """
    if tool == "onnxruntime_perf_test":
        return ["-e", "cpu", "-m", "times", "-r", str(how.runs), "-x", str(how.threads), "-y", "1", "-s", model]
    if tool == "executor_runner":
        words = ["--model_path", model, "--inputs", ",".join(inputs), "--cpu_threads", str(how.threads)]
        return [*words, "--num_executions", str(how.runs + how.warm_up_runs), "--print_output", "none"]
    names = [tensor.name for tensor in graph.inputs]
    words = [
        f"--graph={model}",
        f"--num_threads={how.threads}",
        f"--num_runs={how.runs}",
        f"--min_secs={how.min_seconds:g}",
        f"--max_secs={how.max_seconds:g}",
        f"--warmup_runs={how.warm_up_runs}",
        f"--warmup_min_secs={how.warm_up_seconds:g}",
        "--report_peak_memory_footprint=true",
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={':'.join(f'1,{length}' for _ in names)}",
        f"--input_layer_value_files={','.join(f'{name}:{file}' for name, file in zip(names, inputs, strict=True))}",
    ]
    return [*words, *([f"--signature_to_run_for={graph.signature}"] if graph.signature else [])]


def _tensor_proto(name: str, dtype: str, value: NDArray[np.integer[np.typing.NBitBase]]) -> bytes:
    """ONNX's TensorProto: dims (1), data_type (2), name (8), raw_data (9), written without the onnx package."""
    if dtype not in _ONNX_TYPES:
        raise ConfigError(f"onnxruntime_perf_test is fed int32 and int64 here; '{name}' is {dtype}.")
    dims = b"".join(b"\x08" + _varint(size) for size in value.shape)
    raw, label = value.tobytes(), name.encode()
    return (
        dims + b"\x10" + _varint(_ONNX_TYPES[dtype])
        + b"\x42" + _varint(len(label)) + label + b"\x4a" + _varint(len(raw)) + raw
    )  # fmt: skip


def _varint(number: int) -> bytes:
    parts = []
    while True:
        number, low = number >> 7, number & 0x7F
        parts.append(low | (0x80 if number else 0))
        if not number:
            return bytes(parts)
