"""How far two sets of answers are apart, in pure NumPy: errors, agreement, and what a sample can prove.

"First" is always the reference (the student in PyTorch, the teacher), "second" what is judged against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

RESAMPLES = 10_000
_CELLS_PER_CHUNK = 2_000_000


@dataclass(frozen=True)
class Difference:
    """Numeric distance of two lists of outputs, over all values of all texts.

    Attributes:
        max_abs: largest absolute difference of two values.
        relative: |second - first| / |first|, Euclidean norms over everything.
        cosine: mean over texts of the cosine between the two outputs.
        sqnr_db: signal to quantization noise ratio, 20 log10(|first| / |second - first|); infinite when equal.
        worst_text: position of the text with the largest absolute difference.
        is_finite: whether neither side has a NaN or an infinity.
    """

    max_abs: float
    relative: float
    cosine: float
    sqnr_db: float
    worst_text: int
    is_finite: bool


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: on the rows as they are.
        low: 2.5th percentile.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the interval's width: how far the truth may well be from the estimate."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Interval:
        """The same in another unit."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def difference(first: Sequence[Floats], second: Sequence[Floats]) -> Difference:
    """Compare outputs text by text.

    Args:
        first: the reference's outputs, one array a text, any shape.
        second: the judged outputs, with as many values for each text.
    """
    ones = [np.ravel(value).astype(np.float64) for value in first]
    twos = [np.ravel(value).astype(np.float64) for value in second]
    sizes = [(len(one), len(two)) for one, two in zip(ones, twos, strict=True)]
    if any(one != two for one, two in sizes):
        worst = next(place for place, (one, two) in enumerate(sizes) if one != two)
        return Difference(math.inf, math.inf, 0.0, -math.inf, worst, False)
    is_finite = all(np.isfinite(value).all() for value in (*ones, *twos))
    if not is_finite:
        worst = next(p for p, pair in enumerate(zip(ones, twos, strict=True)) if not np.isfinite(pair).all())
        return Difference(math.inf, math.inf, 0.0, -math.inf, worst, False)
    largest = [float(np.abs(two - one).max(initial=0.0)) for one, two in zip(ones, twos, strict=True)]
    signal = math.sqrt(sum(float(one @ one) for one in ones))
    noise = math.sqrt(sum(float((two - one) @ (two - one)) for one, two in zip(ones, twos, strict=True)))
    return Difference(
        max_abs=max(largest, default=0.0),
        relative=_over(noise, signal),
        cosine=float(np.mean([_cosine(one, two) for one, two in zip(ones, twos, strict=True)])) if ones else 1.0,
        sqnr_db=math.inf if noise == 0 else -math.inf if signal == 0 else 20 * math.log10(signal / noise),
        worst_text=int(np.argmax(largest)) if largest else 0,
        is_finite=True,
    )


def correlation(first: Sequence[Floats], second: Sequence[Floats]) -> float:
    """How alike two models answer apart from constant offsets: Pearson's r over texts, pooled over outputs.

    Each output's mean over the texts is taken off first, so that two biased but unrelated models do not look alike.
    Needs outputs of one size; 0 where an output never changes.
    """
    one = np.stack([np.ravel(value) for value in first]).astype(np.float64)
    two = np.stack([np.ravel(value) for value in second]).astype(np.float64)
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    return _over(float((one * two).sum()), math.sqrt(float((one**2).sum()) * float((two**2).sum())))


def agreement(first: Sequence[Any], second: Sequence[Any], band: float = 0.0) -> float:
    """Share of texts with the same answer; the mean share of equal tags where an answer is a tuple of tags.

    Args:
        first: answers of `evaluate.decide`: classes, scores, (start, end) spans or tags.
        second: likewise.
        band: scores this close count as the same answer.
    """
    if not len(first):
        return math.nan
    return float(np.mean([_agrees(one, two, band) for one, two in zip(first, second, strict=True)]))


def _agrees(one: Any, two: Any, band: float) -> float:
    if isinstance(one, float):
        return float(abs(one - two) <= band)
    if isinstance(one, tuple) and len(one) > 2 and len(one) == len(two):
        return float(np.mean(np.equal(one, two)))
    return float(one == two)


def paired_bootstrap(
    first: Callable[[Floats], Floats],
    second: Callable[[Floats], Floats],
    rows: int,
    *,
    statistic: Literal["drop", "ratio"] = "drop",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """How much a score falls from one model to the other, and how sure these rows make us.

    Both models are scored on the very same resampled rows, so what a hard row costs both of them cancels out.

    Args:
        first: the reference's score as a function of (R, N) row weights; gives (R,) scores.
        second: the judged model's, likewise.
        rows: N.
        statistic: drop is first - second; ratio is second / first.
        resamples: how many.
        seed: of the resampling.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: percentile intervals.
    """

    def compare(weights: Floats) -> Floats:
        one, two = first(weights), second(weights)
        if statistic == "drop":
            return np.asarray(one - two)
        return np.divide(two, one, out=np.zeros_like(two), where=one > 0)

    value = float(compare(np.ones((1, rows)))[0])
    samples = np.concatenate([compare(weights) for weights in resampled_weights(rows, resamples, seed)])
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def resampled_weights(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each row occurs in each bootstrap resample, (R, N) in chunks that fit into memory."""
    random = np.random.default_rng(seed)
    chunk = max(1, min(resamples, _CELLS_PER_CHUNK // max(rows, 1)))
    for start in range(0, resamples, chunk):
        yield _weights(random, rows, min(chunk, resamples - start))


def _weights(random: np.random.Generator, rows: int, resamples: int) -> NDArray[np.float32]:
    drawn = random.integers(rows, size=(resamples, rows)) + np.arange(resamples)[:, None] * rows
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(np.float32)


def with_rule_of_three(interval: Interval, rows: int, cost: float = 1.0) -> Interval:
    """Widen an interval to what unseen differences may cost.

    Where two models answer alike on every row the bootstrap's interval has no width at all, even on five rows. With
    95 % confidence up to 3 / N of unseen rows may still differ, each changing the score by `cost` / N.
    """
    reach = 3.0 * cost / max(rows, 1)
    return Interval(
        interval.value, min(interval.low, interval.value - reach), max(interval.high, interval.value + reach)
    )


def rows_needed(interval: Interval, rows: int, widest: float) -> int:
    """How many rows bring the margin down to `widest`, above 0; margins shrink with the square root of the rows."""
    return max(rows + 1, math.ceil(rows * (interval.margin / widest) ** 2))


def _over(above: float, below: float) -> float:
    if below > 0:
        return above / below
    return 0.0 if above == 0 else math.inf


def _cosine(one: Floats, two: Floats) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / lengths if lengths > 0 else float(np.array_equal(one, two))
