"""A checkpoint's own layers as a shallower student: same class, widths, embeddings and head, fewer layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from edgedistill.errors import CheckpointError, ConfigError

_LAYERS = ("encoder.layer", "transformer.layer")
"""Where a body keeps its layers: BERT, RoBERTa, MobileBERT, ELECTRA; DistilBERT."""


def shorten(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Keep only some layers of a model, in place: load one for this, nothing is copied.

    Args:
        model: of the BERT family, with any head.
        layers: which ones (from 1), rising; (1, 2, 3) for the first three.

    Returns:
        The same model; saved, it loads back with AutoModel as any checkpoint of that depth.

    Raises:
        ConfigError: no layers, layers there are not, or in another order.
        CheckpointError: a family whose layers are not a list.
    """
    body, name = _place(model)
    found: Any = getattr(body, name)
    outside = [layer for layer in layers if not 1 <= layer <= len(found)]
    if outside or not layers:
        what = f"layer {outside[0]}" if outside else "no layer at all"
        raise ConfigError(f"a student cannot start from {what} of a checkpoint whose layers are 1 to {len(found)}.")
    if list(layers) != sorted(set(layers)):
        raise ConfigError(f"the layers a student starts from must rise: {', '.join(map(str, layers))}.")
    setattr(body, name, nn.ModuleList(found[layer - 1] for layer in layers))
    config: Any = model.config
    config.num_hidden_layers = len(layers)
    return model


def _place(model: PreTrainedModel) -> tuple[nn.Module, str]:
    if hasattr(model, "exits"):
        raise CheckpointError(
            "the layers of a FastBERT cannot be taken one by one: each has a classifier of its own. Start from the "
            "bert that it was made of."
        )
    for path in _LAYERS:
        parent, _, name = path.partition(".")
        body = getattr(model.base_model, parent, None)
        if isinstance(body, nn.Module) and isinstance(getattr(body, name, None), nn.ModuleList):
            return body, name
    raise CheckpointError(
        f"the layers of a '{model.config.model_type}' cannot be taken one by one. Start from a bert, roberta, "
        "distilbert or mobilebert."
    )
