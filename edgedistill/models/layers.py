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
        _check("layer_map", chosen, teacher_layers, student_layers)
        return tuple(chosen)
    if student_layers > teacher_layers:
        raise ConfigError(
            f"num_layers: a student of {student_layers} layers is deeper than its teacher of {teacher_layers}. "
            f"Set num_layers to at most {teacher_layers}, or say with layer_map which layer each one follows."
        )
    return tuple(round(layer * teacher_layers / student_layers) for layer in range(1, student_layers + 1))


def patient_layers(
    teacher_layers: int, student_layers: int, strategy: Literal["skip", "last"], chosen: Sequence[int] = ()
) -> tuple[int, ...]:
    """Teacher layers (counted from 1) that the student's layers follow, all but the student's last.

    The last layer of either feeds the classifier, whose answers are compared anyway.

    Args:
        teacher_layers: N, depth of the teacher.
        student_layers: k, depth of the student.
        strategy: "skip": every N / k layers, (2, 4, 6, 8, 10) for 12 and 6; "last": those right below the teacher's
            last, (7, 8, 9, 10, 11). Where N is no multiple of k, skip rounds down.
        chosen: k - 1 layers to follow instead, rising.

    Returns:
        k - 1 layers; none is the teacher's last.

    Raises:
        ConfigError: a student that is not shallower than its teacher, or a choice that does not fit.

    Reference: Sun et al., 2019 (Patient KD), section 3.2.
    """
    if student_layers >= teacher_layers:
        raise ConfigError(
            f"num_layers: a student of {student_layers} layers is not shallower than its teacher of {teacher_layers}. "
            + (f"Set num_layers to at most {teacher_layers - 1}." if teacher_layers > 1 else "Give a deeper teacher.")
        )
    if chosen:
        _check("layers", chosen, teacher_layers, student_layers - 1, " (the last one follows none)")
        if teacher_layers in chosen:
            raise ConfigError(
                f"layers: {teacher_layers} is the teacher's last layer, which feeds the classifier. "
                f"Choose among 1 to {teacher_layers - 1}."
            )
        return tuple(chosen)
    if strategy == "last":
        return tuple(range(teacher_layers - student_layers + 1, teacher_layers))
    return tuple(layer * teacher_layers // student_layers for layer in range(1, student_layers))


def spread_layers(teacher_layers: int, student_layers: int, chosen: Sequence[int] = ()) -> tuple[int, ...]:
    """Teacher layer (counted from 1) that every student layer is copied from: the first, the last and those between.

    Args:
        teacher_layers: depth of the teacher.
        student_layers: depth of the student.
        chosen: the layers to copy, rising; empty: evenly spread from the first to the last.

    Raises:
        ConfigError: as `layer_map`.

    Reference: Sanh et al., 2019 (DistilBERT): the authors' code copies 1, 3, 5, 8, 10 and 12 of 12.
    """
    if chosen or student_layers > teacher_layers or student_layers == 1:
        return layer_map(teacher_layers, student_layers, chosen)
    step = (teacher_layers - 1) / (student_layers - 1)
    return tuple(1 + round(layer * step) for layer in range(student_layers))


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


def _check(setting: str, chosen: Sequence[int], teacher_layers: int, wanted: int, note: str = "") -> None:
    if len(chosen) != wanted:
        raise ConfigError(f"{setting}: it has {len(chosen)} entries for {wanted} student layers{note}.")
    outside = [layer for layer in chosen if not 1 <= layer <= teacher_layers]
    if outside:
        raise ConfigError(f"{setting}: there is no teacher layer {outside[0]}; they are 1 to {teacher_layers}.")
    if list(chosen) != sorted(chosen):
        raise ConfigError(f"{setting}: the layers must not go back: {', '.join(map(str, chosen))}.")
