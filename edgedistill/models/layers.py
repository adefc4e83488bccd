"""Which teacher layer each student layer follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edgedistill.errors import ConfigError


def layer_map(teacher_layers: int, student_layers: int, chosen: Sequence[int] = ()) -> tuple[int, ...]:
    """Teacher layer (counted from 1) for every student layer.

    Args:
        teacher_layers: depth of the teacher.
        student_layers: depth of the student.
        chosen: the layers to follow, rising; empty: evenly spread, the last one included.

    Raises:
        ConfigError: a student deeper than its teacher, or a choice that does not fit.

    Reference: Jiao et al., 2020 (TinyBERT), section 4.1: uniform mapping, layer m follows m * teacher / student.
    """
    if chosen:
        _check(chosen, teacher_layers, student_layers)
        return tuple(chosen)
    if student_layers > teacher_layers:
        raise ConfigError(
            f"num_layers: a student of {student_layers} layers is deeper than its teacher of {teacher_layers}. "
            f"Set num_layers to at most {teacher_layers}, or say with layer_map which layer each one follows."
        )
    return tuple(round(layer * teacher_layers / student_layers) for layer in range(1, student_layers + 1))


def strategy_map(
    teacher_layers: int, student_layers: int, strategy: Literal["uniform", "top", "bottom"]
) -> tuple[int, ...]:
    """Teacher layer (counted from 1) for every student layer, by a rule that leaves nothing to rounding.

    Args:
        teacher_layers: N, depth of the teacher.
        student_layers: M, depth of the student.
        strategy: "uniform": layer m follows m * N / M; "top": the last M layers; "bottom": the first M.

    Raises:
        ConfigError: a student deeper than its teacher, or for "uniform" a depth that does not divide the teacher's.

    Reference: Jiao et al., 2020 (TinyBERT), sections 3.1 and 4.5: g(0) = 0, the embeddings, in every strategy.
    """
    even = [depth for depth in range(1, teacher_layers + 1) if teacher_layers % depth == 0]
    if student_layers > teacher_layers:
        raise ConfigError(
            f"num_layers: a student of {student_layers} layers is deeper than its teacher of {teacher_layers}. "
            f"Set num_layers to at most {teacher_layers}."
        )
    if strategy == "top":
        return tuple(range(teacher_layers - student_layers + 1, teacher_layers + 1))
    if strategy == "bottom":
        return tuple(range(1, student_layers + 1))
    if teacher_layers % student_layers:
        raise ConfigError(
            f"num_layers: {student_layers} layers cannot be spread evenly over the teacher's {teacher_layers}. Set it "
            f"to {', '.join(map(str, even[:-1] or even))}, or say with layer_map which layer each one follows."
        )
    return tuple(layer * teacher_layers // student_layers for layer in range(1, student_layers + 1))


def _check(chosen: Sequence[int], teacher_layers: int, student_layers: int) -> None:
    if len(chosen) != student_layers:
        raise ConfigError(f"layer_map: it has {len(chosen)} entries for {student_layers} student layers.")
    outside = [layer for layer in chosen if not 1 <= layer <= teacher_layers]
    if outside:
        raise ConfigError(f"layer_map: there is no teacher layer {outside[0]}; they are 1 to {teacher_layers}.")
    if list(chosen) != sorted(chosen):
        raise ConfigError(f"layer_map: the layers must not go back: {', '.join(map(str, chosen))}.")
