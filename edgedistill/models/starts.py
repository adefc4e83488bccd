"""Checkpoints that students are started from: whether a recipe can go on with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel

from edgedistill.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FAMILY = "mobilebert"


def refuse_other_shape(student: PreTrainedModel, path: object, asked: Mapping[str, int | None]) -> None:
    """Make sure that a student to start from has the shape that is asked for.

    Args:
        student: what was loaded.
        path: from where.
        asked: num_layers, hidden_size, ffn_size and so on; none where any will do.

    Raises:
        ConfigError: it has another.
    """
    names = {"num_layers": "num_hidden_layers", "ffn_size": "intermediate_size", "num_heads": "num_attention_heads"}
    names["intra_size"] = "intra_bottleneck_size"
    for setting, wanted in asked.items():
        found = getattr(student.config, names.get(setting, setting), None)
        if wanted is not None and found is not None and wanted != found:
            raise ConfigError(f"{setting}: {wanted} is asked for, but --student '{path}' has {found}. Leave it out.")


def refuse_unused_shape(cfg: BaseModel, found: Mapping[str, object], path: object) -> None:
    """Make sure that settings which shape a new student are left alone where one is given.

    Args:
        cfg: a recipe's settings.
        found: those that shape a new student, as the one that was loaded has them.
        path: from where.

    Raises:
        ConfigError: one is neither its default nor what the student has.
    """
    for name, own in found.items():
        if getattr(cfg, name) not in (type(cfg).model_fields[name].default, own):
            raise ConfigError(f"{name}: --student '{path}' has another shape. Leave {name} out, or the student.")


def refuse_other_mobilebert(
    student: PreTrainedModel, path: object, width: int, heads: int, *, is_led: bool, instead: str
) -> None:
    """Make sure that a student to start from is a MobileBERT, of the teacher's form where its layers are led.

    Args:
        student: what was loaded.
        path: from where.
        width: the teacher's, between its layers.
        heads: the teacher's.
        is_led: whether layers are compared, which takes the same width and as many heads; any will do otherwise.
        instead: what to do with a MobileBERT of another form, for the message.

    Raises:
        ConfigError: another family or form.
    """
    config = student.config
    found = (config.model_type, config.hidden_size, config.num_attention_heads)
    if found == (_FAMILY, width, heads) or (found[0] == _FAMILY and not is_led):
        return
    raise ConfigError(
        f"--student '{path}' is a {found[0]} of width {found[1]} with {found[2]} heads, this recipe's a {_FAMILY} of "
        f"the teacher's width {width} and {heads}. Leave it out" + (f", or {instead}" if found[0] == _FAMILY else ".")
    )
