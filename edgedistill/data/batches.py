"""The batch every model and loss here receives, with its shapes stated once.

Shape letters, in all of edgedistill: B batch, S sequence, H hidden, A heads, L layers, V vocabulary, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """Tokenised text, padded on the right.

    Attributes:
        input_ids: (B, S) int64.
        attention_mask: (B, S) int64, 1 for real tokens.
        token_type_ids: (B, S) int64, 1 for the second text of a pair.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor

    def to(self, device: torch.device) -> Encoded:
        """The same tokens on `device`."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Encoded:
        """The same tokens, each tensor as `change` gives it."""
        return Encoded(change(self.input_ids), change(self.attention_mask), change(self.token_type_ids))


@dataclass(frozen=True)
class Batch:
    """Some rows of a task, ready for a model.

    Attributes:
        row_ids: stable ids of the rows, the same from loading to the report; what a cached teacher answers by.
        student: the student's tokens.
        teacher: the same rows in the teacher's tokens, where its tokenizer differs; else the very same object.
        labels: (B,) int64 classes (of a ranking 1 for the right candidate), (B,) float32 scores, (B, 2) int64 answer
            spans (first and last token), (B, S) int64 token tags or masked-word ids with -100 to ignore, (B, T) int64
            tokens of the text to be written, its end included, with -100 behind it; None for unlabelled text.
        task: whose rows these are, where a stage learns several tasks; else None.
        next_sentence: (B,) int64, 0 where the second text follows the first and 1 where it comes from elsewhere; None
            unless the rows are such pairs.
        questions: (B,) int64, of a ranking the number of each row's question, all candidates of one next to each
            other; else None.
    """

    row_ids: tuple[str, ...]
    student: Encoded
    teacher: Encoded
    labels: Tensor | None = None
    task: str | None = None
    next_sentence: Tensor | None = None
    questions: Tensor | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def shares_tokens(self) -> bool:
        """Whether teacher and student read the same tokens; token-level losses need that."""
        return self.teacher is self.student

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`; token sharing is kept."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """The same batch in memory that a GPU copies from while it computes."""
        return self.each(Tensor.pin_memory)

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch, each tensor as `change` gives it; token sharing is kept."""

        def changed(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        student = self.student.each(change)
        return replace(
            self,
            student=student,
            teacher=student if self.shares_tokens else self.teacher.each(change),
            labels=changed(self.labels),
            next_sentence=changed(self.next_sentence),
            questions=changed(self.questions),
        )
