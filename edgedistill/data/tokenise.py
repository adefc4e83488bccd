"""Rows to token ids, once: `dataset.map` writes them to a cache file that the next run maps into memory.

A cache file's name is a hash of the rows, the tokenizer's behaviour and the length, so a changed row or
tokenizer never meets old ids. The files lie below the cache folder of `datasets` (`HF_DATASETS_CACHE`).
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers

from edgedistill.data.tasks import IGNORED, Kind
from edgedistill.errors import StorageError
from edgedistill.files import storage_errors

if TYPE_CHECKING:
    from datasets import Dataset

CUT = -1
"""Both ends of a span whose answer does not lie within the tokens that were kept."""

_FORMAT = 1
_PROBES = ("Wéll-known WORDS, isn't it?", "don't  [MASK] 東京 naïve 3.14", "\u200bsupercalifragilistic 😀 \t x")


def same_tokens(one: Any, other: Any) -> bool:
    """Whether two fast tokenizers give the same ids: same vocabulary, same answer to texts they could differ on.

    A student whose teacher's tokenizer differs learns from two views of a row, and from sentence-level losses only.
    """
    if one is other:
        return True
    if one.get_vocab() != other.get_vocab():
        return False
    pairs = [(text, None) for text in _PROBES] + [(_PROBES[0], _PROBES[1])]
    both = ([dict(each(a, b, return_token_type_ids=True)) for a, b in pairs] for each in (one, other))
    return next(both) == next(both)


def rows_sha256(dataset: Dataset) -> str:
    """Hex SHA-256 over the ids, texts and labels of rows, in order."""
    digest = hashlib.sha256()
    known = ("row_id", "text", "text_pair", "label", "words", "question")
    columns = [name for name in known if name in dataset.column_names]
    for batch in dataset.select_columns(columns).iter(batch_size=1000):
        for row in zip(*(batch[name] for name in columns), strict=True):
            digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def tokenised(dataset: Dataset, kind: Kind | None, tokenizer: Any, max_length: int) -> Dataset:
    """Tokenise rows, special tokens included, cut to `max_length` tokens, without padding.

    Args:
        dataset: `row_id`, `text`, `text_pair`, `label` (and `words`), as `load_split` gives them.
        kind: span, tokens and generation get a column `target`; none is unlabelled text.
        tokenizer: a fast `transformers` tokenizer.
        max_length: longest row in tokens. The longer text of a pair is cut first, as `data.encoding.encode` does,
            so that training and the finished artifact read the same ids.

    Returns:
        `input_ids` (int32), `token_type_ids` (int8) and for spans `target` (first and last token of the first answer,
        `CUT` if it was cut away, 0 if there is none), for tags one per token or `IGNORED`, for generation the tokens of
        the first text that would be right, the separator as its end, or nothing if they are more than `max_length`.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    from datasets import Features, List, Value

    has_target = kind in {"span", "tokens", "generation"}
    columns = {"input_ids": List(Value("int32")), "token_type_ids": List(Value("int8"))}
    key = hashlib.sha256(
        json.dumps(
            [_FORMAT, rows_sha256(dataset), behaviour(tokenizer), kind if has_target else "", max_length]
        ).encode()
    ).hexdigest()
    cache = cache_folder()
    with cache_errors(cache), _quiet():
        cache.mkdir(parents=True, exist_ok=True)
        return dataset.map(
            _Tokenise(tokenizer, kind, max_length),
            batched=True,
            remove_columns=dataset.column_names,
            features=Features(columns | ({"target": List(Value("int32"))} if has_target else {})),
            cache_file_name=str(cache / f"tokens-{key}.arrow"),
            load_from_cache_file=True,
            new_fingerprint=key[:32],
        )


def behaviour(tokenizer: Any) -> str:
    """Hash of what a tokenizer does, without the cutting and padding that its last call left in it."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["truncation"] = state["padding"] = None
    text = json.dumps([tokenizers.__version__, state], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class _Tokenise:
    """What `dataset.map` calls for every batch of rows."""

    def __init__(self, tokenizer: Any, kind: Kind | None, max_length: int) -> None:
        self._tokenizer, self._kind, self._max_length = tokenizer, kind, max_length

    def __call__(self, rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        pairs = rows["text_pair"]
        encoded = self._tokenizer(
            rows["text"],
            pairs if pairs[0] is not None else None,
            truncation="longest_first",
            max_length=self._max_length,
            return_token_type_ids=True,
            return_attention_mask=False,
            return_offsets_mapping=True,
        )
        result = {"input_ids": encoded["input_ids"], "token_type_ids": encoded["token_type_ids"]}
        if self._kind == "span":
            result["target"] = [self._span(encoded, row, label) for row, label in enumerate(rows["label"])]
        elif self._kind == "tokens":
            labels = zip(rows["words"], rows["label"], strict=True)
            result["target"] = [self._tags(encoded, row, *label) for row, label in enumerate(labels)]
        elif self._kind == "generation":
            result["target"] = [self._written(label[0]) if label else [] for label in rows["label"]]
        return result

    @staticmethod
    def _span(encoded: Any, row: int, label: Mapping[str, list[Any]] | None) -> list[int]:
        if label is None or not label["text"]:
            return [0, 0]
        first, last = label["start"][0], label["start"][0] + len(label["text"][0])
        context = [
            (token, start, end)
            for token, (text, (start, end)) in enumerate(
                zip(encoded.sequence_ids(row), encoded["offset_mapping"][row], strict=True)
            )
            if text == 1
        ]
        inside = [token for token, start, end in context if end > first and start < last]
        is_whole = bool(inside) and context[-1][2] >= last
        return [inside[0], inside[-1]] if is_whole else [CUT, CUT]

    def _written(self, text: str) -> list[int]:
        ids = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return [*ids, self._tokenizer.sep_token_id] if len(ids) < self._max_length else []

    @staticmethod
    def _tags(encoded: Any, row: int, words: list[str], tags: list[int] | None) -> list[int]:
        starts = [0, *accumulate(len(word) + 1 for word in words)][:-1]
        result, previous = [], -1
        for text, (start, _) in zip(encoded.sequence_ids(row), encoded["offset_mapping"][row], strict=True):
            word = bisect_right(starts, start) - 1 if text == 0 else previous
            result.append(tags[word] if tags and word != previous else IGNORED)
            previous = word
        return result


def cache_folder() -> Path:
    """Where tokenised rows, and rows too many for memory, are kept."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "edgedistill"


@contextmanager
def cache_errors(cache: Path) -> Iterator[None]:
    """Say of what cannot be written there which folder it is, and how to choose another."""
    try:
        with storage_errors(cache):
            yield
    except StorageError as error:
        kept = "Tokenised rows and large texts are kept where HF_DATASETS_CACHE or HF_HOME says."
        raise StorageError(f"{error} {kept}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar of `datasets`: tokenising takes seconds, and the command line has its own."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    was_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not was_disabled:
            enable_progress_bars()
