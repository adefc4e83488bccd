"""Other people's runtimes and libraries that read our folders: what each takes, and what was measured to fail in it.

`benchmarks/clients.py` measures the pairs and writes docs/results/clients.md; a test holds this table against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgedistill.errors import ExportError, UnknownNameError


@dataclass(frozen=True)
class Client:
    """A runtime or library that an app may be written with.

    Attributes:
        name: what the user types.
        targets: whose artifacts it reads.
        version: that was tried.
        reads_text: whether it tokenises itself, with files that are packed into the model file.
        fails: schemes it loads and answers wrongly, or does not load: what was seen and what to do.
    """

    name: str
    targets: tuple[str, ...]
    version: str
    reads_text: bool = False
    fails: Mapping[str, str] = field(default_factory=dict)


_HYBRID = (
    "it loads there and gives wrong answers without an error: per-channel weights of its hybrid matrix products are "
    "read as per-tensor. Export with --scheme int8_weight."
)
CLIENTS: dict[str, Client] = {
    client.name: client
    for client in (
        Client("transformers", ("onnx", "tflite", "executorch", "coreml"), "transformers 5.23.0"),
        Client("onnxruntime", ("onnx",), "onnxruntime 1.31.1"),
        Client("optimum", ("onnx",), "optimum-onnx 0.1.0"),
        Client("transformers.js", ("onnx",), "@huggingface/transformers 4.3.1"),
        Client("ai-edge-litert", ("tflite",), "ai-edge-litert 2.3.0"),
        Client("tflite-runtime", ("tflite",), "tflite-runtime 2.14.0", fails={"int8_dynamic": _HYBRID}),
        Client("task-library", ("tflite",), "tflite-support 0.4.4", reads_text=True, fails={"int8_dynamic": _HYBRID}),
        Client("mediapipe", ("tflite",), "mediapipe 1.2.2", reads_text=True),
        Client("executorch", ("executorch",), "executorch 1.5"),
    )
}


def refuse_clients(names: Iterable[str], target: str, scheme: str, reads_text: bool) -> None:
    """Make sure that an artifact works in every client that was named.

    Args:
        names: of clients.
        target: of the artifact.
        scheme: its precision.
        reads_text: whether its model file holds vocabulary and labels.

    Raises:
        UnknownNameError: no client of that name.
        ExportError: one that does not read this target, or in which this scheme was measured to fail.
    """
    for name in names:
        if name not in CLIENTS:
            raise UnknownNameError("client", name, CLIENTS)
        client = CLIENTS[name]
        if target not in client.targets:
            raise ExportError(f"'{name}' does not read target '{target}'. It reads: {', '.join(client.targets)}.")
        if scheme in client.fails:
            raise ExportError(f"{scheme} fails in {client.version}: {client.fails[scheme]}")
        if client.reads_text and not reads_text:
            raise ExportError(
                f"'{name}' reads raw text with the vocabulary and labels in the model file, which only a classifier of "
                "one text exported at one length has. Export with: --target tflite --length 128."
            )
