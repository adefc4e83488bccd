"""LAMB: Adam whose step is scaled, matrix by matrix, to the size of the weights (You et al., 2020, arXiv:1904.00962).

What MobileBERT and its teacher are trained with: large batches need large learning rates, which this keeps stable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    """Algorithm 2 of the paper, with bias correction and phi the identity.

    Vectors (biases and norms) take Adam's own step, as in the authors' code: the size of a bias says little.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        """Take groups of parameters, each with its own `weight_decay` where it has one."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self._direction(parameter, parameter.grad, group)
                    parameter.add_(direction, alpha=-group["lr"] * _trust(parameter, direction))
        return None if closure is None else closure()

    def _direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        (first, second), count = group["betas"], float(state["step"].add_(1))
        mean = state["exp_avg"].lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        direction: Tensor = (mean / (1 - first**count)) / ((square / (1 - second**count)).sqrt() + group["eps"])
        return direction.add_(parameter, alpha=group["weight_decay"])


def _trust(parameter: Tensor, direction: Tensor) -> float:
    """How large a step is, in units of the weights' own size; 1 where one of them has none."""
    if parameter.dim() < 2:
        return 1.0
    size, length = float(parameter.norm()), float(direction.norm())
    return size / length if size > 0 and length > 0 else 1.0
