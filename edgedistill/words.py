"""What a student kept of its teacher's words: entries of the vocabulary, and numbers for each."""

from __future__ import annotations

from edgedistill.config import Settings


class Reading(Settings):
    """How a student with a cut vocabulary reads some rows, special tokens counted unless said otherwise."""

    rows: int
    """How many."""
    coverage: float
    """Share of the teacher's tokens, special ones left out, whose entries the student has too."""
    unknown: float
    """Share of the student's tokens that are [UNK]."""
    teacher_unknown: float
    """Share of the teacher's tokens that are [UNK]."""
    growth: float
    """Tokens of a text, relative to the teacher's; both cut to the longest input."""
    changed: float
    """Share of the texts that are split otherwise than by the teacher."""


class VocabularyReport(Settings):
    """What a student kept of its teacher's vocabulary."""

    entries: int
    """How many."""
    teacher_entries: int
    """How many there were."""
    train: Reading
    """The training rows, which it was cut to."""
    judged: Reading
    """The judged rows, which it was not."""

    @property
    def sentence(self) -> str:
        """It in one line."""
        held_out = self.judged
        return (
            f"{self.entries:,} of the teacher's {self.teacher_entries:,} entries; of the judged texts' tokens "
            f"{held_out.coverage:.2%} keep theirs, {held_out.unknown:.3%} are [UNK] (the teacher's "
            f"{held_out.teacher_unknown:.3%}), and there are {held_out.growth:.3f} times as many"
        )


class EmbeddingReport(Settings):
    """What a student's narrower word embeddings kept of its teacher's when it was built."""

    size: int
    """Numbers a word."""
    teacher_size: int
    """Numbers a word of the teacher's."""
    error_tokens: float
    """Relative error (Frobenius) of the factorised table, each word as often as it occurs in the training rows."""
    error_entries: float
    """The same, each word once."""

    @property
    def sentence(self) -> str:
        """It in one line."""
        return (
            f"{self.size} numbers a word for the teacher's {self.teacher_size}; what the factors lose before anything "
            f"is learnt: {self.error_tokens:.3f} over the training tokens, {self.error_entries:.3f} over the entries"
        )
