"""Real text at an exact length: what a model is timed on.

Never random ids and never padding: an early exit, a sparse gather or a skipped pad would make such times a lie.
The artifact's own texts (the judged split's rows, else its goldens) are put one after another from a seeded
place, read by its own tokenizer and cut, so that every token up to the length is a real one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgedistill.artifacts import GOLDENS, REFERENCE
from edgedistill.data.encoding import Encoding, encode, load_tokenizer, pad
from edgedistill.errors import ArtifactError

Text = tuple[str, str | None]
"""One text, or a pair."""

INPUTS = 8
"""Different inputs a row is timed on, in turn."""
ROWS = 256
"""The same where texts are taken as they come: enough for a mean of what they cost."""
_ROWS = 512
"""Rows read from the judged split; enough for eight inputs of 512 tokens each."""


def texts_of(folder: Path) -> tuple[list[Text], str]:
    """The artifact's own texts, and the name of the file they come from.

    Raises:
        ArtifactError: it has none, or they cannot be read.
    """
    for name in (REFERENCE, GOLDENS):
        texts = _read(folder / name)
        if texts:
            return texts, name
    raise ArtifactError(
        f"'{folder}' has no text to be timed on: neither {REFERENCE} nor {GOLDENS} holds any. Export it again."
    )


def inputs_of(folder: Path, length: int, seed: int = 0, count: int = INPUTS) -> list[dict[str, NDArray[np.int64]]]:
    """Model inputs of exactly `length` real tokens, special tokens included.

    Args:
        folder: the artifact, for its texts and its tokenizer.
        length: tokens.
        seed: of the places where they begin.
        count: how many.

    Returns:
        `input_ids`, `attention_mask` (all ones) and `token_type_ids`, each (1, length) int64.

    Raises:
        ArtifactError: no texts, or only texts without tokens.
    """
    tokenizer = load_tokenizer(folder)
    texts, name = texts_of(folder)
    starts = random.Random(seed)
    inputs = []
    for _ in range(count):
        start = starts.randrange(len(texts))
        encoding = _cut(tokenizer, texts[start:] + texts[:start], length)
        if encoding is None:
            raise ArtifactError(f"the texts in '{folder / name}' have too few tokens to be timed on. Export it again.")
        inputs.append(pad([encoding]))
    return inputs


def rows_of(folder: Path, length: int, seed: int = 0, count: int = ROWS) -> list[dict[str, NDArray[np.int64]]]:
    """Texts as they come, each at its own length: what a model that may leave early is timed on.

    How early it leaves depends on the text, and several texts put together are like none of them.

    Args:
        folder: the artifact, for its texts and its tokenizer.
        length: longer texts are left out, or cut where all are longer.
        seed: of their order.
        count: how many at most.

    Returns:
        `input_ids`, `attention_mask` (all ones) and `token_type_ids`, each (1, tokens) int64.

    Raises:
        ArtifactError: no texts.
    """
    texts, _ = texts_of(folder)
    random.Random(seed).shuffle(texts)
    firsts, seconds = [text for text, _ in texts], [pair for _, pair in texts]
    tokenizer = load_tokenizer(folder)
    whole = [found for found in encode(tokenizer, firsts, seconds, length + 1) if len(found) <= length]
    return [pad([encoding]) for encoding in (whole or encode(tokenizer, firsts, seconds, length))[:count]]


def _cut(tokenizer: Tokenizer, texts: Sequence[Text], length: int) -> Encoding | None:
    """The first `length` tokens of the texts put together, repeated where they are too short; none if empty."""
    rows, reached = 1, 0
    while True:
        taken = list(islice(cycle(texts), rows))
        first = " ".join(text for text, _ in taken)
        is_pair = taken[0][1] is not None
        second = " ".join(pair or "" for _, pair in taken) if is_pair else None
        encoding = encode(tokenizer, [first], [second], length)[0]
        if len(encoding) == length:
            return encoding
        if rows > len(texts) and len(encoding) <= reached:
            return None
        rows, reached = rows * 2, len(encoding)


def _read(path: Path) -> list[Text]:
    try:
        with path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in islice(lines, _ROWS)]
        return [(row["text"], row.get("text_pair")) for row in rows if row["text"].strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(f"cannot read the texts in '{path}': {error}. Export it again.") from error
