"""Calibration text: what a quantizer watches a model's activations on. Never a row of the split that judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgedistill.data.encoding import Encoding, pad
from edgedistill.runner import Arrays

Text = tuple[str, str | None]
"""One text, or a pair."""


@dataclass(frozen=True)
class Calibration:
    """Chosen texts in the model's own tokens.

    Attributes:
        texts: as they are written into the artifact.
        encodings: their tokens, cut to the longest input.
        source: where they come from, for people.
    """

    texts: tuple[Text, ...]
    encodings: tuple[Encoding, ...]
    source: str

    def inputs(self, length: int | None = None) -> Iterator[Arrays]:
        """The texts one by one, (1, S) each; padded to `length` where the graph has one, otherwise not at all."""
        for encoding in self.encodings:
            yield pad([encoding], length)


def stratified(groups: Sequence[Hashable], count: int, seed: int) -> list[int]:
    """Choose rows so that every group has as many as every other, as far as it has them.

    Args:
        groups: what each row belongs to: its label.
        count: most rows to choose.
        seed: of the choice within a group.

    Returns:
        Row numbers, rising.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row in np.random.default_rng([seed, 0xCA11]).permutation(len(groups)).tolist():
        members[groups[row]].append(row)
    turns = [(turn, row) for rows in members.values() for turn, row in enumerate(rows)]
    return sorted(row for _, row in sorted(turns)[:count])


def built_in(count: int, seed: int, in_pairs: bool) -> list[Text]:
    """Requests to an assistant from the embedded task's train split, every intent alike: for models without data.

    Args:
        count: how many texts, or pairs of a text and the next.
        seed: of the choice.
        in_pairs: whether the model reads pairs.
    """
    from edgedistill.data import assistant

    rows = list(assistant.generate("train"))
    texts = [str(rows[row]["text"]) for row in stratified([row["intent"] for row in rows], count, seed)]
    return [(text, following) for text, following in zip(texts, texts[1:] + texts[:1], strict=True)] if in_pairs else [
        (text, None) for text in texts
    ]  # fmt: skip
