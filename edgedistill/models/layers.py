"""Which teacher layer each student layer follows."""

from __future__ import annotations

from collections.abc import Sequence

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


def _check(chosen: Sequence[int], teacher_layers: int, student_layers: int) -> None:
    if len(chosen) != student_layers:
        raise ConfigError(f"layer_map: it has {len(chosen)} entries for {student_layers} student layers.")
    outside = [layer for layer in chosen if not 1 <= layer <= teacher_layers]
    if outside:
        raise ConfigError(f"layer_map: there is no teacher layer {outside[0]}; they are 1 to {teacher_layers}.")
    if list(chosen) != sorted(chosen):
        raise ConfigError(f"layer_map: the layers must not go back: {', '.join(map(str, chosen))}.")
