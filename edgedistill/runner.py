"""The one shape every executable model has here: named arrays in, named arrays out.

PyTorch, ONNX Runtime, LiteRT and a phone all look like this to the gate, the metrics and the bench.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]
"""Named arrays. Inputs: `input_ids`, `attention_mask`, `token_type_ids`, each (B, S) integer.
Outputs by Hugging Face's names: `logits` (B, C), `start_logits` / `end_logits` (B, S),
`last_hidden_state` (B, S, H), ... each float32."""


class Runner(Protocol):
    """Answers a padded batch. Casts integer inputs to what its graph wants; drops inputs it does not have.

    A runner with fixed lengths pads up to the next bucket itself and cuts sequence-shaped outputs back to S.
    """

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run one batch.

        Raises:
            DataError: the batch is longer than the longest length the model takes.
        """
        ...
