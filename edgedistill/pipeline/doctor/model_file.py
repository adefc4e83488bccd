"""Known faults of a model file by itself, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedistill.pipeline.doctor import rules
from edgedistill.pipeline.doctor.model import open_model
from edgedistill.pipeline.doctor.signs import Sign, ok


def signs(path: Path, but: frozenset[str] = frozenset()) -> Iterator[Sign]:
    """Read the file and look at it with every rule but the ones named.

    Raises:
        ArtifactError: it cannot be read.
        MissingExtraError: the package that reads it is not installed.
    """
    model = open_model(path)
    nodes = ", ".join(str(len(net.nodes)) for net in model.nets)
    graphs = "1 graph" if len(model.nets) == 1 else f"{len(model.nets)} graphs"
    size = path.stat().st_size / 1e6
    yield ok("model_file", f"'{path.name}': {model.format}, {size:.1f} MB, {graphs} of {nodes} operators")
    yield from rules.signs(model, but)
