"""What a target exports: a view of one piece, or of several that a driver runs as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgedistill.artifacts import Driver, State

MODEL = "model"
"""Name of the piece that is the whole model."""
CARRY = State(output="last_hidden_state", input="hidden_state")
"""What a segment hands to the next one. ONNX wants other names for what goes in than for what comes out."""


class Piece(nn.Module):
    """What becomes one graph, or one graph for every fixed length.

    Attributes:
        name: within the artifact.
        config: the model's own configuration.
        input_names: in the order `forward` takes them; each (B, S) integer, but for hidden states (B, S, H) float32.
        output_names: in the order `forward` gives them; float32.
        state: what is carried from call to call; nothing for most.
    """

    name: str = MODEL
    config: Any
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    state: tuple[State, ...] = ()

    @property
    def free_axes(self) -> dict[str, tuple[int, ...]]:
        """Axes that are free where a graph takes any batch and length; the first input's are these two."""
        return dict.fromkeys(self.input_names, (0, 1))

    def example_inputs(self, batch: int, length: int, dtype: str = "int64") -> dict[str, Tensor]:
        """Optimum's dummy texts by input name, each (B, S): random, so that no exporter takes a value for a constant.

        Args:
            batch: B; more than 1 where it is to be free.
            length: S, at least 2.
            dtype: "int64" or "int32".
        """
        from optimum.utils import DummyTextInputGenerator, NormalizedTextConfig

        texts = DummyTextInputGenerator("text-classification", NormalizedTextConfig(self.config), batch, length)
        return {
            name: torch.randn(batch, length, int(self.config.hidden_size))
            if name == CARRY.input
            else texts.generate(name, framework="pt", int_dtype=dtype)
            for name in self.input_names
        }


class View(Protocol):
    """A model as the targets see it: its pieces, and how they are run."""

    kind: str
    """What the answer means: "single" (pairs too), "regression", "span", "tokens" or "embedding"."""
    input_names: tuple[str, ...]
    """What of a tokenised text the model takes."""
    max_positions: int
    """Longest input in tokens the weights have positions for."""
    max_unrolled: int | None
    """Longest input where a runtime gets a recurrent network step by step; none for other networks."""
    note: str
    """What whoever exports should know; empty for most."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """In the order they are run."""
        ...

    def driver(self, names: Sequence[tuple[str, ...]], is_fixed: bool) -> Driver:
        """How the exported graphs are run.

        Args:
            names: for every piece its graphs, by rising length.
            is_fixed: whether a graph takes one length only; else each piece has one graph.
        """
        ...


def graph_name(piece: str, length: int | None) -> str:
    """What the graph of a piece is called; None for one of any length."""
    if length is None:
        return piece
    return f"length_{length}" if piece == MODEL else f"{piece}_length_{length}"
