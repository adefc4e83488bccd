"""Operators of nobody's standard: phones have them only if the app's own runtime was built with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgedistill.pipeline.doctor.model import Model
from edgedistill.pipeline.doctor.rules import Found

FORMATS = ("onnx", "tflite")
HINT = "Export again without them; ONNX Runtime's own ones are well on processors, and keep the rest off accelerators."
_RUNTIMES_OWN = "com.microsoft"


def found(model: Model) -> Iterator[Found]:
    """Look at domains and custom codes."""
    if model.format == "onnx":
        kinds = Counter((node.domain, node.op) for net in model.nets for node in net.nodes if node.domain)
        for (domain, op), count in sorted(kinds.items()):
            yield Found("note" if domain == _RUNTIMES_OWN else "broken", f"{count} x {domain}.{op}.")
        return
    custom = Counter(node.name for net in model.nets for node in net.nodes if node.op in {"CUSTOM", "unknown"})
    for name, count in sorted(custom.items()):
        yield Found("broken", f"{count} x '{name}', which needs {_provider(name)}.")


def _provider(name: str) -> str:
    return "the Flex delegate (Select TensorFlow ops)" if name.startswith("Flex") else "a library that has it"
