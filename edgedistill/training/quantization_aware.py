"""Quantization-aware training: forward passes go through an export's rounding, so that the weights learn to bear it.

What is rounded is what the ONNX export of that scheme makes integers of, on the same grids: weights of linears and rows
of embeddings, and with int8_dynamic what linears read. Gradients pass the rounding as if it were not there, and weights
stay float32: what is saved is an ordinary student, which then loses less by the scheme.

References: Jacob et al., 2018, arXiv:1712.05877, section 3 (training through simulated quantization); Bengio et al.,
2013, arXiv:1308.3432 (the straight-through estimator).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.errors import TrainingError
from edgedistill.quant.grids import in_blocks, in_pairs, in_rows
from edgedistill.quant.schemes import LEAST_NUMBERS, LEAST_OUTPUTS, SCHEMES, Scheme
from edgedistill.training.stage import Stage

Grid = Callable[[Tensor], Tensor]


class _Straight(torch.autograd.Function):
    """Round forwards; backwards the gradient as it is."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Grid) -> Tensor:
        return grid(values.float()).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight(values: Tensor, grid: Grid) -> Tensor:
    """Round to a grid that gradients do not see."""
    rounded: Tensor = _Straight.apply(values, grid)  # type: ignore[no-untyped-call]
    return rounded


@contextmanager
def rounded(stage: Stage) -> Iterator[None]:
    """Let the model's linears and embeddings round where the stage asks for it; its weights keep names and values.

    Raises:
        TrainingError: the model has nothing that the scheme would round.
    """
    if stage.optim.quantization_aware is None:
        yield
        return
    scheme = SCHEMES[stage.optim.quantization_aware]
    found = [module for module in stage.model.modules() if _is_rounded(module)]
    if not found:
        raise TrainingError(
            f"stage '{stage.name}': scheme '{scheme.name}' rounds nothing of this model. Leave quantization_aware out."
        )
    for module in found:
        how: Any = _linear if isinstance(module, nn.Linear) else _embedding
        module.forward = partial(how, module, scheme)
    try:
        yield
    finally:
        for module in found:
            del module.forward


def _is_rounded(module: nn.Module) -> bool:
    """Whether an export makes integers of its weight: small ones and those that give the answer itself stay float."""
    if not isinstance(module, nn.Linear | nn.Embedding) or module.weight.numel() < LEAST_NUMBERS:
        return False
    return isinstance(module, nn.Embedding) or module.out_features >= LEAST_OUTPUTS


def _linear(module: nn.Linear, scheme: Scheme, values: Tensor) -> Tensor:
    grid = in_blocks if scheme.weights == 4 else in_rows
    if scheme.activations == 8:
        values, grid = straight(values, in_rows), in_pairs
    return nn.functional.linear(values, straight(module.weight, grid), module.bias)


def _embedding(module: nn.Embedding, scheme: Scheme, ids: Tensor) -> Tensor:
    """Look rows up, then round them: each has a scale of its own, with every scheme."""
    return straight(nn.Embedding.forward(module, ids), in_rows)
