"""A safetensors file as NumPy arrays mapped from the disk: no torch, and bfloat16 as its raw bits.

Reference: the safetensors format: 8 bytes header length, a JSON header, then the tensors' bytes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import CheckpointError

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U8": "u1", "BOOL": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip
_BF16_EXPONENT = 0x7F80


@dataclass(frozen=True)
class Stored:
    """One tensor.

    Attributes:
        values: its numbers; for bfloat16 the 16 raw bits of each.
        dtype: safetensors' name of the type.
    """

    values: NDArray[Any]
    dtype: str


def read(path: Path) -> dict[str, Stored]:
    """Map every tensor of a file.

    Raises:
        CheckpointError: cut short, or not a safetensors file.
    """
    try:
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            if start > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(start - 8))
        data = np.memmap(path, dtype=np.uint8, mode="r", offset=0)[start:]
        return {name: _stored(data, facts) for name, facts in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{path.name}' is cut short or no safetensors file: {error}.") from error


def is_finite(tensor: Stored) -> bool:
    """Whether there is no NaN and no infinity in it."""
    if tensor.dtype == "BF16":
        return not bool(np.any((tensor.values & _BF16_EXPONENT) == _BF16_EXPONENT))
    return bool(np.isfinite(tensor.values).all())


def _stored(data: NDArray[np.uint8], facts: dict[str, Any]) -> Stored:
    begin, end = facts["data_offsets"]
    dtype = np.dtype(_DTYPES[facts["dtype"]])
    size = math.prod(facts["shape"]) * dtype.itemsize
    if not 0 <= begin <= end <= len(data) or end - begin != size:
        raise ValueError("a tensor lies outside the file")
    return Stored(np.asarray(data[begin:end]).view(dtype).reshape(facts["shape"]), facts["dtype"])
