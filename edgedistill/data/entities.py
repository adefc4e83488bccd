"""Entities: what the tags of a sentence's words mark, as CoNLL's evaluation reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.data.tasks import IGNORED

Entity = tuple[str, int, int]
"""Its kind, and its first and last word."""
Sentences = Sequence[Any] | NDArray[Any]
"""The entities of every sentence, a tuple each."""
OUTSIDE = "O"


def entities(tags: Sequence[int], names: Sequence[str]) -> tuple[Entity, ...]:
    """The entities of one sentence.

    `B-` begins one, `I-` continues one of its kind or, where there is none, begins one. Names without either continue
    what has the same name.

    Args:
        tags: of its words.
        names: of the tags: "O", "B-PER", "I-PER", ...
    """
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        mark, _, kind = names[tag].partition("-") if names[tag][:2] in {"B-", "I-"} else ("I", "", names[tag])
        if kind == OUTSIDE:
            continue
        if found and mark == "I" and found[-1][0] == kind and found[-1][2] == place - 1:
            found[-1] = kind, found[-1][1], place
        else:
            found.append((kind, place, place))
    return tuple(found)


def entities_of(given: Sequence[int], right: Sequence[int], names: Sequence[str]) -> tuple[tuple[Entity, ...], ...]:
    """The entities of given and of right tags of a sentence's tokens, those left out that have no right tag."""
    pairs = [(one, two) for one, two in zip(given, right, strict=False) if two != IGNORED]
    return tuple(entities([int(pair[side]) for pair in pairs], names) for side in (0, 1))


def counts(given: Sentences, right: Sentences) -> NDArray[np.float64]:
    """(N, 3) of every sentence: entities found to the word and in kind, given ones, right ones."""
    rows = [(len(set(one) & set(two)), len(one), len(two)) for one, two in zip(given, right, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def entity_scores(given: Sentences, right: Sentences) -> dict[str, float]:
    """Precision, recall and their F1 over the entities of all sentences."""
    hits, answered, wanted = (float(total) for total in counts(given, right).sum(axis=0))
    return {
        "entity_f1": 2 * hits / max(answered + wanted, 1.0),
        "precision": hits / max(answered, 1.0),
        "recall": hits / max(wanted, 1.0),
    }


def recall_by_kind(given: Sentences, right: Sentences) -> dict[str, float]:
    """Share of each kind's right entities that are found, the kinds in their names' order."""
    wanted = Counter(entity[0] for row in right for entity in row)
    hits = Counter(
        entity[0] for one, two in zip(given, right, strict=True) for entity in set(one) & set(two)
    )  # fmt: skip
    return {kind: hits[kind] / wanted[kind] for kind in sorted(wanted)}
