"""Unlabelled text: a .txt or .txt.gz file with a paragraph on every line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.data.readers import text_lines
from edgedistill.data.table import values
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


_HELD_OUT_SHARE, _HELD_OUT_MOST = 0.02, 1000


def load_corpus(path: Path, limit: int | None = None) -> Dataset:
    """Read a corpus.

    Args:
        path: UTF-8 text, gzipped or not; blank lines are skipped.
        limit: most paragraphs to give: always the same random ones, in the file's order.

    Returns:
        The columns of `load_split`, with null `text_pair` and `label`; row ids are `corpus-<n>`, n counting the
        paragraphs from 0.

    Raises:
        DataError: no such file, not UTF-8 (naming the line), or no text in it.
    """
    from edgedistill.data.sources import sample

    path = refuse_no_text_file(path)
    texts = [text for _, line in text_lines(path) if (text := line.strip())]
    if not texts:
        raise DataError(f"'{path}' holds no text. Give a text file with a paragraph on every line.")
    return sample(unlabelled([f"corpus-{n}" for n in range(len(texts))], texts), limit)


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
    ids: list[str] = []
    texts: list[str] = []
    counts: list[int] = []
    for rows in corpus.iter(batch_size=1000):
        offsets = tokenizer(rows["text"], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for row, text, places in zip(rows["row_id"], rows["text"], offsets["offset_mapping"], strict=True):
            pieces = list(_pieces(text, places, most))
            ids += [row] if len(pieces) == 1 else [f"{row}.{number}" for number in range(len(pieces))]
            texts += pieces
            counts.append(len(pieces))
    found = unlabelled(ids, texts)
    for column in sorted({*corpus.column_names} - {*found.column_names}):  # `data.documents` has more
        found = found.add_column(column, np.repeat(values(corpus, column), counts).tolist())
    return found


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
            f"the corpus has {len(corpus)} rows, too few to put some of them aside to judge by. Give more text."
        )
    order = np.random.default_rng([seed, 0x4E1D]).permutation(len(corpus))
    parts = order[2 * count :], order[:count], order[count : 2 * count]
    train, dev, judged = (corpus.select(np.sort(part)) for part in parts)
    return train, dev, judged


def held_out_count(rows: int) -> int:
    """How many of so many rows are put aside to choose by, and as many again to judge by."""
    return min(max(1, round(rows * _HELD_OUT_SHARE)), _HELD_OUT_MOST)


def refuse_no_text_file(path: Path) -> Path:
    """Make sure that a corpus is a text file by its name.

    Raises:
        DataError: it is not.
    """
    path = Path(path)
    if path.is_dir() or path.name.removesuffix(".gz").rpartition(".")[2] != "txt":
        raise DataError(
            f"--corpus '{path}' is no .txt or .txt.gz file. Give a text file with a paragraph on every line."
        )
    return path


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
