"""What several importers share: numbers in text, and the figures of single times."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from edgedistill.errors import DataError
from edgedistill.reports import StatedLatency
from edgedistill.spread import is_throttled as spread_is_throttled
from edgedistill.spread import spread

NUMBER = r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
"""As C++ streams and printf write them, `1.23457e+06` included; never infinity or not-a-number."""
MEGA = 1_000_000


def find(pattern: str, text: str) -> float | None:
    """The first number where `{}` stands in a regular expression; none where it does not match."""
    match = re.search(pattern.replace("{}", NUMBER), text)
    return float(match.group(1)) if match else None


def need(pattern: str, text: str, what: str) -> float:
    """The same, where it must be there.

    Raises:
        DataError: it is not; `what` names it.
    """
    value = find(pattern, text)
    if value is None:
        raise DataError(f"{what} is missing: the output is cut off or of an unknown version.")
    return value


def whole(value: float | None, scale: float = 1.0) -> int | None:
    """A whole number; none stays none."""
    return None if value is None else round(value * scale)


def scaled(value: float | None, scale: float) -> float | None:
    """A number in another unit, without digits that its source does not have; none stays none."""
    return None if value is None else float(f"{value * scale:.10g}")


def last_part(path: str | None) -> str:
    """A model's file name without its folders, whichever system wrote it."""
    return re.split(r"[\\/]", path.strip())[-1] if path and path.strip() else "unnamed"


def of_samples(samples_ms: Sequence[float], first_ms: float | None, load_ms: float | None) -> StatedLatency:
    """Every figure of single times in milliseconds."""
    return StatedLatency(**spread(samples_ms), first_ms=first_ms, load_ms=load_ms)


def is_throttled(samples_ms: Sequence[float]) -> bool | None:
    """Whether the last third's median is more than 10 % above the first third's; none for too few."""
    return spread_is_throttled(samples_ms) if len(samples_ms) >= 3 else None


def is_number(value: object) -> bool:
    """Whether a value of a JSON or YAML file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
