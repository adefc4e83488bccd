"""What a teacher says of every word of a target: its K likeliest words and how much it gives to all others.

Asked once for every row and kept beside the tokenised rows, under a name that is a hash of the teacher's weights, the
rows and the settings: a run that goes on, or another one with the same teacher, finds it. 8 K + 4 bytes a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edgedistill import files
from edgedistill.data.batches import Batch, Encoded
from edgedistill.data.conditional import STRIDE, Blanks, covered, target_of
from edgedistill.data.ragged import Indices
from edgedistill.data.tasks import IGNORED
from edgedistill.progress import progress

_FORMAT, _BATCH = 1, 64
_NOTHING = -1e4
"""Logarithm of no mass at all, finite so that 0 times it is 0."""

Guess = Callable[[Encoded, Tensor], Tensor]
"""A masked-LM: tokens and which are hidden, (B, W), to (N, V) logits row by row."""


@dataclass(frozen=True)
class Asking:
    """How a teacher is asked.

    Attributes:
        guess: the teacher.
        blanks: of its tokenizer.
        count: K, words that are kept.
        temperature: of `TopWords.rest`.
        stride: between tokens hidden together.
    """

    guess: Guess
    blanks: Blanks
    count: int
    temperature: float
    stride: int = STRIDE


class Pairs(Protocol):
    """Rows of a task of kind generation (`data.rows.Rows`)."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Indices:
        """(N,) tokens of each source."""
        ...

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once."""
        ...

    def batch(self, rows: Indices) -> Batch:
        """The batch of those rows."""
        ...


@dataclass(frozen=True)
class TopWords:
    """A teacher's answers for N tokens.

    Attributes:
        words: (N, K) int64, the likeliest first.
        logits: (N, K) float32.
        rest: (N,) float32, the logarithm of the sum of exp(logit / temperature) over all other words.
    """

    words: Tensor
    logits: Tensor
    rest: Tensor

    def to(self, device: torch.device) -> TopWords:
        """The same on `device`."""
        return TopWords(self.words.to(device), self.logits.to(device), self.rest.to(device))


def top_words(logits: Tensor, count: int, temperature: float) -> TopWords:
    """Keep the likeliest words.

    Args:
        logits: (N, V).
        count: K, at most V.
        temperature: of `rest`, whose exact value depends on it.
    """
    best = logits.float().topk(min(count, logits.shape[-1]), dim=-1)
    others = (logits.float() / temperature).scatter(-1, best.indices, float("-inf"))
    return TopWords(best.indices, best.values, others.logsumexp(dim=-1).clamp(min=_NOTHING))


class TopWordTable:
    """Answers for the targets of many rows, looked up by row id."""

    def __init__(self, row_ids: Sequence[str], lengths: Sequence[int], found: TopWords) -> None:
        """Wrap answers.

        Args:
            row_ids: of the rows.
            lengths: target tokens of each.
            found: row after row.
        """
        ends = np.cumsum([0, *lengths])
        self._places = {row: slice(*ends[number : number + 2]) for number, row in enumerate(row_ids)}
        self._found = found

    def __call__(self, row_ids: Sequence[str]) -> TopWords:
        """Those rows' answers, one row after the other."""
        each = [self._places[row] for row in row_ids]
        words, logits, rest = (
            torch.cat([part[place] for place in each])
            for part in (self._found.words, self._found.logits, self._found.rest)
        )
        return TopWords(words.long(), logits, rest)


def ask(batch: Batch, how: Asking) -> TopWords:
    """Ask about every target token of a batch of pairs, each hidden once; the answers row by row."""
    places: list[Tensor] = []
    found: list[TopWords] = []
    with torch.no_grad():
        for shown, is_hidden, numbers in covered(batch, how.blanks, how.stride):
            places.append(numbers)
            found.append(top_words(how.guess(shown, is_hidden), how.count, how.temperature))
    order = torch.cat(places).argsort()
    words, logits, rest = (
        torch.cat(parts)[order]
        for parts in ([part.words for part in found], [part.logits for part in found], [part.rest for part in found])
    )
    return TopWords(words, logits, rest)


def ask_all(rows: Pairs, teacher: nn.Module, how: Asking) -> TopWordTable:
    """Ask about every row, or read what was asked before.

    Args:
        rows: pairs.
        teacher: whose weights tell stored answers apart.
        how: it is asked.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    import datasets

    key, row_ids, lengths = _described(rows, teacher, how)
    path = Path(datasets.config.HF_DATASETS_CACHE) / "edgedistill" / f"words-{key}.safetensors"
    found = _read(path, sum(lengths))
    if found is None:
        found = _asked(rows, how, lengths)
        with files.atomic_file(path) as part:
            part.write_bytes(safetensors.torch.save(vars(found)))
    return TopWordTable(row_ids, lengths, found)


def _asked(rows: Pairs, how: Asking, lengths: list[int]) -> TopWords:
    sizes = torch.from_numpy(rows.lengths) + torch.tensor(lengths)
    order = sizes.argsort(stable=True).tolist()
    each: dict[int, tuple[Tensor, ...]] = {}
    with progress("asking the teacher", len(rows)) as bar:
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            found = ask(rows.batch(np.array(places)), how)
            parts = [getattr(found, name).cpu().split([lengths[p] for p in places]) for name in vars(found)]
            each |= {place: (words.int(), *more) for place, words, *more in zip(places, *parts, strict=True)}
            bar.advance(len(places))
    words, logits, rest = (torch.cat([each[place][part] for place in range(len(rows))]) for part in range(3))
    return TopWords(words, logits, rest)


def _described(rows: Pairs, teacher: nn.Module, how: Asking) -> tuple[str, list[str], list[int]]:
    """Hex hash of all that the answers depend on, and every row's id and number of target tokens."""
    digest = hashlib.sha256(f"{_FORMAT} {how.stride} {how.count} {how.temperature!r}".encode())
    row_ids: list[str] = []
    lengths: list[int] = []
    for batch in rows.all(1024):
        row_ids += batch.row_ids
        target = target_of(batch)
        lengths += target.ne(IGNORED).sum(dim=1).tolist()
        for part in (batch.student.input_ids, target):
            digest.update(part.numpy().tobytes())
    for weights in teacher.parameters():
        digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest(), row_ids, lengths


def _read(path: Path, tokens: int) -> TopWords | None:
    """The stored answers; none where there is no such file or it is damaged, to be asked again."""
    try:
        found = TopWords(**safetensors.torch.load_file(path))
    except (OSError, TypeError, SafetensorError):
        return None
    return found if len(found.words) == tokens else None
