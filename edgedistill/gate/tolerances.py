"""The one table of what an artifact may differ by. Tests, the gate and the documentation read it here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from edgedistill.config import Settings, build, with_settings
from edgedistill.errors import ConfigError, UnknownNameError

ORIGIN = "check --set"


class Tolerances(Settings):
    """Limits of the gate. Any can be changed with `--set name=value`; the verdict then says so."""

    fp32_max_abs: float = Field(1e-4, ge=0)
    """Largest absolute difference of an fp32 artifact to the student, in the outputs' own unit."""
    fp32_relative: float = Field(1e-5, ge=0)
    """The same, |difference| / |student|: small outputs cannot hide behind small differences."""
    fp16_relative: float = Field(1e-2, ge=0)
    """Relative difference of an fp16 artifact: ten bits of mantissa, with room for the sums over layers."""
    int8_agreement: float = Field(0.98, ge=0, le=1)
    """Share of real texts on which an artifact with integer weights answers as the student does."""
    int8_adversarial_agreement: float = Field(0.85, ge=0, le=1)
    """The same on adversarial text, where answers lie near the border and are worth little."""
    int8_cosine: float = Field(0.95, ge=-1, le=1)
    """Mean cosine to the student's outputs where there is nothing to agree on: embeddings."""
    int8_padding_relative: float = Field(0.25, ge=0)
    """How much padding and batch neighbours may move outputs where activations are quantized by their range."""
    regression_band: float = Field(0.1, ge=0)
    """Scores this close count as agreeing, in standard deviations of the student's scores."""
    metric_drop_points: float = Field(1.0, ge=0)
    """Largest loss of the task's metric from the student to the artifact, in points (100 x score)."""
    teacher_ratio: float = Field(0.97, ge=0)
    """Least share of the teacher's metric that is kept, by the student and by the artifact end to end."""
    chance_p_value: float = Field(0.05, gt=0, lt=1)
    """How likely luck may explain the reference's metric before it counts as proof of nothing."""
    min_spread: float = Field(1e-2, ge=0)
    """Least standard deviation of the student's logits over texts: an untrained head answers all texts alike."""


def read_tolerances(settings: Sequence[str] = ()) -> tuple[Tolerances, dict[str, float]]:
    """The table with `--set` changes.

    Args:
        settings: texts `name=value`.

    Returns:
        The tolerances, and those that differ from the defaults.

    Raises:
        UnknownNameError: no tolerance of that name.
        ConfigError: not a number, or out of range.
    """
    values: dict[str, Any] = with_settings({}, settings)
    for name, value in values.items():
        if name not in Tolerances.model_fields:
            raise UnknownNameError("tolerance", name, Tolerances.model_fields)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{ORIGIN} {name}: a number is needed, not {value!r}.")
    tolerances = build(Tolerances, values, ORIGIN)
    defaults = build(Tolerances, {}, ORIGIN)
    changed = {name: float(getattr(tolerances, name)) for name in values}
    return tolerances, {name: value for name, value in changed.items() if value != getattr(defaults, name)}
