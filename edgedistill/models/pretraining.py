"""Checkpoints with BERT's two pre-training heads: hidden words and the next sentence."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from edgedistill.errors import CheckpointError
from edgedistill.models.loading import load


def load_for_pretraining(path: str | Path) -> PreTrainedModel:
    """Load a checkpoint; heads it has not got are put on it, with random weights.

    Raises:
        CheckpointError: it cannot be used, or its family knows no next sentence.
    """
    model = load(path, kind="pretraining").model
    if not hasattr(getattr(model, "cls", None), "seq_relationship"):
        raise CheckpointError(
            f"'{path}' is a {model.config.model_type}, which has no head for the next sentence. Give a bert or a "
            "mobilebert, or set the weight next_sentence to 0."
        )
    return model
