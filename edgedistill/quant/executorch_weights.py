"""8-bit weights for ExecuTorch: PyTorch's own quantizer (PT2E) for products, rows of integers for words."""

from __future__ import annotations

import copy
from typing import Any

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edgedistill.quant.grids import rows

_LEAST_ROWS = 1024
"""Smaller tables (positions, token types) stay in float: nothing is gained."""


def quantized(module: nn.Module, example: tuple[Tensor, ...], free: Any = None) -> nn.Module:
    """The same network with 8-bit weights; the one given is left as it is.

    Products take their activations' range from each input, weights theirs per output channel, symmetrically.

    Args:
        module: float32.
        example: inputs.
        free: which sizes of them are free, as `torch.export.export` wants it; none: all are fixed.
    """
    module = copy.deepcopy(module)
    for name, table in list(module.named_modules()):
        if isinstance(table, nn.Embedding) and table.num_embeddings >= _LEAST_ROWS:
            owner, _, own = name.rpartition(".")
            setattr(module.get_submodule(owner), own, _IntegerRows(table))
    how = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    graph: Any = torch.export.export(module, example, dynamic_shapes=free).module()
    prepared = prepare_pt2e(graph, XNNPACKQuantizer().set_operator_type(torch.ops.aten.linear.default, how))
    prepared(*example)
    converted: nn.Module = convert_pt2e(prepared)
    return converted


class _IntegerRows(nn.Module):
    """An embedding table of 8-bit integers with a scale for each row."""

    rows: Tensor
    scales: Tensor

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        integers, scales = rows(table.weight.detach())
        self.register_buffer("rows", integers)
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        found = torch.nn.functional.embedding(ids, self.rows)
        return found.to(self.scales.dtype) * torch.nn.functional.embedding(ids, self.scales)
