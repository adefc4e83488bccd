"""The batch every model and loss here receives, with its shapes stated once.

Shape letters, in all of edgedistill: B batch, S sequence, H hidden, A heads, L layers, V vocabulary, C classes.
"""

from __future__ import annotations

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
        return Encoded(
            self.input_ids.to(device, non_blocking=True),
            self.attention_mask.to(device, non_blocking=True),
            self.token_type_ids.to(device, non_blocking=True),
        )


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
        student = self.student.to(device)
        return replace(
            self,
            student=student,
            teacher=student if self.shares_tokens else self.teacher.to(device),
            labels=None if self.labels is None else self.labels.to(device, non_blocking=True),
            next_sentence=None if self.next_sentence is None else self.next_sentence.to(device, non_blocking=True),
            questions=None if self.questions is None else self.questions.to(device, non_blocking=True),
        )
