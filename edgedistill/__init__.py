"""From a BERT-class teacher to a verified, measured model inside a phone app.

    teacher + task --distill--> student --export--> artifact --check--> verdict --bench--> numbers --package--> app

Each verb of the command line is a function of the same name here, imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgedistill.pipeline.advise import plan
    from edgedistill.pipeline.bench import bench
    from edgedistill.pipeline.check import check
    from edgedistill.pipeline.distill import distill
    from edgedistill.pipeline.export import export
    from edgedistill.pipeline.package import package
    from edgedistill.pipeline.report import report
    from edgedistill.pipeline.road import run

__version__ = "0.1.0"
__all__ = ["bench", "check", "distill", "export", "package", "plan", "report", "run"]

_HOMES = {name: name for name in __all__} | {"run": "road", "plan": "advise"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"edgedistill.pipeline.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'edgedistill' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
