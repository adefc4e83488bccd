"""Teachers behind one interface: online, cached or an ensemble. Recipes never call a teacher's module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgedistill.data.batches import Batch
from edgedistill.models.outputs import Outputs, Want


@dataclass(frozen=True)
class TeacherFacts:
    """What a recipe may ask of a teacher before it builds a student.

    Attributes:
        source: the Hub id or folder it came from.
        sha256: of its weights.
        family: transformers' model type, such as "bert".
        num_layers, hidden_size, num_heads, vocab_size: its shape.
        parameters: how many, exactly.
        labels: class names in logit order; empty for a bare encoder.
        licence: as its card states it, or "unknown".
    """

    source: str
    sha256: str
    family: str
    num_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int
    parameters: int
    labels: tuple[str, ...]
    licence: str = "unknown"


class TeacherProvider(Protocol):
    """Answers a batch, by running a frozen model on it or by looking its row ids up."""

    @property
    def facts(self) -> TeacherFacts:
        """What it is."""
        ...

    def __call__(self, batch: Batch, want: Want = ...) -> Outputs:
        """The teacher's outputs for `batch.row_ids` in that order, without gradients.

        Raises:
            TrainingError: it cannot give what is wanted (a cache of logits asked for hidden states, or
                token-level outputs wanted where teacher and student do not share tokens).
        """
        ...
