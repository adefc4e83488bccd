"""8-bit weights for ExecuTorch: PyTorch's own quantizer (PT2E) for products, rows of integers for words."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch import Tensor, fx, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edgedistill.quant.grids import in_rows, rows
from edgedistill.quant.schemes import LEAST_NUMBERS
from edgedistill.quant.search import Kept

DYNAMIC = "int8_dynamic"
"""The only scheme of integers here."""
NOT_WEIGHTS = {"position embeddings, norms, biases, softmax, products of activations": "not weights of a product"}
_LEAST_ROWS = 1024
"""Smaller tables (positions, token types) stay in float: nothing is gained."""


def numbers_of(module: nn.Module) -> dict[str, int]:
    """How many numbers each weight has that is worth leaving in float, by the path of its module."""
    found = {name: one.weight.numel() for name, one in _weights(module)}
    return {name: count for name, count in found.items() if count >= LEAST_NUMBERS}


def quantized(module: nn.Module, example: tuple[Tensor, ...], free: Any = None, kept: Kept = frozenset()) -> nn.Module:
    """The same network with 8-bit weights; the one given is left as it is.

    Products take their activations' range from each input, weights theirs per output channel, symmetrically.

    Args:
        module: float32.
        example: inputs.
        free: which sizes of them are free, as `torch.export.export` wants it; none: all are fixed.
        kept: weights that stay in float, by the path of their module.
    """
    module = copy.deepcopy(module)
    for name, one in list(_weights(module)):
        if isinstance(one, nn.Embedding) and name not in kept:
            owner, _, own = name.rpartition(".")
            setattr(module.get_submodule(owner), own, _IntegerRows(one))
    how = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    graph: Any = torch.export.export(module, example, dynamic_shapes=free).module()
    quantizer = XNNPACKQuantizer().set_operator_type(torch.ops.aten.linear.default, how)
    quantizer.set_filter_function(partial(_is_quantized, kept))
    prepared = prepare_pt2e(graph, quantizer)
    prepared(*example)
    converted: nn.Module = convert_pt2e(prepared)
    return converted


def rounded(module: nn.Module, kept: Kept) -> nn.Module:
    """A copy that rounds in PyTorch what `quantized` makes integers of: nearly the same answers without a conversion.

    What a product reads is rounded token by token.
    """
    module = copy.deepcopy(module)
    for name, one in _weights(module):
        if name not in kept:
            one.weight = nn.Parameter(in_rows(one.weight.detach()), requires_grad=False)
            if isinstance(one, nn.Linear):
                one.register_forward_pre_hook(lambda _, inputs: (in_rows(inputs[0]),))
    return module.eval()


def _weights(module: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Embedding]]:
    """Every module whose weight becomes integers, with its path."""
    for name, one in module.named_modules():
        if isinstance(one, nn.Linear) or (isinstance(one, nn.Embedding) and one.num_embeddings >= _LEAST_ROWS):
            yield name, one


def _is_quantized(kept: Kept, node: fx.Node) -> bool:
    """Whether a product of the exported graph has a weight that is not kept."""
    weight = node.args[1] if len(node.args) > 1 else None
    return not isinstance(weight, fx.Node) or str(weight.target).removesuffix(".weight") not in kept


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
