"""Which words may stand for which in a text.

For a word of one piece these are what a masked-LM guesses in its place; for a word of several pieces its neighbours
among the word vectors, which are the pieces' embeddings, averaged.
Candidates depend on the text, the masked-LM and nothing random: they are looked for once and kept where the tokenised
rows are (`HF_DATASETS_CACHE`), for other runs as well.

Reference: Jiao et al., 2020 (TinyBERT), section 3.2 and algorithm 1, which takes word vectors from GloVe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from edgedistill import files
from edgedistill.data.augment import is_piece_of_word
from edgedistill.data.batches import Batch
from edgedistill.data.ragged import Indices
from edgedistill.data.tokenise import same_tokens
from edgedistill.errors import ConfigError
from edgedistill.progress import progress

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

_FORMAT = 1
_BATCH = 128
_MARKS = "\u0120\u2581"

_FUNCTION_WORDS = """
a about above across after again against all almost along also although always am among an and another any anyone
anything are around as at away back be because been before behind being below beneath beside besides between beyond
both but by can cannot could despite did do does doing done down during each either else enough even ever every
everyone everything except few for from further had has have having he her here hers herself him himself his how
however i if in inside instead into is it its itself just least less like many may me might mine more most much
must my myself near neither never no nobody none nor not nothing now of off often on once one only onto or other
others otherwise our ours ourselves out outside over own per perhaps quite rather same several shall she should
since so some someone something still such than that the their theirs them themselves then there therefore these
they thing this those though through throughout thus to together too toward towards under unless until up upon us
very was we were what whatever when whenever where wherever whether which while who whoever whole whom whose why
will with within without would yes yet you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words without a meaning of their own, in English; they are never replaced."""


class Texts(Protocol):
    """Rows whose words are looked at (`data.rows.Rows`)."""

    def __len__(self) -> int: ...

    def all(self, batch_size: int) -> Iterator[Batch]:
        """Every row once."""
        ...

    def batch(self, rows: Indices) -> Batch:
        """The batch of those rows."""
        ...


@dataclass(frozen=True)
class Candidates:
    """W replaceable words of N rows and K candidates for each.

    Attributes:
        row_ids: N ids, in the order of `offsets`.
        offsets: (N + 1,) int64, where each row's words start and the last one's end.
        places: (W, 3) int32: the word's first token, the token after its last, and 0 or 1 for the first or second text.
        table: (W, K) int32, tokens that are words, likeliest first.
    """

    row_ids: tuple[str, ...]
    offsets: Tensor
    places: Tensor
    table: Tensor


@dataclass(frozen=True)
class _Words:
    """What a vocabulary's tokens are.

    Attributes:
        surfaces: their text, lower case, without marks.
        is_continuing: V times whether a token goes on with the word before.
        is_special: V times.
        is_candidate: (V,) bool, whole words that may be put in.
        separator: id of the token between two texts.
    """

    surfaces: list[str]
    is_continuing: list[bool]
    is_special: list[bool]
    is_candidate: Tensor
    separator: int | None


@dataclass(frozen=True)
class _Found:
    """The replaceable words of N rows: the rows' ids and sizes in tokens, how many words each has, where they are."""

    row_ids: list[str]
    sizes: list[int]
    counts: list[int]
    places: Tensor
    tokens: list[tuple[int, ...]]

    @property
    def offsets(self) -> Tensor:
        return torch.tensor([0, *np.cumsum(self.counts)], dtype=torch.int64)


def masked_lm(path: str | Path, tokenizer: Any) -> Checkpoint:
    """Load a masked-LM that can be asked about a tokenizer's texts.

    Raises:
        CheckpointError: it cannot be read.
        ConfigError: it guesses no words, or splits text into other tokens.
    """
    from edgedistill.models.loading import load
    from edgedistill.models.vocabulary import read_by

    found = read_by(load(path), tokenizer)
    if found.kind != "mlm" or found.tokenizer.mask_token_id is None:
        raise ConfigError(
            f"'{path}' has no masked-word head ({found.kind}). Give the folder or Hub id of a masked-LM such as "
            "bert-base-uncased, or make one: edgedistill distill mlm."
        )
    if not same_tokens(found.tokenizer, tokenizer):
        raise ConfigError(
            f"the masked-LM '{path}' splits text into other tokens than the student. Give one of the same vocabulary."
        )
    return found


