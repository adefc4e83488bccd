"""Which words may stand for which in a text.

For a word of one piece these are what a masked-LM guesses in its place; for a word of several pieces its neighbours
among word vectors: those of a file such as GloVe's where it has the word, else the pieces' embeddings, averaged.
Candidates depend on the text, the masked-LM and nothing random: they are looked for once and kept where the tokenised
rows are (`HF_DATASETS_CACHE`), for other runs as well.

Reference: Jiao et al., 2020 (TinyBERT), section 3.2 and algorithm 1, which takes word vectors from GloVe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from edgedistill import files
from edgedistill.data.replaceable import Replaceable, Texts, Words, replaceable_words, words_of
from edgedistill.data.tokenise import same_tokens
from edgedistill.data.vectors import WordTable
from edgedistill.errors import ConfigError, DataError
from edgedistill.progress import progress

if TYPE_CHECKING:
    from edgedistill.models.loading import Checkpoint

_FORMAT = 1
_BATCH = 128


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


@dataclass(frozen=True)
class Together:
    """Processes that look for candidates of the same rows, each for its share; by default there is one.

    Attributes:
        process: which of them this is, from 0.
        processes: how many.
        summed: the sum of what every process gives.
    """

    process: int = 0
    processes: int = 1
    summed: Callable[[Tensor], Tensor] = field(default=lambda own: own)


_ALONE = Together()


def find_candidates(
    rows: Texts,
    tokenizer: Any,
    model: nn.Module,
    count: int,
    *,
    has_guesses: bool,
    vectors: WordTable | None = None,
    together: Together = _ALONE,
) -> Candidates:
    """Look for candidates, or read those of an earlier run.

    Args:
        rows: whose words are to be replaced.
        tokenizer: theirs and the model's.
        model: its embeddings are the word vectors of words that `vectors` does not have.
        count: K, candidates for each word; fewer where the vocabulary has not so many words.
        has_guesses: whether the model is a masked-LM, to be asked about words of one piece; otherwise they have
            neighbours too.
        vectors: of a file.
        together: the processes that share the masked-LM's work; all of them must call this.

    Raises:
        DataError: too few of the vocabulary's words have a vector.
        StorageError: the cache folder cannot be written.
    """
    import datasets

    words = words_of(tokenizer)
    found = replaceable_words(rows, words)
    count = _at_most(count, words)
    embeddings = model.get_input_embeddings().weight  # type: ignore[operator]
    key = _key(rows, embeddings, model if has_guesses else None, vectors, count)
    path = Path(datasets.config.HF_DATASETS_CACHE) / "edgedistill" / f"candidates-{key}.safetensors"
    table = _read(path, len(found.places), count)
    is_there = together.summed(torch.tensor(int(table is not None)))  # machines may have caches of their own
    if table is None or is_there < together.processes:
        spaces = [_by_pieces(found.tokens, embeddings, words)]
        spaces += [_by_table(found.tokens, vectors, words, count)] if vectors is not None else []
        table = _neighbours(found.tokens, spaces, count)
        if has_guesses:
            _guess(table, rows, found, model, int(tokenizer.mask_token_id), words, together)
        with files.atomic_file(path) as part:
            part.write_bytes(safetensors.torch.save({"table": table}))
    return Candidates(tuple(found.row_ids), found.offsets, found.places, table)


@dataclass(frozen=True)
class _Space:
    """Word vectors.

    Attributes:
        candidates: (C,) int64, tokens that may be put in.
        directions: (C, E) float32, theirs, of length 1.
        vectors: (E,) float32 of each word, given by its tokens, that it knows.
    """

    candidates: Tensor
    directions: Tensor
    vectors: dict[tuple[int, ...], Tensor]


def _by_pieces(tokens: list[tuple[int, ...]], embeddings: Tensor, words: Words) -> _Space:
    table = embeddings.detach().float().cpu()
    known = words.is_candidate.nonzero().squeeze(1)
    return _Space(
        known, F.normalize(table[known], dim=1), {word: table[list(word)].mean(dim=0) for word in set(tokens)}
    )


def refuse_few_words(tokenizer: Any, vectors: WordTable, count: int) -> None:
    """Make sure, before any row is read, that a file knows enough of the vocabulary's words.

    Args:
        tokenizer: of the rows.
        vectors: of a file.
        count: K, candidates that are wanted for each word.

    Raises:
        DataError: it does not.
    """
    words = words_of(tokenizer)
    _known(vectors, words, _at_most(count, words))


def _at_most(count: int, words: Words) -> int:
    return max(1, min(count, int(words.is_candidate.sum()) - 1))


def _by_table(tokens: list[tuple[int, ...]], vectors: WordTable, words: Words, count: int) -> _Space:
    table, (known, number) = torch.from_numpy(vectors.vectors), _known(vectors, words, count)
    directions = F.normalize(table[[number[words.surfaces[token]] for token in known]], dim=1)
    surfaces = {word: "".join(words.surfaces[token] for token in word) for word in set(tokens)}
    own = {word: table[number[surface]] for word, surface in surfaces.items() if surface in number}
    return _Space(torch.tensor(known), directions, own)


def _known(vectors: WordTable, words: Words, count: int) -> tuple[list[int], dict[str, int]]:
    """The vocabulary's words that a file knows too, and where in it each of its words stands."""
    number = {word.lower(): place for place, word in reversed(list(enumerate(vectors.words)))}  # the frequent one wins
    known = [token for token in words.is_candidate.nonzero().squeeze(1).tolist() if words.surfaces[token] in number]
    if len(known) <= count:
        raise DataError(
            f"augment_vectors: {len(known)} of the vocabulary's words have a vector in the file, {count} candidates "
            "for each word are wanted. Give vectors of the texts' language, of more words, or fewer augment_candidates."
        )
    return known, number


