"""A task's rows together with variants of them, for recipes whose labels come from the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill import resources
from edgedistill.data.candidates import Candidates, Together, find_candidates, masked_lm, refuse_few_words
from edgedistill.data.variants import How, Variants
from edgedistill.data.vectors import read_vectors
from edgedistill.models.loading import load
from edgedistill.models.vocabulary import read_by
from edgedistill.progress import say
from edgedistill.training.processes import accelerator, summed

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from edgedistill.data.task_data import TaskData

_MOST_WORDS = 400_000
"""As many as GloVe's own files have; the most frequent ones come first."""


def refuse_unreadable(
    tokenizer: PreTrainedTokenizerFast, masked_lm_at: str | None, vectors: Path | None, count: int
) -> None:
    """Make sure, before anything is trained, that what `with_variants` will ask can be asked.

    Args:
        tokenizer: of the rows.
        masked_lm_at: the checkpoint with guesses; none: it has none.
        vectors: file of word vectors; none: there is none.
        count: candidates for each word.

    Raises:
        CheckpointError: no masked-LM, or one of other tokens.
        DataError: no file of word vectors, or one of too few of the vocabulary's words.
    """
    if masked_lm_at is not None:
        masked_lm(resources.checkpoint(masked_lm_at), tokenizer)
    if vectors is not None:
        refuse_few_words(tokenizer, read_vectors(vectors, _MOST_WORDS), count)


def with_variants(
    data: TaskData, how: How, source: str, count: int, *, has_guesses: bool, vectors: Path | None = None
) -> Variants:
    """The training rows and variants of each.

    Words to put in are looked for by `prepare`, by every process for its share of them.

    Args:
        data: the task's.
        how: rows are varied.
        source: checkpoint whose embeddings are the word vectors.
        count: candidates for each word.
        has_guesses: whether the checkpoint is a masked-LM, to be asked for words.
        vectors: file of word vectors, for the words that it has.
    """

    def find() -> Candidates:
        path = resources.checkpoint(source)
        table = None if vectors is None else read_vectors(vectors, _MOST_WORDS)
        asked = masked_lm(path, data.tokenizer) if has_guesses else read_by(load(path), data.tokenizer)
        here = accelerator()
        found = find_candidates(
            data.train, data.tokenizer, asked.model.to(here.device), count, has_guesses=has_guesses, vectors=table,
            together=Together(here.process_index, here.num_processes, lambda own: summed(own.to(here.device)).cpu()),
        )  # fmt: skip
        rows, words = len(found.row_ids), len(found.places)
        say(f"words that variants may replace: {words} in {rows} rows" + ("" if words else "; variants are copies"))
        return found

    return Variants(data.train, find, how, data.tokenizer.pad_token_id or 0)