def find_candidates(rows: Texts, tokenizer: Any, model: nn.Module, count: int, *, has_guesses: bool) -> Candidates:
    """Look for candidates, or read those of an earlier run.

    Args:
        rows: whose words are to be replaced.
        tokenizer: theirs and the model's.
        model: its embeddings are the word vectors.
        count: K, candidates for each word; fewer where the vocabulary has not so many words.
        has_guesses: whether the model is a masked-LM, to be asked about words of one piece; otherwise they have
            neighbours too.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    import datasets

    words = _words_of(tokenizer)
    found = _replaceable(rows, words)
    count = max(1, min(count, int(words.is_candidate.sum()) - 1))
    embeddings = model.get_input_embeddings().weight  # type: ignore[operator]
    key = _key(rows, embeddings, model if has_guesses else None, count)
    path = Path(datasets.config.HF_DATASETS_CACHE) / "edgedistill" / f"candidates-{key}.safetensors"
    table = _read(path, len(found.places), count)
    if table is None:
        table = _neighbours(found.tokens, embeddings, words, count)
        if has_guesses:
            _guess(table, rows, found, model, int(tokenizer.mask_token_id), words)
        with files.atomic_file(path) as part:
            part.write_bytes(safetensors.torch.save({"table": table}))
    return Candidates(tuple(found.row_ids), found.offsets, found.places, table)


def _words_of(tokenizer: Any) -> _Words:
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    surfaces = [name.lstrip(_MARKS).removeprefix("##").lower() for name in names]
    is_special = torch.zeros(len(names), dtype=torch.bool)
    is_special[sorted(set(tokenizer.all_special_ids))] = True
    is_continuing = is_piece_of_word(names) & ~is_special
    is_word = torch.tensor([_is_replaceable(surface) for surface in surfaces])
    is_candidate = is_word & ~is_continuing & ~is_special
    return _Words(surfaces, is_continuing.tolist(), is_special.tolist(), is_candidate, tokenizer.sep_token_id)


def _is_replaceable(word: str) -> bool:
    return len(word) > 1 and word.isalpha() and word not in STOP_WORDS


def _replaceable(rows: Texts, words: _Words) -> _Found:
    row_ids: list[str] = []
    sizes: list[int] = []
    each: list[list[tuple[int, int, int]]] = []
    tokens: list[tuple[int, ...]] = []
    has_candidates = bool(words.is_candidate.any())
    for batch in rows.all(_BATCH):
        row_ids += batch.row_ids
        sizes += batch.student.attention_mask.sum(dim=1).tolist()
        for ids, size in zip(batch.student.input_ids.tolist(), sizes[-len(batch) :], strict=True):
            each.append(list(_words_in(ids[:size], words)) if has_candidates else [])
            tokens += [tuple(ids[first:end]) for first, end, _ in each[-1]]
    places = torch.tensor([place for found in each for place in found], dtype=torch.int32).reshape(-1, 3)
    return _Found(row_ids, sizes, [len(found) for found in each], places, tokens)


def _words_in(ids: list[int], words: _Words) -> Iterator[tuple[int, int, int]]:
    side, first = 0, 0
    while first < len(ids):
        end = first + 1
        if words.is_special[ids[first]]:
            side = 1 if ids[first] == words.separator else side
            first = end
            continue
        while end < len(ids) and words.is_continuing[ids[end]]:
            end += 1
        if _is_replaceable("".join(words.surfaces[token] for token in ids[first:end])):
            yield first, end, side
        first = end


def _neighbours(tokens: list[tuple[int, ...]], embeddings: Tensor, words: _Words, count: int) -> Tensor:
    """(W, K) int32, by the cosine; a word is no neighbour of its own."""
    different = sorted(set(tokens))
    number = {word: place for place, word in enumerate(different)}
    known = words.is_candidate.nonzero().squeeze(1)
    table = embeddings.detach().float().cpu()
    directions = F.normalize(table[known], dim=1)
    found = [torch.zeros(0, count, dtype=torch.int32)]
    for start in range(0, len(different), _BATCH):
        part = different[start : start + _BATCH]
        vectors = torch.stack([table[list(word)].mean(dim=0) for word in part])
        likeness = F.normalize(vectors, dim=1) @ directions.T
        own = torch.tensor([word[0] if len(word) == 1 else -1 for word in part])
        likeness[own[:, None] == known] = -2.0
        found.append(known[likeness.topk(count, dim=1).indices].to(torch.int32))
    return torch.cat(found)[[number[word] for word in tokens]]


@torch.no_grad()
def _guess(table: Tensor, rows: Texts, found: _Found, model: nn.Module, mask_id: int, words: _Words) -> None:
    """Put a masked-LM's guesses into the table for every word of one piece, each hidden alone in its whole text."""
    from edgedistill.models.answers import answer
    from edgedistill.models.outputs import Want

    model.eval()
    device = next(model.parameters()).device
    single = torch.tensor([number for number, word in enumerate(found.tokens) if len(word) == 1], dtype=torch.int64)
    row_of = torch.repeat_interleave(torch.arange(len(found.counts)), torch.tensor(found.counts))
    single = single[torch.tensor(found.sizes)[row_of[single]].argsort(stable=True)]  # little padding
    is_refused = ~words.is_candidate.to(device)
    with progress("asking the masked-LM for words", len(single)) as bar:
        for start in range(0, len(single), _BATCH):
            which = single[start : start + _BATCH]
            tokens = rows.batch(row_of[which].numpy()).student
            where = torch.zeros_like(tokens.input_ids, dtype=torch.bool)
            where[torch.arange(len(which)), found.places[which, 0].long()] = True
            own = tokens.input_ids[where].to(device)
            hidden = replace(tokens, input_ids=tokens.input_ids.masked_fill(where, mask_id))
            guesses = answer(model, hidden.to(device), Want(words=where.to(device))).logits
            assert guesses is not None
            logits = guesses[:, : len(is_refused)].masked_fill(is_refused, float("-inf"))
            logits.scatter_(1, own[:, None], float("-inf"))
            table[which] = logits.topk(table.shape[1], dim=1).indices.cpu().to(torch.int32)
            bar.advance(len(which))


def _key(rows: Texts, embeddings: Tensor, model: nn.Module | None, count: int) -> str:
    """Hex hash of all that candidates depend on: tokens, word vectors and the masked-LM's weights."""
    digest = hashlib.sha256(f"{_FORMAT} {count} {model is not None}".encode())
    for batch in rows.all(1024):
        digest.update("\n".join(batch.row_ids).encode())
        digest.update(batch.student.input_ids.numpy().tobytes())
    parts = [embeddings] if model is None else list(model.parameters())
    for part in parts:
        digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path, words: int, count: int) -> Tensor | None:
    """The stored table; none where there is no such file or it is damaged, to be made again."""
    try:
        table: Tensor = safetensors.torch.load_file(path)["table"]
    except (OSError, KeyError, SafetensorError):
        return None
    return table if table.shape == (words, count) else None
