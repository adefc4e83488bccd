"""Writing a text: the encoder once, then the decoder word by word, greedily or with several beams.

Beam search is transformers' with `early_stopping=False`: a text is finished by its end or at the longest length, only
the best candidates may finish, and the search goes on while the best open text could still beat the worst kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.artifacts import Graph, Seq2Seq
from edgedistill.errors import DataError
from edgedistill.runner import GREEDY, LOG_PROBABILITIES, TOKENS, Arrays, Call

Cache = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Writer:
    """An encoder-decoder's graphs, ready to run.

    Attributes:
        driver: how it writes.
        encoder: runs the encoder.
        decoder: runs one step.
        step: the step's graph: its state, and the shapes of an empty one.
        longest: longest source in tokens.
        fixed: length that every source is padded to; None where it is free.
    """

    driver: Seq2Seq
    encoder: Call
    decoder: Call
    step: Graph
    longest: int
    fixed: int | None = None

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Write a text for each source of a batch.

        Returns:
            `tokens` (B, T), the start left out, padding behind the end; where the driver asks for all, `greedy` and its
            words' `log_probabilities` (B, T) too.

        Raises:
            DataError: a source is too long.
        """
        rows = [self._row(inputs, number) for number in range(len(inputs["input_ids"]))]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, inputs: Arrays, number: int) -> dict[str, NDArray[np.float32]]:
        source = self._source(inputs, number)
        given: Arrays = {"attention_mask": source["attention_mask"], **self.encoder(source)}
        driver, pad = self.driver, float(self.driver.pad_id)
        found = {TOKENS: self._filled(beam_search(self, given) if driver.beams > 1 else greedy(self, given)[0], pad)}
        if driver.asks_all:
            words, logs = greedy(self, given)
            found |= {GREEDY: self._filled(words, pad), LOG_PROBABILITIES: self._filled(logs, 0.0)}
        return found

    def _source(self, inputs: Arrays, number: int) -> dict[str, NDArray[np.int64]]:
        mask = np.asarray(inputs["attention_mask"])[number]
        size, most = int(np.flatnonzero(mask).max(initial=0)) + 1, self.fixed or self.longest
        if size > most:
            raise DataError(f"the text has {size} tokens; the model takes {most}. Cut it first.")
        found = {
            name: np.zeros((1, self.fixed or len(mask)), dtype=np.int64) for name in ("input_ids", "attention_mask")
        }
        for name, row in found.items():
            row[0, :size] = np.asarray(inputs[name])[number, :size]
        return found

    def _filled(self, values: list[Any], filler: float) -> NDArray[np.float32]:
        room = np.full(self.driver.max_new_tokens, filler, dtype=np.float32)
        room[: len(values)] = values
        return room

    def empty(self) -> Cache:
        """A cache with nothing in it, for one text."""
        shapes = {tensor.name: tensor.shape[1:] for tensor in self.step.inputs}
        return {one.input: np.zeros((1, *map(int, shapes[one.input])), np.float32) for one in self.step.state}

    def next(self, given: Arrays, word: int, place: int, cache: Cache) -> tuple[NDArray[np.float64], Cache]:
        """Log-probabilities (V,) of what follows a word, and the cache with that word in it."""
        own = {"input_ids": np.array([[word]]), "position": np.array([[place]])}
        answers = self.decoder({**given, **own, **cache})
        logits = answers["logits"][0].astype(np.float64)
        logits -= logits.max()
        logs = logits - np.log(np.exp(logits).sum())
        logs[list(self.driver.never)] = -np.inf
        return logs, {one.input: answers[one.output] for one in self.step.state}


def greedy(writer: Writer, given: Arrays) -> tuple[list[int], list[float]]:
    """Always the likeliest word.

    Args:
        writer: the graphs.
        given: the source's mask and what the encoder made of it.

    Returns:
        The words, and the log-probability of each.
    """
    driver, cache, word = writer.driver, writer.empty(), writer.driver.start_id
    words: list[int] = []
    logs: list[float] = []
    while len(words) < driver.max_new_tokens and (not words or word != driver.end_id):
        found, cache = writer.next(given, word, len(words), cache)
        word = int(found.argmax())
        words.append(word)
        logs.append(float(found[word]))
    return words, logs


@dataclass(frozen=True)
class _Open:
    """A text that is gone on with: its words, their log-probability, the cache up to the word before the last."""

    words: tuple[int, ...]
    score: float
    cache: Cache


def beam_search(writer: Writer, given: Arrays) -> list[int]:
    """The best of several texts that are gone on with side by side.

    Args:
        writer: the graphs.
        given: the source's mask and what the encoder made of it.
    """
    driver = writer.driver
    beams = [_Open((driver.start_id,), 0.0, writer.empty())]
    done: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, driver.max_new_tokens + 1):
        candidates = _candidates(writer, given, beams, length - 1)
        ends = [one.words[-1] == driver.end_id or length == driver.max_new_tokens for one in candidates]
        ended = [
            (one.score / length**driver.length_penalty, one.words)
            for one, is_end in zip(candidates[: driver.beams], ends, strict=False)
            if is_end
        ]
        done = sorted([*done, *ended], key=lambda pair: -pair[0])[: driver.beams]
        beams = [one for one, is_end in zip(candidates, ends, strict=True) if not is_end][: driver.beams]
        if not beams or _is_decided(driver, done, beams[0].score, length):
            break
    return list(done[0][1][1:])


def _candidates(writer: Writer, given: Arrays, beams: list[_Open], place: int) -> list[_Open]:
    """The likeliest continuations of all beams, best first: twice as many as beams, so that enough do not end."""
    found = [writer.next(given, one.words[-1], place, one.cache) for one in beams]
    scores = np.concatenate([one.score + logs for one, (logs, _) in zip(beams, found, strict=True)])
    size = len(found[0][0])
    order = [n for n in best(scores, 2 * writer.driver.beams) if np.isfinite(scores[n])]
    return [_Open((*beams[n // size].words, n % size), float(scores[n]), found[n // size][1]) for n in order]


def best(scores: NDArray[np.float64], count: int) -> list[int]:
    """Places of the highest scores, best first, the earlier of equal ones: a sort of few, not of the vocabulary."""
    count = min(count, len(scores))
    likely = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return [int(place) for place in likely[np.argsort(-scores[likely], kind="stable")][:count]]


def _is_decided(driver: Seq2Seq, done: list[tuple[float, tuple[int, ...]]], best_open: float, length: int) -> bool:
    """Whether no open text can beat the worst of a full set of finished ones."""
    return len(done) == driver.beams and best_open / length**driver.length_penalty <= done[-1][0]
