"""Unlabelled text: a .txt or .txt.gz file with a paragraph on every line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.data.readers import text_lines
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


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
    from datasets import Dataset, Features, Value

    from edgedistill.data.sources import sample

    path = Path(path)
    if path.is_dir() or path.name.removesuffix(".gz").rpartition(".")[2] != "txt":
        raise DataError(
            f"--corpus '{path}' is no .txt or .txt.gz file. Give a text file with a paragraph on every line."
        )
    texts = [text for _, line in text_lines(path) if (text := line.strip())]
    if not texts:
        raise DataError(f"'{path}' holds no text. Give a text file with a paragraph on every line.")
    columns = {
        "row_id": [f"corpus-{n}" for n in range(len(texts))],
        "text": texts,
        "text_pair": [None] * len(texts),
        "label": [None] * len(texts),
    }
    types = {"row_id": "string", "text": "string", "text_pair": "string", "label": "int64"}
    features = Features({name: Value(dtype) for name, dtype in types.items()})
    return sample(Dataset.from_dict(columns, features=features), limit)
