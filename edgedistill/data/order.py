"""In which order rows are learnt: random, rows of similar length together, in batches of so many rows or tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgedistill.data.ragged import Indices
from edgedistill.data.ranking import rows_of

_POOL = 50
"""Batches whose rows are sorted by length together: enough that hardly any padding is left, few enough that the order
stays close to random."""


@dataclass(frozen=True)
class Tokens:
    """A batch's size in tokens: as many rows as keep rows times the longest of them within it, at least one.

    Attributes:
        most: padding counted.
    """

    most: int


Size = int | Tokens
"""Of a batch: rows, or tokens."""


def in_random_order(
    lengths: Indices, seed: int, epoch: int, size: Size, bounds: Indices | None = None
) -> Iterator[Indices]:
    """Row numbers of an epoch's batches: random, rows of similar length together.

    Args:
        lengths: (N,) of the rows.
        seed: of the run.
        epoch: which pass, from 0.
        size: rows in a batch, only the last one smaller, on average where some stay together; or its tokens, more only
            where what stays together has more.
        bounds: (Q + 1,) where those that stay together start and the last ones end; none: each row is alone.
    """
    if not len(lengths):
        return
    if isinstance(size, Tokens):
        yield from _by_tokens(lengths, seed, epoch, size.most, bounds)
        return
    if bounds is None:
        yield from _alone(lengths, seed, epoch, size)
        return
    generator = np.random.default_rng([seed, epoch])
    order, pool_size = generator.permutation(len(bounds) - 1), _POOL * size
    longest = np.maximum.reduceat(lengths, bounds[:-1])
    pools = [order[start : start + pool_size] for start in range(0, len(order), pool_size)]
    order = np.concatenate([pool[np.argsort(longest[pool], kind="stable")] for pool in pools])
    rows = np.diff(bounds)[order]
    # A batch takes what begins within its share of the rows: of rows that are alone exactly as many as it shall have.
    shares = (np.cumsum(rows) - rows) // size
    batches = np.split(order, np.flatnonzero(np.diff(shares)) + 1)
    full = min(len(lengths) // size, len(batches))
    for number in [*generator.permutation(full), *range(full, len(batches))]:
        yield rows_of(bounds, batches[number])


def _alone(lengths: Indices, seed: int, epoch: int, size: int) -> Iterator[Indices]:
    """The same where each row is alone, and there may be very many: eight bytes of each are held."""
    generator = np.random.default_rng([seed, epoch])
    order, pool_size = generator.permutation(len(lengths)), _POOL * size
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        order[start : start + pool_size] = pool[np.argsort(lengths[pool], kind="stable")]
    full = len(lengths) // size
    for number in generator.permutation(full):
        yield order[number * size : (number + 1) * size]
    if len(lengths) % size:
        yield order[full * size :]


def _by_tokens(lengths: Indices, seed: int, epoch: int, most: int, bounds: Indices | None) -> Iterator[Indices]:
    """Batches of nearly as many tokens each: short rows share one with many others."""
    generator = np.random.default_rng([seed, epoch])
    longest = lengths if bounds is None else np.maximum.reduceat(lengths, bounds[:-1])
    rows = np.ones_like(lengths) if bounds is None else np.diff(bounds)
    order = generator.permutation(len(longest))
    pool_size = max(1, round(_POOL * most / float((longest * rows).mean())))
    batches: list[Indices] = []
    for start in range(0, len(order), pool_size):
        # The batch that the pool before did not fill goes on in this one: only the epoch's last one stays small.
        pool = np.concatenate([*batches[-1:], order[start : start + pool_size]])
        del batches[-1:]
        pool = pool[np.argsort(longest[pool], kind="stable")]
        batches += _cut(pool, longest[pool], rows[pool], most)
    for number in generator.permutation(len(batches)):
        yield batches[number] if bounds is None else rows_of(bounds, batches[number])


def _cut(pool: Indices, longest: Indices, rows: Indices, most: int) -> Iterator[Indices]:
    """Cut what is sorted by length into batches; each has what still fits, at least one.

    Args:
        pool: (N,) numbers of single rows, or of those that stay together.
        longest: (N,) tokens of the longest row of each, rising.
        rows: (N,) of each.
        most: tokens.
    """
    begin = 0
    while begin < len(pool):
        near = slice(begin, begin + max(1, most // max(int(longest[begin]), 1)))  # no more of them can fit
        places = np.cumsum(rows[near]) * longest[near]
        end = begin + max(1, int(np.searchsorted(places, most, side="right")))
        yield pool[begin:end]
        begin = end
