"""View of a Marian Transformer, which writes text: an encoder, and one step of the decoder with its cache.

The cache has room for the longest text from the start, and a step writes its keys and values into its own place: every
call has the same shapes, which is what phone runtimes want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.artifacts import Seq2Seq, State
from edgedistill.errors import ExportError
from edgedistill.models.views.attention import attend, padding_bias
from edgedistill.models.views.pieces import Piece

_HIDDEN = -1e4
"""Added to the scores of places that are not written yet; see `padding_bias`."""
_NOT_FOLLOWED = (
    "forced_eos_token_id",
    "bad_words_ids",
    "do_sample",
    "no_repeat_ngram_size",
    "early_stopping",
    "min_length",
)
"""Settings of generation that change what is written and that the host loop has not."""
_MEMORY = ("memory_keys", "memory_values")
_CACHE = (State(output="next_keys", input="keys"), State(output="next_values", input="values"))


class EncoderLayer(nn.Module):
    """One encoder layer over the modules of the stock one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.attention, self.num_heads = layer.self_attn, int(layer.self_attn.num_heads)
        self.attention_norm, self.output_norm = layer.self_attn_layer_norm, layer.final_layer_norm
        self.fc1, self.fc2, self.activation = layer.fc1, layer.fc2, layer.activation_fn

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """(B, S, H) to (B, S, H)."""
        own = self.attention
        context = attend(own.q_proj(hidden), own.k_proj(hidden), own.v_proj(hidden), bias, self.num_heads)
        attended = self.attention_norm(hidden + own.out_proj(context))
        output: Tensor = self.output_norm(attended + self.fc2(self.activation(self.fc1(attended))))
        return output


class DecoderLayer(nn.Module):
    """One decoder layer for one word over the modules of the stock one."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.own, self.memory = layer.self_attn, layer.encoder_attn
        self.num_heads = int(layer.self_attn.num_heads)
        self.own_norm, self.memory_norm = layer.self_attn_layer_norm, layer.encoder_attn_layer_norm
        self.fc1, self.fc2, self.activation = layer.fc1, layer.fc2, layer.activation_fn
        self.output_norm = layer.final_layer_norm

    def forward(
        self, hidden: Tensor, memory: tuple[Tensor, Tensor, Tensor], cache: tuple[Tensor, Tensor, Tensor], here: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One word.

        Args:
            hidden: (B, 1, H).
            memory: the source's keys and values (B, S, H), and the bias of its padding.
            cache: keys and values of the words so far (B, T, H), and the bias of places not written.
            here: (B, T, 1), 1 at this word's place.

        Returns:
            (B, 1, H), and the cache with this word in it.
        """
        keys = cache[0] + here * self.own.k_proj(hidden)
        values = cache[1] + here * self.own.v_proj(hidden)
        context = attend(self.own.q_proj(hidden), keys, values, cache[2], self.num_heads)
        hidden = self.own_norm(hidden + self.own.out_proj(context))
        context = attend(self.memory.q_proj(hidden), *memory, self.num_heads)
        hidden = self.memory_norm(hidden + self.memory.out_proj(context))
        return self.output_norm(hidden + self.fc2(self.activation(self.fc1(hidden)))), keys, values


