"""Text to padded arrays with the artifact's own tokenizer; no torch, so that it also serves bench and check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edgedistill.errors import CheckpointError


@dataclass(frozen=True)
class Encoding:
    """One tokenised text (or pair), special tokens included, no padding."""

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class TextRules:
    """What a tokenizer does to text before it cuts it, as far as an app has to do the same.

    Attributes:
        lowercase: whether capitals are lowered.
        strip_accents: whether accents are taken off; None: as `lowercase` says (BERT's own rule).
        handle_chinese_chars: whether ideographs are set apart.
    """

    lowercase: bool
    strip_accents: bool | None
    handle_chinese_chars: bool


def text_rules(stored: Mapping[str, Any]) -> TextRules:
    """Read them off the content of a tokenizer.json."""
    steps = list(_normalizers(stored.get("normalizer")))
    bert = next((step for step in steps if step["type"] == "BertNormalizer"), {})
    kinds = {step["type"] for step in steps}
    return TextRules(
        lowercase=bool(bert.get("lowercase")) or "Lowercase" in kinds,
        strip_accents=bert.get("strip_accents") if bert else "StripAccents" in kinds,
        handle_chinese_chars=bool(bert.get("handle_chinese_chars", False)),
    )


def _normalizers(stored: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if stored is None:
        return
    if stored["type"] == "Sequence":
        for step in stored["normalizers"]:
            yield from _normalizers(step)
    else:
        yield stored


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json` from a checkpoint or artifact folder.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"'{folder}' has no tokenizer.json. Save its tokenizer there with transformers first.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for every malformed file
        raise CheckpointError(f"cannot read '{path}': {error}.") from error


def encode(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str | None] | None = None,
    max_length: int = 128,
) -> list[Encoding]:
    """Tokenise texts or pairs, cut to `max_length` tokens, the longer of a pair first.

    Lone surrogates, which no UTF-8 file can hold but an app may send, become U+FFFD.
    """
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    tokenizer.no_padding()
    seconds = pairs if pairs is not None else [None] * len(texts)
    inputs = [
        clean(text) if pair is None else (clean(text), clean(pair)) for text, pair in zip(texts, seconds, strict=True)
    ]
    return [Encoding(tuple(e.ids), tuple(e.type_ids)) for e in tokenizer.encode_batch(inputs)]


def clean(text: str) -> str:
    """The text with lone surrogates replaced, everything else untouched."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def pad(encodings: Sequence[Encoding], length: int | None = None, pad_id: int = 0) -> dict[str, NDArray[np.int64]]:
    """Stack encodings into (B, S) arrays, padded on the right to `length` or to the longest of them."""
    width = length or max(len(encoding) for encoding in encodings)
    ids = np.full((len(encodings), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    types = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        size = len(encoding)
        ids[row, :size], mask[row, :size], types[row, :size] = encoding.input_ids, 1, encoding.token_type_ids
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
