"""View of a BiLSTM: one LSTM node where the runtime has such a thing, a chain of its steps where it has not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.models.bilstm import Side, joined, sides


class BiLstmBody(nn.Module):
    """Word vectors and LSTM; answers with the vector that the head reads.

    Runtimes without an LSTM of variable length get its steps one by one. A step over padding hands the state on as it
    was, so that the last state is that of the text.
    """

    max_unrolled = 64
    """Tokens up to which the steps, some thirty operators each, make a graph that converts and loads."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.config = base.config
        self.embeddings, self.lstm = base.embeddings, base.lstm
        self.input_names = ("input_ids", "attention_mask", *(("token_type_ids",) if base.config.is_siamese else ()))
        self.max_positions = base.config.max_position_embeddings
        # ONNX has its gates in another order, and both directions in one tensor.
        self.register_buffer("onnx_input", _by_direction(self.lstm, "weight_ih"), persistent=False)
        self.register_buffer("onnx_recurrent", _by_direction(self.lstm, "weight_hh"), persistent=False)
        biases = [_by_direction(self.lstm, "bias_ih"), _by_direction(self.lstm, "bias_hh")]
        self.register_buffer("onnx_bias", torch.cat(biases, dim=1), persistent=False)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None, first_only: bool) -> Tensor:
        """(B, S) tokens to (B, 1, F): the vector of the text, or of the pair."""
        read = self._last_states_onnx if torch.onnx.is_in_onnx_export() else self._last_states
        return joined([read(side) for side in sides(self.config, ids, mask, types)])[:, None]

    def _last_states_onnx(self, side: Side) -> Tensor:
        vectors = self.embeddings(side.input_ids).transpose(0, 1)
        length, batch, size = vectors.shape[0], vectors.shape[1], self.lstm.hidden_size
        inputs: Any = (vectors, self.onnx_input, self.onnx_recurrent, self.onnx_bias, side.lengths.to(torch.int32))
        _, last = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            inputs,
            {"hidden_size": size, "direction": "bidirectional"},
            dtypes=(torch.float32, torch.float32),
            shapes=((length, 2, batch, size), (2, batch, size)),
        )
        return torch.cat((last[0], last[1]), dim=-1)

    def _last_states(self, side: Side) -> Tensor:
        vectors = self.embeddings(side.input_ids)
        length = vectors.shape[1]
        place = torch.arange(length, dtype=side.lengths.dtype, device=vectors.device)
        is_real = (place[None, :] < side.lengths[:, None]).to(vectors.dtype)
        onward, back = range(length), range(length - 1, -1, -1)
        last = [self._walk(vectors, is_real, order, end) for order, end in ((onward, ""), (back, "_reverse"))]
        return torch.cat(last, dim=-1)

    def _walk(self, vectors: Tensor, is_real: Tensor, order: range, end: str) -> Tensor:
        """The last state (B, h) of one direction."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self.lstm, f"{name}_l0{end}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        seen = nn.functional.linear(vectors, weight_ih, bias_ih + bias_hh)
        state = torch.zeros_like(seen[:, 0, : self.lstm.hidden_size])
        memory = state
        for step in order:
            gates = seen[:, step] + nn.functional.linear(state, weight_hh)
            enter, forget, cell, leave = gates.chunk(4, dim=-1)
            kept = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(cell)
            shown = torch.sigmoid(leave) * torch.tanh(kept)
            here = is_real[:, step : step + 1]
            memory, state = memory + here * (kept - memory), state + here * (shown - state)
        return state


def _by_direction(lstm: nn.LSTM, name: str) -> Tensor:
    """(2, 4h, ...) in ONNX's order of gates: input, output, forget, cell."""
    each = []
    for end in ("", "_reverse"):
        enter, forget, cell, leave = getattr(lstm, f"{name}_l0{end}").detach().chunk(4, dim=0)
        each.append(torch.cat((enter, leave, forget, cell), dim=0))
    return torch.stack(each)
