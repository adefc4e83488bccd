"""The one table of what an artifact may differ by. Tests, the gate and the documentation read it here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from edgedistill.config import Settings, build, with_settings
from edgedistill.errors import ConfigError, UnknownNameError
from edgedistill.quant.schemes import SCHEMES

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
    int8_adversarial_agreement: float = Field(0.87, ge=0, le=1)
    """The same on the 41 adversarial texts: at most 5 other answers. They lie near the border, where a small noise
    flips them: good artifacts of two SST-2 models have 0 or 1 other answers (MobileBERT) and 2 to 4 (MiniLM)."""
    int8_relative: float = Field(0.2, ge=0)
    """Relative difference of an artifact with integer weights, on real and on adversarial text apart: a fault may flip
    no answer of a student that is sure of itself. The same good artifacts have at most 0.026 and 0.059."""
    int8_cosine: float = Field(0.95, ge=-1, le=1)
    """Mean cosine to the student's outputs where there is nothing to agree on: embeddings."""
    int8_padding_relative: float = Field(0.01, ge=0)
    """How much padding and batch neighbours may move outputs where activations are quantized by their range. Both
    runtimes take a range per token, which no neighbour moves: good artifacts have exactly 0. The room is for sums in
    another order that push a value over the border of two integers. fp32 and fp16 keep their own relative limits."""
    exit_agreement: float = Field(0.95, ge=0, le=1)
    """Share of texts that leave an early-exit artifact after the same layer as they leave the student. Integer weights
    move a text whose uncertainty lies next to the threshold; a wrong threshold or order moves far more."""
    written_agreement: float = Field(0.98, ge=0, le=1)
    """Share of sources for which an artifact that writes gives the student's very words. One word of two equally likely
    ones may fall otherwise; from there on the texts are different ones."""
    regression_band: float = Field(0.1, ge=0)
    """Scores this close count as agreeing, in standard deviations of the student's scores."""
    metric_drop_points: float = Field(1.0, ge=0)
    """Largest loss of the task's metric from the student to the artifact, in points (100 x score)."""
    metric_drop_margin: float = Field(1.0, gt=0)
    """Widest margin (half the 95 % interval) of that loss, in points, at which the estimate decides. Wider means too
    few rows: inconclusive (docs/adr/0005)."""
    teacher_ratio: float = Field(0.97, ge=0)
    """Least share of the teacher's metric that is kept, by the student and by the artifact end to end."""
    teacher_ratio_margin: float = Field(0.03, gt=0)
    """Widest margin of that share at which the estimate decides, whatever the least share is. SST-2's 872 rows give
    0.021 to 0.023."""
    chance_p_value: float = Field(0.05, gt=0, lt=1)
    """How likely luck may explain the reference's metric before it counts as proof of nothing."""
    device_fp32: float = Field(1e-4, ge=0)
    """How far an fp32 artifact may be from its own stored answers, here or on a phone, as a share of the largest answer
    among the goldens: sums in another order. Stored in the goldens at export, for the app's self-test."""
    device_fp16: float = Field(1e-2, ge=0)
    """The same for fp16: arithmetic in float16 where the processor has it."""
    device_int8_weight: float = Field(1e-3, ge=0)
    """The same for int8_weight: float sums in another order."""
    device_int8_dynamic: float = Field(5e-2, ge=0)
    """The same for int8_dynamic: a value on the border of two integers falls to the other side."""
    device_int8_static: float = Field(5e-2, ge=0)
    """The same for int8_static, for the same reason."""
    device_w8a16: float = Field(1e-2, ge=0)
    """The same for w8a16: its integers are 256 times finer."""
    device_int4_weight: float = Field(1e-3, ge=0)
    """The same for int4_weight: float sums in another order."""
    device_auto: float = Field(5e-2, ge=0)
    """The same for auto, whose products are int8_dynamic's."""
    min_delegated: float = Field(0.0, ge=0, le=1)
    """Least share of its nodes that each accelerator takes which an artifact was made for (ONNX: form accelerator)."""
    min_spread: float = Field(1e-2, ge=0)
    """Least standard deviation of the student's logits over texts: an untrained head answers all texts alike."""

    def device(self, scheme: str, answers: Sequence[Sequence[float]], is_own: bool = True) -> float:
        """How far another processor may be from an artifact's own answers, or from its student's, in their unit.

        Args:
            scheme: the artifact's precision.
            answers: of one output, a flat list for every golden.
            is_own: whether they are the artifact's; the student's are without what its integers cost.
        """
        largest = max((abs(value) for row in answers for value in row), default=1.0)
        share: float = getattr(self, f"device_{scheme}")
        if not is_own and SCHEMES[scheme].is_integer:
            share = self.int8_relative
        return float(f"{share * max(1.0, largest):.3g}")


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
