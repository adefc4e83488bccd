"""Which vocabularies a plan lists: the teacher's whole one, and what a text leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill import plugins
from edgedistill.config import build, with_settings
from edgedistill.data.tasks import MASKED_WORDS, find_task
from edgedistill.errors import ConfigError
from edgedistill.pipeline.shapes import RECIPE
from edgedistill.pipeline.vocabulary import cut_tokenizer

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

_COVERAGES = (1.0, 0.95)
"""Shares of the text's tokens that keep their entries: nothing that occurs is lost, or what is rarest."""


@dataclass(frozen=True)
class Text:
    """What vocabularies are cut to: the training rows of a task, raw text, or both."""

    task: str | None = None
    data: Path | None = None
    corpus: Path | None = None

    @property
    def words(self) -> list[str]:
        """What to type for it."""
        said = (("--task", self.task), ("--data", self.data), ("--corpus", self.corpus))
        return [word for name, value in said if value is not None for word in (name, str(value))]


def readers_of(
    checkpoint: Checkpoint, text: Text, settings: Sequence[str], length: int, seed: int
) -> dict[int | None, Checkpoint]:
    """The teacher by how many entries its vocabulary is cut to; none for the whole one.

    Those with fewer have no numbers in them: only their shape and their tokenizer are of use.

    Args:
        checkpoint: the teacher.
        text: that vocabularies are cut to; without any there is the whole one only.
        settings: `key=value` texts of the recipe; where they say how to cut, there is that cut only.
        length: tokens of every text.
        seed: of the rows that are put aside.

    Raises:
        ConfigError: a cut that cannot be, or one without a text.
        DataError: text that cannot be read.
    """
    from edgedistill.data.task_data import load_task_data
    from edgedistill.data.vocabulary import VocabularyConfig
    from edgedistill.models.vocabulary import hollow

    how = build(plugins.load("recipes", RECIPE).Config, with_settings({}, settings), "--set").vocabulary
    if text.task is None and text.corpus is None:
        if how is not None:
            raise ConfigError("vocabulary: there is no text to cut it to. Give --task and --data, or --corpus FILE.")
        return {None: checkpoint}
    task = find_task(text.task or MASKED_WORDS)
    data = load_task_data(task, text.data, checkpoint.tokenizer, max_length=length, seed=seed, corpus=text.corpus)
    found: dict[int | None, Checkpoint] = {None: checkpoint} if how is None else {}
    for each in [how] if how is not None else [VocabularyConfig(coverage=share) for share in _COVERAGES]:
        tokenizer = cut_tokenizer(data, each)
        found[len(tokenizer)] = hollow(checkpoint, tokenizer)
    return found
