"""Smoothing of a PyTorch module, for runtimes whose own quantizer comes after the conversion; see `smoothing`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from edgedistill.quant.schemes import LEAST_OUTPUTS
from edgedistill.quant.smoothing import channel_factors
from edgedistill.runner import Arrays


class Smoothed(nn.Module):
    """A linear whose input is divided by channel, and whose weights are multiplied by as much."""

    def __init__(self, linear: nn.Linear, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("shares", 1 / factors)
        self.shares: Tensor
        self.linear = deepcopy(linear)
        self.linear.weight.data *= factors

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) to (..., out) float32."""
        output: Tensor = self.linear(hidden * self.shares)
        return output


def smoothed(piece: Any, texts: Iterable[Arrays]) -> Any:
    """A copy in which all linears that read a LayerNorm are smoothed; those that read the same one share their factors.

    In exact arithmetic nothing changes. The LayerNorm itself stays: the residual reads it too.

    Args:
        piece: a module that takes integer tensors, and names them in `input_names`.
        texts: (1, S) arrays to watch it on.
    """
    copy = deepcopy(piece).eval()
    reach, read_by = _watched(copy, texts)
    for norm, names in read_by.items():
        linears = {name: copy.get_submodule(name) for name in names}
        weights = [linear.weight.detach().numpy().T for linear in linears.values()]
        factors = torch.from_numpy(channel_factors(reach[norm].numpy(), weights))
        for name, linear in linears.items():
            parent, _, own = name.rpartition(".")
            setattr(copy.get_submodule(parent), own, Smoothed(linear, factors))
    return copy


def _watched(piece: Any, texts: Iterable[Arrays]) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """How far each channel behind every LayerNorm reaches, (H,), and the linears that read it, both by its name."""
    reach: dict[str, Tensor] = {}
    norm_of: dict[str, str] = {}
    written: dict[int, tuple[str, Tensor]] = {}

    def has_written(name: str, output: Tensor) -> None:
        largest = output.abs().flatten(0, -2).amax(0)
        reach[name] = torch.maximum(reach.get(name, largest), largest)
        written[_place(output)] = name, output

    def reads(name: str, given: Tensor) -> None:
        if _place(given) in written:
            norm_of.setdefault(name, written[_place(given)][0])

    hooks = []
    for name, module in piece.named_modules():
        if isinstance(module, nn.LayerNorm):
            hooks.append(module.register_forward_hook(lambda _m, _i, output, name=name: has_written(name, output)))
        elif isinstance(module, nn.Linear) and module.out_features >= LEAST_OUTPUTS:
            hooks.append(module.register_forward_pre_hook(lambda _m, given, name=name: reads(name, given[0])))
    with torch.inference_mode():
        for text in texts:
            written.clear()
            piece(**{name: torch.from_numpy(text[name]) for name in piece.input_names})
    for hook in hooks:
        hook.remove()
    read_by: dict[str, list[str]] = defaultdict(list)
    for name, norm in norm_of.items():
        read_by[norm].append(name)
    return reach, read_by


def _place(tensor: Tensor) -> int:
    """What a tensor and its slices have in common."""
    return tensor.untyped_storage().data_ptr()
