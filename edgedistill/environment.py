"""Where and when something was made or measured; every manifest and report says it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgedistill.config import Settings


class Environment(Settings):
    """Where something was made or measured."""

    python: str
    """Python version."""
    system: str
    """Operating system and processor architecture."""
    cpu: str
    """Processor as the system names it."""
    packages: dict[str, str]
    """Versions of the packages that matter."""


def environment() -> Environment:
    """This machine and the packages that decide the numbers."""
    wanted = ("edgedistill", "torch", "transformers", "onnx", "onnxruntime", "litert-torch", "ai-edge-litert",
              "ai-edge-quantizer", "executorch", "coremltools", "numpy", "tokenizers")  # fmt: skip
    packages = {}
    for name in wanted:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_name(),
        packages=packages,
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
