"""Encoder-decoders that write text: the Transformer of Vaswani et al., 2017, over a teacher's vocabulary.

transformers' Marian class is that model with nothing added: sinusoidal positions, one table of embeddings for source,
target and output. Whatever reads the class can read the student: `AutoModelForSeq2SeqLM` and `generate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from transformers import MarianConfig, MarianMTModel, PreTrainedModel, PreTrainedTokenizerFast

from edgedistill.config import Settings
from edgedistill.data.batches import Encoded
from edgedistill.data.tasks import IGNORED
from edgedistill.errors import CheckpointError
from edgedistill.runner import GREEDY, LOG_PROBABILITIES, TOKENS, Arrays, Runner

_POSITIONS = 512


class Decoding(Settings):
    """How text is written."""

    beams: int = Field(default=5, gt=0)
    """Texts that are gone on with at every step; 1: greedily, always the likeliest word."""
    length_penalty: float = 0.6
    """A text's log-probability is divided by its length to this power; above 0 longer texts gain. Of no use for one."""


class Shape(Settings):
    """An encoder-decoder's sizes."""

    layers: int = Field(default=6, gt=0)
    """Of the encoder, and as many of the decoder."""
    hidden_size: int = Field(default=512, gt=0)
    """Width."""
    ffn_size: int = Field(default=2048, gt=0)
    """Width of the feed-forward networks."""
    heads: int = Field(default=8, gt=0)
    """Attention heads."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """After embeddings and sub-layers, in training."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Shape:
        if self.hidden_size % self.heads or self.hidden_size % 2:
            raise ValueError(f"hidden_size {self.hidden_size} is no even multiple of {self.heads} heads")
        return self


def shape_of(config: Any) -> Shape:
    """The sizes of a model like those of `transformer`, from its configuration."""
    return Shape(
        layers=config.encoder_layers,
        hidden_size=config.d_model,
        ffn_size=config.encoder_ffn_dim,
        heads=config.encoder_attention_heads,
        dropout=config.dropout,
    )


def transformer(shape: Shape, tokenizer: Any, vocab_size: int) -> MarianMTModel:
    """A model with random weights that reads and writes a BERT tokenizer's words.

    It begins to write from [CLS] and ends with [SEP].

    Args:
        shape: its sizes.
        tokenizer: a fast tokenizer.
        vocab_size: rows of the embeddings, at least the tokenizer's entries.

    Raises:
        CheckpointError: the tokenizer has no such tokens.
    """
    begin, end, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    if None in (begin, end, pad):
        raise CheckpointError(
            f"the tokenizer of '{tokenizer.name_or_path}' lacks one of [CLS], [SEP] and [PAD], which begin, end and "
            "fill up what is written. Give a BERT teacher."
        )
    config = MarianConfig(
        vocab_size=vocab_size,
        d_model=shape.hidden_size,
        encoder_layers=shape.layers,
        decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.ffn_size,
        decoder_ffn_dim=shape.ffn_size,
        dropout=shape.dropout,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=_POSITIONS,
        pad_token_id=pad,
        bos_token_id=begin,
        eos_token_id=end,
        forced_eos_token_id=None,
        decoder_start_token_id=begin,
        attn_implementation="eager",
    )
    return MarianMTModel(config)


def set_decoding(model: PreTrainedModel, decoding: Decoding, longest: int, never: Sequence[int]) -> None:
    """Say how the model writes where nothing else is asked for; it is saved with it.

    Args:
        model: an encoder-decoder.
        decoding: how.
        longest: most tokens of a text, its end included.
        never: ids that are never written.
    """
    how = model.generation_config
    # Of one beam there is nothing to choose by length, and transformers saves no penalty beside it.
    how.num_beams, how.length_penalty = decoding.beams, decoding.length_penalty if decoding.beams > 1 else 1.0
    how.max_length, how.suppress_tokens = longest + 1, sorted(never)


@contextmanager
def without_token_types(tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel) -> Iterator[None]:
    """Save a tokenizer that gives an encoder-decoder no token types: `generate` refuses inputs it does not know."""
    names, settings = tokenizer.model_input_names, dict(tokenizer.init_kwargs)
    if model.config.is_encoder_decoder:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # or it would not be written
    try:
        yield
    finally:
        tokenizer.model_input_names, tokenizer.init_kwargs = names, settings


def next_words(model: Any, source: Encoded, target: Tensor) -> Tensor:
    """What the model gives every word of a text, told the words before it.

    Args:
        model: an encoder-decoder of Marian's or BART's make.
        source: (B, S) tokens.
        target: (B, T) int64 tokens, -100 behind the end.

    Returns:
        (N, V) float32 logits of the N target tokens, row by row.
    """
    is_written, config = target.ne(IGNORED), model.config
    shown = target.masked_fill(~is_written, config.pad_token_id).roll(1, dims=1)
    shown[:, 0] = config.decoder_start_token_id
    states = model.model(
        input_ids=source.input_ids,
        attention_mask=source.attention_mask,
        decoder_input_ids=shown,
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = model.lm_head(states[is_written]) + model.final_logits_bias
    return logits.float()


def writing_runner(model: Any, longest: int, asks_all: bool = False) -> Runner:
    """The model as a function of named arrays, with the outputs of an exported one.

    Args:
        model: an encoder-decoder in evaluation mode.
        longest: T, words that a text has room for.
        asks_all: whether the greedy text and its log-probabilities are given too.
    """
    pad = int(model.config.pad_token_id)

    def run(inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        names = ("input_ids", "attention_mask")
        source = {name: torch.as_tensor(np.asarray(inputs[name]), device=model.device).long() for name in names}
        with torch.no_grad():
            found = {TOKENS: _filled(model.generate(**source)[:, 1:], longest, pad)}
            if asks_all:
                how: dict[str, Any] = {"num_beams": 1, "length_penalty": 1.0, "return_dict_in_generate": True}
                greedy = model.generate(**source, **how, output_logits=True)
                words = greedy.sequences[:, 1:]
                logs = torch.stack(greedy.logits, dim=1).float().log_softmax(dim=-1)
                each = logs.gather(2, words[:, :, None])[:, :, 0].masked_fill(words == pad, 0.0)
                found |= {GREEDY: _filled(words, longest, pad), LOG_PROBABILITIES: _filled(each, longest, 0)}
        return found

    return run


def _filled(rows: Tensor, longest: int, filler: int) -> NDArray[np.float32]:
    """(B, T) float32 of (B, up to T)."""
    wide = torch.nn.functional.pad(rows.float(), (0, longest - rows.shape[1]), value=float(filler))
    return wide.cpu().numpy()


@torch.no_grad()
def write(model: Any, source: Encoded, beams: int | None = None) -> list[list[int]]:
    """Write a text for each source, as the model's own settings say.

    Args:
        model: an encoder-decoder.
        source: (B, S) tokens.
        beams: instead of the model's own number; 1 is greedy.

    Returns:
        B lists of tokens, special ones included.
    """
    changed: dict[str, Any] = {} if beams is None else {"num_beams": beams}
    if beams == 1:
        changed["length_penalty"] = 1.0  # transformers warns of a setting that one beam has no use for
    found = model.generate(input_ids=source.input_ids, attention_mask=source.attention_mask, **changed)
    rows: list[list[int]] = found.tolist()
    return rows
