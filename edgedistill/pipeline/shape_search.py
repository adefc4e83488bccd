"""Which shapes are worth being converted and timed, when time is for a few of them only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgedistill.pipeline.shapes import Candidate

_HOPEFUL = 1.3
"""A shape guessed this much over the budget may still meet it; beyond, timing it would be a waste."""


_FLATTEST, _STEEPEST = 0.4, 1.2
"""Of a time that is proportional to the work; some of it is the same for every shape."""


def widest(affordable: Sequence[Candidate]) -> list[Candidate]:
    """Of those with the same blocks the one with the widest embeddings and most words: they cost hardly any time."""
    by_blocks: dict[tuple[int, int], Candidate] = {}
    for one in affordable:
        by_blocks.setdefault((one.settings["intra_size"], one.settings["num_ffn"]), one)
    return list(by_blocks.values())


def next_shape(
    affordable: Sequence[Candidate], seen: Sequence[tuple[Candidate, float]], p90_ms: float | None, most: int
) -> Candidate | None:
    """The shape whose time would tell most; none when more times would tell nothing.

    The least work comes first: where that is too slow, everything is. Then, by a straight line through the times so
    far, the largest that should be fast enough, and at last the one just beyond it. Without a budget of time, shapes
    from the least work to the most.

    Args:
        affordable: shapes that may be timed.
        seen: those that were, each with its milliseconds.
        p90_ms: the budget.
        most: shapes to be seen altogether.
    """
    by_work = sorted(affordable, key=lambda one: one.work)
    if p90_ms is None:
        places = [round(place * (len(by_work) - 1) / max(1, most - 1)) for place in range(most)]
        return by_work[places[len(seen)]]
    if not seen:
        return by_work[0]
    if seen[0][1] > _HOPEFUL * p90_ms:
        return None
    known = {one.name for one, _ in seen}
    fast = [one.block_parameters for one, ms in seen if ms <= p90_ms]
    larger = [one for one in by_work if one.name not in known and one.block_parameters > max(fast, default=0)]
    guesses = {one.name: scaled(one, seen)[0] for one in larger}
    within = [one for one in larger if guesses[one.name] <= p90_ms]
    if within:
        return max(within, key=lambda one: one.block_parameters)
    beyond = min(larger, key=lambda one: guesses[one.name], default=None)
    return beyond if beyond is not None and guesses[beyond.name] <= _HOPEFUL * p90_ms else None


def scaled(one: Candidate, seen: Sequence[tuple[Candidate, float]]) -> tuple[float, tuple[str, ...]]:
    """Milliseconds by the line through the two shapes seen that are nearest in work, or through 0 and the only one.

    Two near ones may lie on any line where other processes disturb them, so that its slope is kept believable.

    Returns:
        The milliseconds, and the names of the shapes that they were scaled from.
    """
    first, *others = sorted(seen, key=lambda pair: abs(pair[0].work - one.work))
    second = others[0] if others else (replace(first[0], work=0), 0.0)
    slope = (second[1] - first[1]) / (second[0].work - first[0].work or 1)
    proportional = first[1] / first[0].work
    slope = min(max(slope, _FLATTEST * proportional), _STEEPEST * proportional)
    return first[1] + slope * (one.work - first[0].work), tuple(each.name for each, _ in (first, *others[:1]))