def _neighbours(tokens: list[tuple[int, ...]], spaces: list[_Space], count: int) -> Tensor:
    """(W, K) int32, by the cosine in the last space that knows a word; a word is no neighbour of its own."""
    different = sorted(set(tokens))
    number = {word: place for place, word in enumerate(different)}
    found = torch.zeros(len(different), count, dtype=torch.int32)
    for space in spaces:
        known = [word for word in different if word in space.vectors]
        for start in range(0, len(known), _BATCH):
            part = known[start : start + _BATCH]
            likeness = F.normalize(torch.stack([space.vectors[word] for word in part]), dim=1) @ space.directions.T
            own = torch.tensor([word[0] if len(word) == 1 else -1 for word in part])
            likeness[own[:, None] == space.candidates] = -2.0
            nearest = space.candidates[likeness.topk(count, dim=1).indices]
            found[[number[word] for word in part]] = nearest.to(torch.int32)
    return found[[number[word] for word in tokens]]


@torch.no_grad()
def _guess(
    table: Tensor,
    rows: Texts,
    found: Replaceable,
    model: nn.Module,
    mask_id: int,
    words: Words,
    together: Together,
) -> None:
    """Put a masked-LM's guesses into the table for every word of one piece, each hidden alone in its whole text."""
    from edgedistill.models.answers import answer
    from edgedistill.models.outputs import Want

    model.eval()
    device = next(model.parameters()).device
    single = torch.tensor([number for number, word in enumerate(found.tokens) if len(word) == 1], dtype=torch.int64)
    row_of = torch.repeat_interleave(torch.arange(len(found.counts)), torch.tensor(found.counts))
    single = single[torch.tensor(found.sizes)[row_of[single]].argsort(stable=True)]  # little padding
    is_refused = ~words.is_candidate.to(device)
    mine = torch.split(single, _BATCH)[together.process :: together.processes]
    guessed = torch.zeros_like(table)
    with progress("asking the masked-LM for words", sum(map(len, mine))) as bar:
        for which in mine:
            tokens = rows.batch(row_of[which].numpy()).student
            where = torch.zeros_like(tokens.input_ids, dtype=torch.bool)
            where[torch.arange(len(which)), found.places[which, 0].long()] = True
            own = tokens.input_ids[where].to(device)
            hidden = replace(tokens, input_ids=tokens.input_ids.masked_fill(where, mask_id))
            guesses = answer(model, hidden.to(device), Want(words=where.to(device))).logits
            assert guesses is not None
            logits = guesses[:, : len(is_refused)].masked_fill(is_refused, float("-inf"))
            logits.scatter_(1, own[:, None], float("-inf"))
            guessed[which] = logits.topk(table.shape[1], dim=1).indices.cpu().to(torch.int32)
            bar.advance(len(which))
    table[single] = together.summed(guessed)[single]


def _key(rows: Texts, embeddings: Tensor, model: nn.Module | None, vectors: WordTable | None, count: int) -> str:
    """Hex hash of all that candidates depend on: tokens, word vectors and the masked-LM's weights."""
    digest = hashlib.sha256(f"{_FORMAT} {count} {model is not None}".encode())
    for batch in rows.all(1024):
        digest.update("\n".join(batch.row_ids).encode())
        digest.update(batch.student.input_ids.numpy().tobytes())
    parts = [embeddings] if model is None else list(model.parameters())
    for part in parts:
        digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    if vectors is not None:
        digest.update("\n".join(vectors.words).encode())
        digest.update(vectors.vectors.tobytes())
    return digest.hexdigest()


def _read(path: Path, words: int, count: int) -> Tensor | None:
    """The stored table; none where there is no such file or it is damaged, to be made again."""
    try:
        table: Tensor = safetensors.torch.load_file(path)["table"]
    except (OSError, KeyError, SafetensorError):
        return None
    return table if table.shape == (words, count) else None
