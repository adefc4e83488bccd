"""Unlabelled text: .txt or .txt.gz with a paragraph on every line, here or wherever fsspec reaches.

Small files are held in memory. What is large, or elsewhere, is read once as a stream and kept as a file of rows that is
mapped into memory (`data.spool`): memory stays flat, and order, resuming and row ids are the same as of a small one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.data.readers import text_lines
from edgedistill.data.spool import IN_MEMORY_BYTES, in_batches, spooled
from edgedistill.data.streams import Place, as_place, files_of, is_url, stamp_of
from edgedistill.data.table import values
from edgedistill.data.tokenise import behaviour, rows_sha256
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


_COLUMNS = frozenset({"row_id", "text", "text_pair", "label"})
_HELD_OUT_SHARE, _HELD_OUT_MOST = 0.02, 1000


def load_corpus(path: Place, limit: int | None = None) -> Dataset:
    """Read a corpus.

    Args:
        path: UTF-8 text, gzipped or not, or a URL of some; blank lines are skipped.
        limit: most paragraphs to give: always the same random ones, in the file's order.

    Returns:
        The columns of `load_split`, with null `text_pair` and `label`; row ids are `corpus-<n>`, n counting the
        paragraphs from 0.

    Raises:
        DataError: no such file, not UTF-8 (naming the line), or no text in it.
        StorageError: a large corpus's rows cannot be kept.
    """
    from edgedistill.data.sources import sample

    path = refuse_no_text_file(path)
    if _is_large(path):
        return sample(spooled(f"corpus-{stamp_of(path)}", in_batches(_named(path))), limit)
    named = list(_named(path))
    return sample(unlabelled([row for row, _ in named], [text for _, text in named]), limit)


def _named(path: Place) -> Iterator[tuple[str, str]]:
    """Id and text of every paragraph.

    Raises:
        DataError: there is none.
    """
    lines = (line for file in files_of(path) for _, line in text_lines(file))
    number = -1
    for number, text in enumerate(text for line in lines if (text := line.strip())):
        yield f"corpus-{number}", text
    if number < 0:
        raise DataError(f"'{path}' holds no text. Give a text file with a paragraph on every line.")


def _is_large(path: Place) -> bool:
    """Whether a corpus is not to be held in memory; packed text is four times as long when it is unpacked."""
    if is_url(path) or not Path(path).is_file():
        return is_url(path)
    packed = 4 if str(path).endswith(".gz") else 1
    return Path(path).stat().st_size * packed > IN_MEMORY_BYTES


def in_pieces(corpus: Dataset, tokenizer: Any, max_length: int) -> Dataset:
    """Cut long paragraphs at word boundaries, so that no text is lost to `max_length`.

    Args:
        corpus: what `load_corpus` gave.
        tokenizer: a fast tokenizer.
        max_length: longest piece in tokens, special ones included.

    Returns:
        The same columns; the ids of a paragraph's pieces are `corpus-<n>.<piece>` where there are several.
    """
    most = max_length - tokenizer.num_special_tokens_to_add()
    cut = _cut(corpus, tokenizer, most)
    if corpus.cache_files and not {*corpus.column_names} - _COLUMNS:
        key = json.dumps([rows_sha256(corpus), behaviour(tokenizer), max_length])
        named = ((row, text) for rows in cut for row, text in zip(rows[0], rows[1], strict=True))
        return spooled(f"pieces-{hashlib.sha256(key.encode()).hexdigest()}", in_batches(named))
    ids: list[str] = []
    texts: list[str] = []
    counts: list[int] = []
    for some_ids, some_texts, some_counts in cut:
        ids, texts, counts = ids + some_ids, texts + some_texts, counts + some_counts
    found = unlabelled(ids, texts)
    for column in sorted({*corpus.column_names} - {*found.column_names}):  # `data.documents` has more
        found = found.add_column(column, np.repeat(values(corpus, column), counts).tolist())
    return found


def _cut(corpus: Dataset, tokenizer: Any, most: int) -> Iterator[tuple[list[str], list[str], list[int]]]:
    """Ids and texts of pieces, and how many each paragraph has, of some paragraphs at a time."""
    for rows in corpus.iter(batch_size=1000):
        offsets = tokenizer(rows["text"], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids: list[str] = []
        texts: list[str] = []
        counts: list[int] = []
        for row, text, places in zip(rows["row_id"], rows["text"], offsets["offset_mapping"], strict=True):
            pieces = list(_pieces(text, places, most))
            ids += [row] if len(pieces) == 1 else [f"{row}.{number}" for number in range(len(pieces))]
            texts += pieces
            counts.append(len(pieces))
        yield ids, texts, counts


def held_out(corpus: Dataset, seed: int) -> tuple[Dataset, Dataset, Dataset]:
    """Put rows aside to choose by and to judge by: two seeded fiftieths, at most 1000 rows each.

    Args:
        corpus: what `load_corpus` gave; not yet in pieces, so that no paragraph is on two sides.
        seed: of the run.

    Returns:
        train, dev, judged.

    Raises:
        DataError: too few rows.
    """
    count = held_out_count(len(corpus))
    if len(corpus) < 3:
        raise DataError(
            f"the corpus has too few paragraphs ({len(corpus)}) to put some of them aside to judge by: each line is "
            "one, and 3 are needed. Give more text."
        )
    order = np.random.default_rng([seed, 0x4E1D]).permutation(len(corpus))
    parts = order[2 * count :], order[:count], order[count : 2 * count]
    train, dev, judged = (corpus.select(np.sort(part)) for part in parts)
    return train, dev, judged


def held_out_count(rows: int) -> int:
    """How many of so many rows are put aside to choose by, and as many again to judge by."""
    return min(max(1, round(rows * _HELD_OUT_SHARE)), _HELD_OUT_MOST)


def refuse_no_text_file(path: Place) -> Place:
    """Make sure that a corpus is a text file by its name.

    Raises:
        DataError: it is not.
    """
    if (not is_url(path) and Path(path).is_dir()) or not str(path).removesuffix(".gz").endswith(".txt"):
        raise DataError(f"'{path}' is no .txt or .txt.gz file. Give a text file with a paragraph on every line.")
    return as_place(path)


def unlabelled(row_ids: list[str], texts: list[str]) -> Dataset:
    """Texts as rows: the columns of `load_split`, with nothing but ids and texts in them."""
    from datasets import Dataset, Features, Value

    types = {"row_id": "string", "text": "string", "text_pair": "string", "label": "int64"}
    nothing = [None] * len(texts)
    columns = {"row_id": row_ids, "text": texts, "text_pair": nothing, "label": nothing}
    return Dataset.from_dict(columns, features=Features({name: Value(dtype) for name, dtype in types.items()}))


def _pieces(text: str, places: list[tuple[int, int]], most: int) -> Iterator[str]:
    """Texts of at most `most` tokens; a word longer than that is cut where it must be."""
    first = 0
    while len(places) - first > most:
        last = first + most
        begins_word = [n for n in range(first + 1, last + 1) if places[n][0] > places[n - 1][1]]
        last = begins_word[-1] if begins_word else last
        yield text[places[first][0] : places[last - 1][1]]
        first = last
    yield text[places[first][0] :] if places[first:] else text
