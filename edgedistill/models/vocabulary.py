"""A checkpoint with fewer words: the rows of its tables that a cut vocabulary keeps.

What is left is the same function of the same words, so that a teacher can be asked about its student's tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from edgedistill.data.tokenise import same_tokens
from edgedistill.data.vocabulary import entries_of
from edgedistill.models.loading import Checkpoint


def read_by(checkpoint: Checkpoint, tokenizer: Any) -> Checkpoint:
    """The checkpoint as it answers to another tokenizer's tokens.

    Args:
        checkpoint: with its own tokenizer.
        tokenizer: whose tokens it shall be asked about.

    Returns:
        The same checkpoint with the rows of that tokenizer's entries, in their order, where it is cut from the
        checkpoint's own; in any other case the checkpoint itself.
    """
    if same_tokens(checkpoint.tokenizer, tokenizer):
        return checkpoint
    kept = entries_of(tokenizer, checkpoint.tokenizer)
    if kept is None:
        return checkpoint
    return replace(checkpoint, model=with_entries(checkpoint.model, kept), tokenizer=tokenizer)


def hollow(checkpoint: Checkpoint, tokenizer: Any) -> Checkpoint:
    """The same without any numbers in it, on torch's "meta" device: for what its shape alone decides."""
    with torch.device("meta"):
        model = type(checkpoint.model)(_config(checkpoint.model, len(tokenizer), {}))
    return replace(checkpoint, model=model.eval(), tokenizer=tokenizer)


def with_entries(model: PreTrainedModel, kept: NDArray[np.int64]) -> PreTrainedModel:
    """A copy of a model that has only those rows of every table over the vocabulary.

    Args:
        model: of any family and head.
        kept: (N,) ids of the rows; row n of the copy is row `kept[n]`.
    """
    config = _config(model, len(kept), {int(old): new for new, old in enumerate(kept)})
    with torch.random.fork_rng(devices=()):
        made = type(model)(config)
    rows, state = torch.from_numpy(kept), dict(model.state_dict())
    for name, dimension in _over_words(model).items():
        state[name] = state[name].index_select(dimension, rows.to(state[name].device))
    made.load_state_dict(state)
    return made.eval()


def _over_words(model: PreTrainedModel) -> dict[str, int]:
    """Tensors that the vocabulary's size shapes, and along which dimension: seen by making it one larger."""
    with torch.device("meta"):
        larger = type(model)(_config(model, model.config.vocab_size + 1, {})).state_dict()
    return {
        name: dimension
        for name, value in model.state_dict().items()
        for dimension, (old, new) in enumerate(zip(value.shape, larger[name].shape, strict=True))
        if old != new
    }


def _config(model: PreTrainedModel, size: int, new_ids: Mapping[int, int]) -> Any:
    config: Any = copy.deepcopy(model.config)
    config.vocab_size = size
    for name, value in model.config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(config, name, new_ids.get(value, 0 if name == "pad_token_id" else None))
    return config