class Encoder(Piece):
    """From the source's tokens to the keys and values that every decoder layer reads of it."""

    name = "encoder"
    input_names = ("input_ids", "attention_mask")
    output_names = _MEMORY

    def __init__(self, model: Any) -> None:
        super().__init__()
        own = model.model.encoder
        self.config, self.scale = model.config, float(own.embed_scale)
        self.words, self.places = own.embed_tokens, own.embed_positions.weight
        self.layers = nn.ModuleList(EncoderLayer(layer) for layer in own.layers)
        self.readers = nn.ModuleList(layer.encoder_attn for layer in model.model.decoder.layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S) tokens to (B, L, S, H) twice."""
        hidden = self.words(input_ids) * self.scale + self.places[: input_ids.shape[1]]
        bias = padding_bias(attention_mask)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        readers: Any = self.readers
        keys = torch.stack([reader.k_proj(hidden) for reader in readers], dim=1)
        values = torch.stack([reader.v_proj(hidden) for reader in readers], dim=1)
        return keys, values


class Decoder(Piece):
    """From one word and the cache to what may come next."""

    name = "decoder"
    input_names = ("attention_mask", "input_ids", "position", *_MEMORY, "keys", "values")
    output_names = ("logits", "next_keys", "next_values")
    state = _CACHE

    def __init__(self, model: Any, longest: int) -> None:
        """Make one.

        Args:
            model: the Marian model.
            longest: T, most words that are written.
        """
        super().__init__()
        own = model.model.decoder
        self.config, self.scale, self.longest = model.config, float(own.embed_scale), longest
        self.words, self.places, self.head = own.embed_tokens, own.embed_positions.weight, model.lm_head
        self.layers = nn.ModuleList(DecoderLayer(layer) for layer in own.layers)
        self.head_bias: Tensor
        self.order: Tensor
        self.register_buffer("head_bias", model.final_logits_bias, persistent=False)
        self.register_buffer("order", torch.arange(longest, dtype=torch.int32)[None], persistent=False)

    def forward(
        self,
        attention_mask: Tensor,
        input_ids: Tensor,
        position: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One word.

        Args:
            attention_mask: (B, S), of the source.
            input_ids: (B, 1), the word before.
            position: (B, 1), its place in the text, from 0.
            memory_keys: (B, L, S, H).
            memory_values: (B, L, S, H).
            keys: (B, L, T, H), 0 where nothing is written yet.
            values: (B, L, T, H), likewise.

        Returns:
            Logits (B, V) of the next word, and the cache with this one in it.
        """
        hidden = self.words(input_ids) * self.scale + nn.functional.embedding(position, self.places)
        here = (self.order == position).to(torch.float32)[:, :, None]
        unwritten = (self.order > position).to(torch.float32)[:, None, None, :] * _HIDDEN
        bias = padding_bias(attention_mask)
        new_keys, new_values = [], []
        for number, layer in enumerate(self.layers):
            memory = (memory_keys[:, number], memory_values[:, number], bias)
            hidden, key, value = layer(hidden, memory, (keys[:, number], values[:, number], unwritten), here)
            new_keys.append(key)
            new_values.append(value)
        logits = self.head(hidden[:, 0]) + self.head_bias
        return logits, torch.stack(new_keys, dim=1), torch.stack(new_values, dim=1)

    @property
    def free_axes(self) -> dict[str, tuple[int, ...]]:
        """The batch of all, and the source's length of what was made of it."""
        own = {"attention_mask": (0, 1), **dict.fromkeys(_MEMORY, (0, 2))}
        return {name: own.get(name, (0,)) for name in self.input_names}

    def example_inputs(self, batch: int, length: int, dtype: str = "int64") -> dict[str, Tensor]:
        """A word and an empty cache; see `Piece.example_inputs`."""
        depth, width, kind = len(self.layers), int(self.config.d_model), getattr(torch, dtype)
        shapes = {"attention_mask": (batch, length), "input_ids": (batch, 1), "position": (batch, 1)}
        found = {name: torch.ones(shape, dtype=kind) for name, shape in shapes.items()}
        found |= {name: torch.randn(batch, depth, length, width) for name in _MEMORY}
        return found | {one.input: torch.zeros(batch, depth, self.longest, width) for one in _CACHE}


class Seq2SeqView:
    """A Marian model as encoder and decoder step: see `View` for the attributes."""

    kind = "generation"
    max_unrolled: int | None = None
    note = ""

    def __init__(self, model: Any) -> None:
        """Make one.

        Args:
            model: the Marian model, with the settings it writes by.

        Raises:
            ExportError: settings that the host loop does not follow.
        """
        _refuse_other_writing(model)
        self.how, self.config = model.generation_config, model.config
        self.max_positions = int(model.config.max_position_embeddings)
        self.longest = min(int(self.how.max_length), self.max_positions) - 1
        self.pieces: tuple[Piece, ...] = (Encoder(model).eval(), Decoder(model, self.longest).eval())
        self.input_names: tuple[str, ...] = self.pieces[0].input_names

    def driver(self, names: Sequence[tuple[str, ...]], is_fixed: bool) -> Seq2Seq:
        """Encoder once, decoder word by word, as the model itself writes; see `View.driver`.

        Raises:
            ExportError: several lengths.
        """
        if len(names[0]) > 1:
            raise ExportError("an encoder-decoder is exported at one length of the source: --set lengths=[64].")
        penalty = self.how.length_penalty
        return Seq2Seq(
            encoder=names[0][0],
            decoder=names[1][0],
            start_id=int(self.config.decoder_start_token_id),
            end_id=int(self.config.eos_token_id),
            pad_id=int(self.config.pad_token_id),
            max_new_tokens=self.longest,
            beams=int(self.how.num_beams or 1),
            length_penalty=1.0 if penalty is None else float(penalty),
            never=tuple(self.how.suppress_tokens or ()),
        )


def _refuse_other_writing(model: Any) -> None:
    """Make sure that the host loop writes as `generate` does.

    Raises:
        ExportError: the model's own settings say something the loop does not do.
    """
    how = model.generation_config
    found = next((name for name in _NOT_FOLLOWED if getattr(how, name, None)), None)
    if found is not None:
        raise ExportError(
            f"the model writes with {found}={getattr(how, found)!r}, which the exported loop does not do. Take it out "
            "of generation_config.json and see whether its texts are still good."
        )
