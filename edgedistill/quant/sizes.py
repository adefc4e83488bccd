"""How many bytes a MobileBERT's model file will have, told from its parameters before anything is converted.

Weights are counted exactly as the schemes store them; what a file holds beside them (operators, shapes, names) is
counted per block and feed-forward network, with constants read off real files. Within 5 % of the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.quant.schemes import LEAST_NUMBERS, LEAST_OUTPUTS, SCHEMES

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class _Format:
    """What a runtime's files need beside the numbers, in bytes.

    Attributes:
        model: once.
        block: per block with its last feed-forward network.
        ffn: per further feed-forward network.
        widened: per tensor that is stored in fewer bits and widened before use.
        integer: per tensor that is used in the bits it is stored in.
        scale: per row or channel of an integer tensor.
        least_numbers: smaller matrices stay in float.
        least_rows: matrices with fewer outputs stay in float.
        cuts_positions: whether only the positions of the fixed length are kept, and in float.
    """

    model: int
    block: int
    ffn: int
    widened: int
    integer: int
    scale: int
    least_numbers: int = 0
    least_rows: int = 0
    cuts_positions: bool = False


_FORMATS = {
    "onnx": _Format(3200, 5000, 960, 180, 180, 4, least_numbers=LEAST_NUMBERS, least_rows=LEAST_OUTPUTS),
    "tflite": _Format(13_000, 29_300, 6_500, 330, 0, 12, cuts_positions=True),
}
"""Read off files of onnx 1.23 and litert-torch 0.10 with blocks, networks and widths varied one at a time."""


def file_bytes(model: PreTrainedModel, target: str, scheme: str, length: int) -> int:
    """Bytes of the model file of one fixed length.

    Args:
        model: a MobileBERT; its numbers are not read, so the "meta" device will do.
        target: runtime; one that is not known here is counted like ONNX.
        scheme: a name of `SCHEMES`.
        length: tokens.
    """
    form = _FORMATS.get(target, _FORMATS["onnx"])
    blocks, networks = int(model.config.num_hidden_layers), int(model.config.num_feedforward_networks)
    total = form.model + blocks * (form.block + (networks - 1) * form.ffn)
    return total + sum(_tensor_bytes(form, scheme, name, value, length) for name, value in model.named_parameters())


def _tensor_bytes(form: _Format, scheme: str, name: str, value: Tensor, length: int) -> int:
    rows, bits = len(value), SCHEMES[scheme].weights
    is_positions = "position_embeddings" in name
    if is_positions and form.cuts_positions:
        return 4 * min(rows, length) * value.shape[1]
    is_table = "embeddings.weight" in name
    is_small = value.numel() < form.least_numbers or (rows < form.least_rows and not is_table and bits <= 8)
    if value.dim() == 1 or bits == 32 or is_small:
        return 4 * value.numel()
    if bits == 4 and not is_table:
        blocks = rows * -(-value.shape[1] // 32)
        return 20 * blocks + form.integer
    bits = max(bits, 8)  # look-up tables have no form in four bits
    scales = form.scale * rows if bits <= 8 else 0
    beside = form.integer if SCHEMES[scheme].activations <= 8 else form.widened
    return value.numel() * bits // 8 + scales + beside
